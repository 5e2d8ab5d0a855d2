package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

const (
	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

// loadOTLP joins the file's block, the standard variables and the defaults, in
// this order of precedence, and validates them. The variables are those of
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
// …/configuration/sdk-environment-variables/. A platform sets them for all of its
// programs: where nothing is pushed, none of them stops anything.
func (l *loader) loadOTLP(document *strict.Document) error {
	l.config.effective.OTLP = nil
	var block *yaml.Node
	if document != nil && document.Has("otlp") {
		block = cmp.Or(strict.Child(document.Body, "otlp"), &yaml.Node{Kind: yaml.MappingNode})
	}
	if block != nil { // What stands empty is not written, and neither is a default.
		block.Content = slices.Concat(slices.DeleteFunc(slices.Collect(slices.Chunk(block.Content, 2)), func(field []*yaml.Node) bool {
			return field[1].Line == 0 || field[1].Value == "" && len(field[1].Content) == 0
		})...)
	}
	e := l.environment
	_, endpoint := e.first(otlpNames("ENDPOINT")...)
	if strict.Child(block, "endpoint") == nil && (!e.exports() || block == nil && endpoint == "") {
		e.warnOfExporter()
		return nil
	}
	switch disabled, _ := e.lookup("OTEL_SDK_DISABLED"); strings.ToLower(disabled) {
	case "true":
		l.warn("OTEL_SDK_DISABLED is true: nothing is pushed by OTLP")
		return nil
	case "", "false":
	default:
		l.warn("OTEL_SDK_DISABLED is neither true nor false, and counts as false")
	}
	settings, variables, err := e.otlp(block)
	if err != nil {
		return err
	}
	if block != nil {
		if err := block.Decode(&settings); err != nil {
			return fmt.Errorf("%s: cannot be decoded: look for values of the wrong kind", document.At("otlp"))
		}
	}
	at := strict.Place(func(field string) string {
		if name, set := strict.Around(variables, field); set {
			return name
		}
		if document == nil {
			return field
		}
		return document.At(strict.Join("otlp", field))
	})
	return l.validateOTLP(&settings, variables["endpoint"], at)
}

// validateOTLP validates what is in effect. endpointVariable gave the endpoint,
// "" for the file.
func (l *loader) validateOTLP(settings *OTLPSettings, endpointVariable string, at strict.Place) error {
	if err := cmp.Or(
		at.When(settings.Endpoint == "", "endpoint", "is required, such as http://collector:4318"),
		at.Choice("protocol", settings.Protocol, protocolHTTP, protocolGRPC),
		at.Choice("compression", settings.Compression, "gzip", "none"),
		at.When(settings.Interval <= 0, "interval", "must be more than 0s"),
		at.When(settings.Timeout <= 0, "timeout", "must be more than 0s"),
	); err != nil {
		return err
	}
	endpoint, err := otlpEndpoint(settings, endpointVariable, at)
	if err != nil {
		return err
	}
	if err := settings.TLSConfig.Validate(); err != nil {
		return at.Wrong("tls_config", "%s", strict.ClientProblem(err))
	}
	for name := range settings.HeadersFiles {
		if _, twice := settings.Headers[name]; twice {
			return at.Wrong("headers_files."+name, "the header is in headers too: keep one")
		}
	}
	if _, err := settings.credentials(at); err != nil {
		return err
	}
	l.dependOn(settings.TLSConfig.CAFile, settings.TLSConfig.CertFile, settings.TLSConfig.KeyFile)
	for _, name := range slices.Sorted(maps.Keys(settings.HeadersFiles)) {
		l.dependOn(settings.HeadersFiles[name])
	}
	attributes := map[string]string{"service.name": "kafka-connect-exporter"}
	if l.sources.InstanceID != "" {
		attributes["service.instance.id"] = l.sources.InstanceID
	}
	maps.Copy(attributes, settings.ResourceAttributes)
	settings.Endpoint = endpoint.String()
	if settings.Protocol != protocolGRPC && strings.HasSuffix(endpoint.Path, "/") {
		// So that what is printed means the same in a file (RFC 3986, 5.2.4).
		settings.Endpoint += "."
	}
	l.config.effective.OTLP = settings
	l.config.OTLP = &OTLP{*settings, endpoint, attributes}
	return nil
}

// otlpEndpoint makes a whole URL of the endpoint.
func otlpEndpoint(settings *OTLPSettings, variable string, at strict.Place) (*url.URL, error) {
	text := strings.TrimSpace(settings.Endpoint)
	if settings.Protocol == protocolGRPC && !strings.Contains(text, "://") {
		scheme := "https://"
		if settings.Insecure {
			scheme = "http://"
		}
		text = scheme + text
	} else if settings.Insecure && strings.HasPrefix(strings.ToLower(text), "https://") {
		return nil, at.Wrong("insecure", "contradicts the https:// of the endpoint: change one of them")
	}
	endpoint, user, err := client.ParseURL(text)
	if err != nil {
		return nil, at.Wrong("endpoint", "%s", strings.ReplaceAll(err.Error(), "connect-1:8083", "collector:4318"))
	}
	if user != nil {
		return nil, at.Wrong("endpoint", "must not carry a user and password: use headers")
	}
	switch base := strings.HasSuffix(text, "/"); {
	case settings.Protocol == protocolGRPC:
	case variable == "" && strings.HasSuffix(endpoint.Path, "/."):
		endpoint.Path = strings.TrimSuffix(endpoint.Path, ".")
	case variable == "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT":
		// Used as it is. parseURL takes a trailing slash off.
		if base || endpoint.Path == "" {
			endpoint.Path += "/"
		}
	case base, endpoint.Path == "", variable != "":
		return endpoint.JoinPath("v1/metrics"), nil
	}
	return endpoint, nil
}

// Credentials reads the files that they come from anew. An error names the
// setting, and the file if it cannot be read.
func (o *OTLP) Credentials() (OTLPCredentials, error) {
	return o.credentials(func(field string) string { return strict.Join("otlp", field) })
}

func (o *OTLPSettings) credentials(at strict.Place) (c OTLPCredentials, err error) {
	if c.Headers, err = o.headers(at); err != nil {
		return c, err
	}
	verify, err := client.ReadTLS(&o.TLSConfig, "tls_config", at)
	if err != nil {
		return c, err
	}
	version := sha256.Sum256(fmt.Appendf(nil, "%q", []string{verify.CA, verify.Cert, string(verify.Key)}))
	c.Version = string(version[:])
	if c.TLS, err = commoncfg.NewTLSConfig(&verify); err != nil {
		err = at.Wrong("tls_config", "cannot be used")
	}
	return c, err
}

// headers joins the headers with those that are in files.
func (o *OTLPSettings) headers(at strict.Place) (map[string]string, error) {
	headers := map[string]string{}
	for name, value := range o.Headers {
		headers[name] = strings.TrimRight(string(value), "\r\n")
	}
	for name, path := range o.HeadersFiles {
		value, err := safefile.ReadSecret(path)
		if err != nil {
			return nil, at.Wrong("headers_files."+name, "%s %s", path, err)
		}
		headers[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		valid := httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(headers[name])
		if err := cmp.Or(
			at.When(!valid, "headers", "%q is no valid HTTP header: a name of letters, digits and -, a value without line breaks", strict.FieldName(name)),
			at.When(o.Protocol == protocolGRPC && !grpcHeader(name, headers[name]), "headers", "%q cannot be sent over gRPC: a name of letters, digits, -, _ and . that does not begin with grpc-, a value of ASCII characters", strict.FieldName(name)),
		); err != nil {
			return nil, err
		}
	}
	return headers, nil
}

// grpcHeader tells whether gRPC sends a header: others fail each request, or are
// left out without a word.
func grpcHeader(name, value string) bool {
	name = strings.ToLower(name)
	return !strings.HasPrefix(name, "grpc-") && !slices.Contains([]string{"content-type", "te", "user-agent"}, name) &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == "" &&
		(strings.HasSuffix(name, "-bin") || !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }))
}

