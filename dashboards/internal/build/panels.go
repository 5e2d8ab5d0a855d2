package build

import (
	"fmt"
	"slices"
	"strings"
)

// The dashboards' uids: links and bookmarks hold on to them, so they never change.
const (
	fleetUID     = "kafka-connect-fleet"
	clusterUID   = "kafka-connect-cluster"
	connectorUID = "kafka-connect-connector"
	exporterUID  = "kafka-connect-exporter"
)

// prometheus is the data source that the reader has chosen, never a fixed one.
func prometheus() datasource { return datasource{Type: "prometheus", UID: "${datasource}"} }

// draft is a dashboard while it is put together. Its selectors stand for the
// tokens that expressions carry in place of label matchers: <cluster> picks the
// clusters, <connector> the connectors within them, <exporter> the processes.
type draft struct {
	dashboard Dashboard
	selectors *strings.Replacer
	y, id     int
	inside    *Panel
}

func newDraft(d Dashboard, selectors map[string]string) *draft {
	var pairs []string
	for token, matchers := range selectors {
		pairs = append(pairs, "<"+token+">", matchers)
	}
	d.Tags = []string{"kafka-connect"}
	d.SchemaVersion = 38
	d.GraphTooltip = 1
	d.Refresh = "30s"
	d.Time = object{"from": "now-6h", "to": "now"}
	d.Timezone = "browser"
	d.Annotations.List = []annotation{}
	for _, other := range []struct{ uid, title, tooltip string }{
		{fleetUID, "Fleet", "All clusters at a glance"},
		{clusterUID, "Cluster", "One cluster: connectors, tasks, workers, snapshots"},
		{connectorUID, "Connector", "One connector and its tasks"},
		{dataFlowUID, "Data flow", "Whether data move: lag, progress, the workers' group"},
		{exporterUID, "Exporter", "Cost and health of the exporter itself"},
	} {
		if other.uid != d.UID {
			d.Links = append(d.Links, link{
				Title: other.title, Type: "link", URL: "/d/" + other.uid, Tooltip: other.tooltip,
				Icon: "dashboard", Tags: []string{}, IncludeVars: true, KeepTime: true,
			})
		}
	}
	return &draft{dashboard: d, selectors: strings.NewReplacer(pairs...)}
}

// expand puts the dashboard's label matchers in place of the tokens and folds
// an expression that is written over several lines into one.
func (d *draft) expand(expr string) string {
	return d.selectors.Replace(strings.Join(strings.Fields(expr), " "))
}

// line adds panels side by side, height rows high. Their widths fill the 24
// columns.
func (d *draft) line(height int, panels ...Panel) {
	x := 0
	for _, p := range panels {
		d.id++
		p.ID = d.id
		p.GridPos = gridPos{H: height, W: p.GridPos.W, X: x, Y: d.y}
		x += p.GridPos.W
		for i := range p.Targets {
			p.Targets[i].Expr = d.expand(p.Targets[i].Expr)
			p.Targets[i].RefID = string(rune('A' + i))
		}
		if d.inside != nil {
			d.inside.Panels = append(d.inside.Panels, p)
		} else {
			d.dashboard.Panels = append(d.dashboard.Panels, p)
		}
	}
	if x != 24 {
		panic(fmt.Sprintf("%s: the line with %q is %d columns wide, not 24", d.dashboard.UID, panels[0].Title, x))
	}
	d.y += height
}

// row adds a heading. What follows a collapsed one is hidden, and not queried,
// until the reader opens it.
func (d *draft) row(title string, collapsed bool) {
	d.inside = nil
	d.id++
	d.dashboard.Panels = append(d.dashboard.Panels, Panel{
		ID: d.id, Type: "row", Title: title, Collapsed: &collapsed,
		GridPos: gridPos{H: 1, W: 24, Y: d.y},
	})
	d.y++
	if collapsed {
		d.inside = &d.dashboard.Panels[len(d.dashboard.Panels)-1]
	}
}

