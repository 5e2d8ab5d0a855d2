// Package build is the source of the Grafana dashboards: a small typed builder
// and the definitions written with it. The JSON files in package dashboards are
// its output.
//
// The types cover what these dashboards use of Grafana's dashboard model
// (schema version 38, Grafana 10.0, which every later version migrates by
// itself); names of JSON keys are those of Grafana's published schema,
// @grafana/schema, against which tools/grafana validates the files.
package build

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// object is a free JSON object, for options that differ with each panel type.
type object = map[string]any

// A Dashboard in Grafana's JSON model.
type Dashboard struct {
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	SchemaVersion int      `json:"schemaVersion"`
	Editable      bool     `json:"editable"`
	GraphTooltip  int      `json:"graphTooltip"`
	Refresh       string   `json:"refresh"`
	Time          object   `json:"time"`
	Timezone      string   `json:"timezone"`
	Links         []link   `json:"links"`
	Annotations   struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Panels []Panel `json:"panels"`
}

// link is a link at the head of a dashboard.
type link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	URL         string   `json:"url"`
	Tooltip     string   `json:"tooltip"`
	Icon        string   `json:"icon"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
}

type annotation struct {
	Name        string     `json:"name"`
	Datasource  datasource `json:"datasource"`
	Enable      bool       `json:"enable"`
	IconColor   string     `json:"iconColor"`
	Expr        string     `json:"expr"`
	Step        string     `json:"step"`
	TitleFormat string     `json:"titleFormat"`
	TextFormat  string     `json:"textFormat"`
	// UseValueForTime marks the moment that is the value, in milliseconds.
	UseValueForTime bool `json:"useValueForTime,omitempty"`
}

type variable struct {
	Name        string      `json:"name"`
	Label       string      `json:"label"`
	Description string      `json:"description,omitempty"`
	Type        string      `json:"type"`
	Datasource  *datasource `json:"datasource,omitempty"`
	// Query is a string, or for a query variable an object.
	Query      any      `json:"query,omitempty"`
	Regex      string   `json:"regex"`
	Refresh    int      `json:"refresh,omitempty"`
	Sort       int      `json:"sort,omitempty"`
	Multi      bool     `json:"multi"`
	IncludeAll bool     `json:"includeAll"`
	AllValue   string   `json:"allValue,omitempty"`
	Current    object   `json:"current"`
	Options    []object `json:"options"`
	Hide       int      `json:"hide"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// A Panel of a dashboard, or a row that holds panels.
type Panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	GridPos         gridPos          `json:"gridPos"`
	Datasource      *datasource      `json:"datasource,omitempty"`
	Interval        string           `json:"interval,omitempty"`
	FieldConfig     *fieldConfig     `json:"fieldConfig,omitempty"`
	Options         object           `json:"options,omitempty"`
	Targets         []Target         `json:"targets,omitempty"`
	Transformations []transformation `json:"transformations,omitempty"`
	Collapsed       *bool            `json:"collapsed,omitempty"`
	Panels          []Panel          `json:"panels,omitempty"`
}

// gridPos is in columns (24 make the width) and rows of 30 pixels.
type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// A Target is one query of a panel.
type Target struct {
	RefID        string     `json:"refId"`
	Datasource   datasource `json:"datasource"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat,omitempty"`
	Format       string     `json:"format,omitempty"`
	Instant      bool       `json:"instant"`
	Range        bool       `json:"range"`
	EditorMode   string     `json:"editorMode"`
}

type transformation struct {
	ID      string `json:"id"`
	Options object `json:"options"`
}

type fieldConfig struct {
	Defaults  field      `json:"defaults"`
	Overrides []override `json:"overrides"`
}

type field struct {
	Unit       string      `json:"unit,omitempty"`
	Decimals   *int        `json:"decimals,omitempty"`
	Min        *float64    `json:"min,omitempty"`
	Max        *float64    `json:"max,omitempty"`
	NoValue    string      `json:"noValue,omitempty"`
	Color      *color      `json:"color,omitempty"`
	Mappings   []mapping   `json:"mappings,omitempty"`
	Thresholds *thresholds `json:"thresholds,omitempty"`
	Links      []dataLink  `json:"links,omitempty"`
	Custom     object      `json:"custom,omitempty"`
}

type color struct {
	Mode       string `json:"mode"`
	FixedColor string `json:"fixedColor,omitempty"`
}

type mapping struct {
	Type    string `json:"type"`
	Options object `json:"options"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

// step begins at Value; the first one has none.
type step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

type dataLink struct {
	Title       string `json:"title"`
	URL         string `json:"url"`
	TargetBlank bool   `json:"targetBlank"`
}

type override struct {
	// Matcher has id and options.
	Matcher    object     `json:"matcher"`
	Properties []property `json:"properties"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

// Dashboards returns every dashboard, in the order in which one reads them.
func Dashboards() []Dashboard {
	return []Dashboard{fleet(), cluster(), connector(), dataFlow(), exporter()}
}

// JSON is the dashboard as Grafana imports it, indented, with a last newline.
func (d Dashboard) JSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return nil, fmt.Errorf("encode dashboard %s: %w", d.UID, err)
	}
	return out.Bytes(), nil
}