// otlpNames are the names of one of the exporter's variables: that for metrics
// alone stands over that for all signals.
func otlpNames(suffix string) []string {
	return []string{"OTEL_EXPORTER_OTLP_METRICS_" + suffix, "OTEL_EXPORTER_OTLP_" + suffix}
}

// otlp puts the standard variables over the defaults, but those of what is written
// in the file's block. It returns which variable gave which field.
func (e *environment) otlp(block *yaml.Node) (settings OTLPSettings, variables map[string]string, err error) {
	settings, variables = strict.Default[OTLPSettings](), map[string]string{}
	written := func(fields ...string) bool {
		return slices.ContainsFunc(fields, func(field string) bool { return strict.Child(block, field) != nil })
	}
	for _, v := range []struct {
		field   string
		names   []string
		set     func(value string) error
		written bool
	}{
		{"compression", otlpNames("COMPRESSION"), text(&settings.Compression), written("compression")},
		{"endpoint", otlpNames("ENDPOINT"), text(&settings.Endpoint), written("endpoint")},
		{"headers", otlpNames("HEADERS"), keyValues(&settings.Headers), written("headers", "headers_files")},
		{"insecure", otlpNames("INSECURE"), boolean(&settings.Insecure), written("insecure", "endpoint")},
		{"interval", []string{"OTEL_METRIC_EXPORT_INTERVAL"}, milliseconds(&settings.Interval), written("interval")},
		{"protocol", otlpNames("PROTOCOL"), text(&settings.Protocol), written("protocol")},
		{"resource_attributes", []string{"OTEL_RESOURCE_ATTRIBUTES"}, keyValues(&settings.ResourceAttributes), false},
		{"timeout", otlpNames("TIMEOUT"), milliseconds(&settings.Timeout), written("timeout")},
		{"tls_config", otlpNames("CERTIFICATE"), text(&settings.TLSConfig.CAFile), written("tls_config")},
		{"tls_config", otlpNames("CLIENT_CERTIFICATE"), text(&settings.TLSConfig.CertFile), written("tls_config")},
		{"tls_config", otlpNames("CLIENT_KEY"), text(&settings.TLSConfig.KeyFile), written("tls_config")},
		{"", []string{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"}, cumulative, false},
	} {
		name, value := e.first(v.names...)
		// The scheme of an endpoint takes precedence over the variable.
		if name == "" || v.written || v.field == "insecure" && strings.Contains(settings.Endpoint, "://") {
			continue
		}
		if err := v.set(value); err != nil {
			return settings, nil, fmt.Errorf("%s: %w", name, err)
		}
		variables[v.field] = cmp.Or(variables[v.field], name)
	}
	if name, set := e.lookup("OTEL_SERVICE_NAME"); set {
		if settings.ResourceAttributes == nil {
			settings.ResourceAttributes = map[string]string{}
		}
		settings.ResourceAttributes["service.name"] = name
	}
	return settings, variables, nil
}

// exports says whether OTEL_METRICS_EXPORTER, a list, has otlp or is not set.
func (e *environment) exports() bool {
	list, set := e.lookup(metricsExporter)
	return !set || slices.ContainsFunc(strings.Split(list, ","), func(name string) bool { return strings.TrimSpace(name) == "otlp" })
}

const metricsExporter = "OTEL_METRICS_EXPORTER"

// warnOfExporter warns of an exporter that is not there. none is what happens,
// and prometheus is what /metrics is.
func (e *environment) warnOfExporter() {
	list, _ := e.lookup(metricsExporter)
	for name := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(name) {
		case "", "none", "prometheus":
		case "otlp":
			e.warn("%s is otlp, but no endpoint is set: nothing is pushed", metricsExporter)
		case "console", "logging":
			e.warn("%s is console, which this exporter does not have: nothing is pushed", metricsExporter)
		default:
			e.warn("%s names an exporter that is not known: nothing is pushed", metricsExporter)
		}
	}
}

// cumulative says no to sums that begin anew with each export: the exporter's
// counters go on, and so do those that it shows of clusters.
func cumulative(value string) error {
	if !strings.EqualFold(value, "cumulative") {
		return errors.New("must be cumulative, or not be set: other sums (delta, lowmemory) are not sent; an OpenTelemetry Collector can convert them (cumulativetodelta)")
	}
	return nil
}