func (d *draft) annotate(name, color, expr, title, text string, enable bool) {
	d.dashboard.Annotations.List = append(d.dashboard.Annotations.List, annotation{
		Name: name, Datasource: prometheus(), Enable: enable, IconColor: color, Step: "1m",
		Expr: d.expand(expr), TitleFormat: title, TextFormat: text,
	})
}

// lately is the annotation that was added last.
func (d *draft) lately() *annotation {
	return &d.dashboard.Annotations.List[len(d.dashboard.Annotations.List)-1]
}

// deployed marks when configurations, plugins and workers changed: what fails
// right after often fails for that. What has to read every connector is looked at
// each apart (such as 15m), and is that imprecise. A plugin is told of by the label
// named.
func (d *draft) deployed(apart, named string) {
	d.annotate("Configuration changed", "purple",
		`1000 * max by (connect_cluster, connector) (kafka_connect_connector_config_changed_timestamp_seconds{<connector>})`,
		"Configuration of {{connector}} changed", "{{connect_cluster}}", true)
	d.lately().UseValueForTime, d.lately().Step = true, "5m" // The time is the value's.
	d.annotate("Version of the workers changed", "purple",
		`count by (connect_cluster, version) (kafka_connect_cluster_info{<cluster>})
		unless count by (connect_cluster, version) (last_over_time(kafka_connect_cluster_info{<cluster>}[10m] offset 1m))
		and on (connect_cluster) (last_over_time(kafka_connect_cluster_info{<cluster>}[10m] offset 1m))`,
		"A worker of {{version}} answers", "{{connect_cluster}}: no snapshot of the ten minutes before came from one.", true)
	before := fmt.Sprintf(`(kafka_connect_up{<cluster>} offset %s == 1)`, apart)
	versions := `group by (connect_cluster, ` + named + `, connector_version) (kafka_connect_connector_info{<connector>, connector_version!=""}`
	d.annotate("Plugin changed", "purple", versions+`) unless `+versions+` offset `+apart+`) and on (connect_cluster) `+before,
		"{{"+named+"}} runs in {{connector_version}}", "It did not "+apart+" before: new, or another version of its plugin.", true)
	d.lately().Step = apart
	d.annotate("Number of tasks changed", "light-purple", fmt.Sprintf(
		`max by (connect_cluster, connector) (kafka_connect_connector_tasks{<connector>}) != max by (connect_cluster, connector) (kafka_connect_connector_tasks{<connector>} offset %s)`, apart),
		"Tasks of {{connector}} changed", "It has more or fewer tasks than "+apart+" before.", false)
	d.lately().Step = apart
}

// newClusterDraft begins a dashboard of one cluster, of which connectors are
// chosen: some of them (many) or, as long as nobody chooses, all.
func newClusterDraft(d Dashboard, choose func(variable) variable) *draft {
	draft := newDraft(d, map[string]string{
		"cluster":   `job=~"$job", connect_cluster="$connect_cluster"`,
		"connector": `job=~"$job", connect_cluster="$connect_cluster", connector=~"$connector"`,
	})
	draft.dashboard.Templating.List = []variable{
		datasourceVariable(), jobVariable("kafka_connect_up"), filterVariable(),
		queryVariable("connect_cluster", "Cluster", `label_values(kafka_connect_up{job=~"$job"}, connect_cluster)`),
		choose(queryVariable("connector", "Connector", `label_values(kafka_connect_connector_state{job=~"$job", connect_cluster="$connect_cluster"}, connector)`)),
	}
	return draft
}

// pick finds, when the dashboard is opened or refreshed, the connectors that an instant
// query names, and returns the selector of these. A panel that draws the worst of
// many over time reads them alone. What it finds is a hidden variable; a name with a
// quotation mark, which Grafana does not escape there, is passed over.
func (d *draft) pick(name, label, expr string) string {
	expr = d.expand(strings.ReplaceAll(expr, "<connector>", `<connector>, connector!~".*\".*"`))
	v := queryVariable(name, label, "query_result(max by (connector) ("+expr+"))").all()
	v.AllValue = "" // All are those that were found.
	v.Regex = `/^\{connector="(.*)"\} /`
	v.Hide = 2
	d.dashboard.Templating.List = append(d.dashboard.Templating.List, v)
	return `<cluster>, ` + matching(name)
}

// matching picks the connectors that the variable holds.
func matching(name string) string { return fmt.Sprintf(`connector=~"$%s"`, name) }

// variables.

func datasourceVariable() variable {
	return variable{
		Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus",
		Description: "The Prometheus that has the exporter's series.",
		Refresh:     1, Current: object{}, Options: []object{},
	}
}

// queryVariable lists the values of one label. It is asked for again when the
// time range changes, so that what is gone can still be looked up.
func queryVariable(name, label, query string) variable {
	ds := prometheus()
	return variable{
		Name: name, Label: label, Type: "query", Datasource: &ds,
		Query:   object{"query": query, "refId": "Prometheus-" + name},
		Refresh: 2, Sort: 5, Current: object{}, Options: []object{},
	}
}

// textVariable is what the reader types in.
func textVariable(name, label, preset string) variable {
	return variable{
		Name: name, Label: label, Type: "textbox", Query: preset,
		Current: object{"text": preset, "value": preset}, Options: []object{{"selected": true, "text": preset, "value": preset}},
	}
}

// filterVariable narrows every query to labels that the reader chooses, those of
// the target (env, region, namespace) above all: Grafana puts them into each
// selector by itself.
func filterVariable() variable {
	ds := prometheus()
	return variable{
		Name: "filters", Label: "Filters", Type: "adhoc", Datasource: &ds, Current: object{}, Options: []object{},
		Description: "Any label of the series, such as env = prod: two environments may have a cluster of one name.",
	}
}

func (v variable) many() variable { v.Multi = true; return v }

func (v variable) all() variable {
	v.Multi, v.IncludeAll, v.AllValue = true, true, ".+"
	v.Current = object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}}
	return v
}

func (v variable) about(description string) variable { v.Description = description; return v }

func jobVariable(metric string) variable {
	return queryVariable("job", "Job", "label_values("+metric+", job)").all().
		about("The scrape job (or OTLP service) of the exporter.")
}

// targets.

// over is a query over the time range, a series for each legend.
func over(legend, expr string) Target {
	return Target{Datasource: prometheus(), Expr: expr, LegendFormat: legend, Range: true, EditorMode: "code"}
}

// now is a query at the end of the time range. Single numbers use it, so that
// they never show a value from before the cluster went away.
func now(legend, expr string) Target {
	return Target{Datasource: prometheus(), Expr: expr, LegendFormat: legend, Instant: true, EditorMode: "code"}
}

// rows is a query at the end of the time range as a table, a row a series.
func rows(expr string) Target {
	t := now("", expr)
	t.Format = "table"
	return t
}

// panels.

func newPanel(kind string, width int, title, description string, targets []Target) Panel {
	ds := prometheus()
	return Panel{
		Type: kind, Title: title, Description: strings.Join(strings.Fields(description), " "), GridPos: gridPos{W: width},
		Datasource: &ds, Targets: targets, FieldConfig: &fieldConfig{Overrides: []override{}},
	}
}

// steps are thresholds: a colour, and others from some value on.
func steps(first string, rest ...step) *thresholds {
	return &thresholds{Mode: "absolute", Steps: append([]step{{Color: first}}, rest...)}
}

func from(value float64, color string) step { return step{Color: color, Value: &value} }

// stat is one number, coloured by thresholds. missing says what it means that
// there is none.
func stat(width int, title, unit, missing string, t *thresholds, description string, targets ...Target) Panel {
	p := newPanel("stat", width, title, description, targets)
	p.FieldConfig.Defaults = field{
		Unit: unit, NoValue: missing, Color: &color{Mode: "thresholds"}, Thresholds: t, Mappings: []mapping{},
	}
	p.Options = object{
		"reduceOptions": object{"values": false, "calcs": []string{"lastNotNull"}, "fields": ""},
		"orientation":   "auto", "textMode": "value", "colorMode": "background", "graphMode": "none",
		"justifyMode": "auto",
	}
	if t.Steps[0].Color == "text" {
		p.Options["colorMode"] = "value"
	}
	if unit == "none" {
		p.FieldConfig.Defaults.Decimals = new(0)
	}
	return p
}

// words is a stat that shows the legend in place of the number: a version, a class.
func words(width int, title, missing, description string, targets ...Target) Panel {
	p := stat(width, title, "none", missing, steps("text"), description, targets...)
	p.Options["textMode"] = "name"
	p.Options["colorMode"] = "none"
	return p
}

func graph(width int, title, unit, description string, targets ...Target) Panel {
	p := newPanel("timeseries", width, title, description, targets)
	p.FieldConfig.Defaults = field{
		Unit: unit, Min: new(0.0), Color: &color{Mode: "palette-classic"},
		Custom: object{
			"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 10,
			"gradientMode": "none", "showPoints": "never", "spanNulls": false,
			"stacking":        object{"mode": "none", "group": "A"},
			"thresholdsStyle": object{"mode": "off"},
		},
	}
	p.Options = object{
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}
	return p
}

// counts makes a graph of whole numbers that change in steps.
func (p Panel) counts() Panel {
	p.FieldConfig.Defaults.Custom["lineInterpolation"] = "stepAfter"
	p.FieldConfig.Defaults.Decimals = new(0)
	return p
}

func (p Panel) stacked() Panel {
	p.FieldConfig.Defaults.Custom["stacking"] = object{"mode": "normal", "group": "A"}
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 40
	return p
}

// bars is for events: a bar as high as they were many within the window before
// it.
func (p Panel) bars() Panel {
	p = p.stacked()
	p.FieldConfig.Defaults.Custom["drawStyle"] = "bars"
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 80
	return p
}

// every keeps bars apart at least, about as far as increase looks back, so that
// neighbours do not count the same event. It costs as much of freshness.
func (p Panel) every(interval string) Panel { p.Interval = interval; return p }

// logarithmic shows milliseconds and seconds in one graph.
func (p Panel) logarithmic() Panel {
	p.FieldConfig.Defaults.Min = nil
	p.FieldConfig.Defaults.Custom["scaleDistribution"] = object{"type": "log", "log": 10}
	return p
}

// saying sets what stands in place of data when there is none.
func (p Panel) saying(missing string) Panel { p.FieldConfig.Defaults.NoValue = missing; return p }

func (p Panel) linked(links ...dataLink) Panel { p.FieldConfig.Defaults.Links = links; return p }

func (p Panel) with(overrides ...override) Panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, overrides...)
	return p
}

// heatmap draws a classic histogram over time.
func heatmap(width int, title, unit, description string, t Target) Panel {
	t.Format, t.LegendFormat = "heatmap", "{{le}}"
	p := newPanel("heatmap", width, title, description, []Target{t})
	p.FieldConfig.Defaults = field{Custom: object{"scaleDistribution": object{"type": "linear"}}}
	p.Options = object{
		"calculate":    false,
		"color":        object{"mode": "scheme", "scheme": "Oranges", "scale": "exponential", "exponent": 0.5, "steps": 64, "fill": "dark-orange", "reverse": false},
		"cellGap":      1,
		"cellValues":   object{"unit": "short", "decimals": 0},
		"yAxis":        object{"axisPlacement": "left", "unit": unit, "reverse": false},
		"rowsFrame":    object{"layout": "auto", "value": "Snapshots"},
		"filterValues": object{"le": 1e-9},
		"legend":       object{"show": true},
		"tooltip":      object{"mode": "single", "showColorScale": false, "yHistogram": true},
		"exemplars":    object{"color": "rgba(255,0,255,0.7)"},
		"showValue":    "never",
	}
	return p
}

func barGauge(width int, title, unit, description string, targets ...Target) Panel {
	p := newPanel("bargauge", width, title, description, targets)
	p.FieldConfig.Defaults = field{Unit: unit, Min: new(0.0), Decimals: new(0), Color: &color{Mode: "fixed", FixedColor: "blue"}, Thresholds: steps("blue"), Mappings: []mapping{}}
	p.Options = object{
		"reduceOptions": object{"values": false, "calcs": []string{"lastNotNull"}, "fields": ""},
		"orientation":   "horizontal", "displayMode": "basic", "valueMode": "color", "namePlacement": "auto",
		"showUnfilled": true, "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16,
	}
	return p
}

// column says how a table shows one field: where it comes from (a label, or
// "Value #A" for the number of target A), its heading, and more properties.
type column struct {
	from, heading string
	properties    []property
}

func col(from, heading string, properties ...property) column {
	return column{from: from, heading: heading, properties: properties}
}

// table joins the rows of all targets on the labels that they share and shows
// the columns in their order; whatever else the targets bring is left out.
func table(width int, title, missing, description string, columns []column, targets ...Target) Panel {
	p := newPanel("table", width, title, description, targets)
	p.FieldConfig.Defaults = field{
		NoValue: missing, Color: &color{Mode: "thresholds"}, Thresholds: steps("text"), Mappings: []mapping{},
		Custom: object{"align": "left", "cellOptions": object{"type": "auto"}, "inspect": false, "filterable": true},
	}
	p.Options = object{"showHeader": true, "cellHeight": "sm", "sortBy": []any{}}
	order, rename, include := object{}, object{}, object{}
	for i, c := range columns {
		order[c.from], rename[c.from], include[c.from] = i, c.heading, true
		// A cell without a value is a dash, without the colour that a 0 would have.
		properties := append([]property{{ID: "noValue", Value: "–"}}, c.properties...)
		if !slices.ContainsFunc(properties, func(p property) bool { return p.ID == "mappings" }) {
			properties = append(properties, colMappings())
		}
		for i, p := range properties {
			if p.ID == "mappings" {
				properties[i].Value = append(slices.Clone(p.Value.([]mapping)), mapping{Type: "special", Options: object{
					"match": "null+nan", "result": object{"text": "–", "color": "transparent", "index": 99},
				}})
			}
		}
		p = p.with(override{Matcher: object{"id": "byName", "options": c.heading}, Properties: properties})
	}
	exclude := object{"Time": true}
	for i := range targets {
		if value := "Value #" + string(rune('A'+i)); include[value] == nil {
			exclude[value] = true
		}
	}
	if len(targets) == 1 {
		exclude["Value"] = include["Value"] == nil
	}
	p.Transformations = []transformation{
		{ID: "merge", Options: object{}},
		{ID: "organize", Options: object{"excludeByName": exclude, "indexByName": order, "renameByName": rename}},
	}
	return p
}

func (p Panel) sorted(heading string, descending bool) Panel {
	p.Options["sortBy"] = []any{object{"displayName": heading, "desc": descending}}
	return p
}

func colWidth(pixels int) property         { return property{ID: "custom.width", Value: pixels} }
func colUnit(unit string) property         { return property{ID: "unit", Value: unit} }
func colLinks(links ...dataLink) property  { return property{ID: "links", Value: links} }
func colMappings(m ...mapping) property    { return property{ID: "mappings", Value: m} }
func colThresholds(t *thresholds) property { return property{ID: "thresholds", Value: t} }
func colDecimals(n int) property           { return property{ID: "decimals", Value: n} }

// coloured fills the cell (or with "color-text" its letters) with the colour of its value.
func coloured(how string) property {
	options := object{"type": how}
	if how == "color-background" {
		options["mode"] = "basic"
	}
	return property{ID: "custom.cellOptions", Value: options}
}

// fixed gives the series of one name a colour.
func fixed(name, colorName string, more ...property) override {
	return override{
		Matcher:    object{"id": "byName", "options": name},
		Properties: append([]property{{ID: "color", Value: color{Mode: "fixed", FixedColor: colorName}}}, more...),
	}
}

// to links to another dashboard: same data source, job, filters and time, and the given
// variables, whose values are percent-encoded because names of connectors may
// hold anything.
func to(title, uid string, variables ...string) dataLink {
	parts := append([]string{"${__url_time_range}", "${datasource:queryparam}", "${job:queryparam}", "${filters:queryparam}"}, variables...)
	return dataLink{Title: title, URL: "/d/" + uid + "?" + strings.Join(parts, "&")}
}
