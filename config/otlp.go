package config

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

const (
	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"

	defaultServiceName = "kafka-connect-exporter"
)

// loadOTLP joins the file's block, the standard variables and the defaults, in
// this order of precedence, and validates them. The variables are those of
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
// …/configuration/sdk-environment-variables/. A platform sets them for all of its
// programs: where nothing is pushed, none of them stops anything.
func (l *loader) loadOTLP(block *yaml.Node, place func(field string) string) error {
	l.config.effective.OTLP = nil
	if block != nil { // What stands empty is not written.
		block.Content = slices.Concat(slices.DeleteFunc(slices.Collect(slices.Chunk(block.Content, 2)), func(field []*yaml.Node) bool {
			return isNull(field[1]) || field[1].Value == "" && len(field[1].Content) == 0
		})...)
	}
	e := l.environment
	_, endpoint := e.first(otlpNames("ENDPOINT")...)
	if own := child(block, "endpoint") != nil; !own && (!e.exports() || block == nil && endpoint == "") {
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
			return fmt.Errorf("%s: cannot be decoded: look for values of the wrong kind", place("otlp"))
		}
		if child(block, "tls_config") != nil {
			settings.TLSConfig.SetDirectory(l.directory())
		}
		for name, file := range settings.HeadersFiles {
			settings.HeadersFiles[name] = commoncfg.JoinDir(l.directory(), file)
		}
	}
	at := origin{field: func(field string) string {
		if name, set := variables[strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' })[0]]; set {
			return name
		}
		return place(join("otlp", field))
	}}
	return l.validateOTLP(&settings, variables["endpoint"], at)
}

// validateOTLP validates what is in effect. endpointVariable gave the endpoint,
// "" for the file.
func (l *loader) validateOTLP(settings *OTLPSettings, endpointVariable string, at origin) error {
	if err := otlpChoices(settings, at); err != nil {
		return err
	}
	endpoint, err := otlpEndpoint(settings, endpointVariable, at)
	if err != nil {
		return err
	}
	if err := settings.TLSConfig.Validate(); err != nil {
		return at.wrong("tls_config", "%s", clientProblem(err))
	}
	for name := range settings.HeadersFiles {
		if _, twice := settings.Headers[name]; twice {
			return at.wrong("headers_files."+name, "the header is in headers too: keep one")
		}
	}
	if _, err := settings.credentials(at); err != nil {
		return err
	}
	l.dependOn(settings.TLSConfig.CAFile, settings.TLSConfig.CertFile, settings.TLSConfig.KeyFile)
	for _, name := range slices.Sorted(maps.Keys(settings.HeadersFiles)) {
		l.dependOn(settings.HeadersFiles[name])
	}
	attributes := map[string]string{"service.name": defaultServiceName}
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
	l.config.otlp = &OTLP{
		Endpoint:           endpoint,
		OTLPSettings:       *settings,
		ResourceAttributes: attributes,
	}
	return nil
}

func otlpChoices(settings *OTLPSettings, at origin) error {
	return cmp.Or(
		at.when(settings.Endpoint == "", "endpoint", "is required, such as http://collector:4318"),
		at.choice("protocol", settings.Protocol, protocolHTTP, protocolGRPC),
		at.choice("compression", settings.Compression, "gzip", "none"),
		at.when(settings.Interval <= 0, "interval", "must be more than 0s"),
		at.when(settings.Timeout <= 0, "timeout", "must be more than 0s"),
	)
}

// otlpEndpoint makes a whole URL of the endpoint.
func otlpEndpoint(settings *OTLPSettings, variable string, at origin) (*url.URL, error) {
	text := strings.TrimSpace(settings.Endpoint)
	if settings.Protocol == protocolGRPC && !strings.Contains(text, "://") {
		scheme := "https://"
		if settings.Insecure {
			scheme = "http://"
		}
		text = scheme + text
	} else if settings.Insecure && strings.HasPrefix(strings.ToLower(text), "https://") {
		return nil, at.wrong("insecure", "contradicts the https:// of the endpoint: change one of them")
	}
	endpoint, user, err := parseURL(text)
	if err != nil {
		return nil, at.wrong("endpoint", "%s", strings.ReplaceAll(err.Error(), "connect-1:8083", "collector:4318"))
	}
	if user != nil {
		return nil, at.wrong("endpoint", "must not carry a user and password: use headers")
	}
	if settings.Protocol == protocolGRPC {
		return endpoint, nil
	}
	switch base := strings.HasSuffix(text, "/"); {
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
func (o *OTLP) Credentials() (*OTLPCredentials, error) {
	return o.credentials(origin{field: func(field string) string { return join("otlp", field) }})
}

func (o *OTLPSettings) credentials(at origin) (*OTLPCredentials, error) {
	headers, err := otlpHeaders(o, at)
	if err != nil {
		return nil, err
	}
	verify, err := readTLS(&o.TLSConfig, "tls_config", at)
	if err != nil {
		return nil, err
	}
	config, err := commoncfg.NewTLSConfig(&verify)
	if err != nil {
		return nil, at.wrong("tls_config", "cannot be used")
	}
	version := sha256.Sum256(fmt.Appendf(nil, "%q", []string{verify.CA, verify.Cert, string(verify.Key)}))
	return &OTLPCredentials{Headers: headers, TLS: config, Version: string(version[:])}, nil
}

// otlpHeaders joins the headers with those that are in files.
func otlpHeaders(settings *OTLPSettings, at origin) (map[string]string, error) {
	headers := map[string]string{}
	for name, value := range settings.Headers {
		headers[name] = strings.TrimRight(string(value), "\r\n")
	}
	for name, path := range settings.HeadersFiles {
		value, err := safefile.ReadSecret(path)
		if err != nil {
			return nil, at.wrong("headers_files."+name, "%s %s", path, err)
		}
		headers[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(headers[name]) {
			return nil, at.wrong("headers", "%q is no valid HTTP header: a name of letters, digits and -, a value without line breaks", fieldName.FindString(name))
		}
		if settings.Protocol == protocolGRPC && !grpcHeader(name, headers[name]) {
			return nil, at.wrong("headers", "%q cannot be sent over gRPC: a name of letters, digits, -, _ and . that does not begin with grpc-, a value of ASCII characters", fieldName.FindString(name))
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
	settings, variables = defaultOTLP(), map[string]string{}
	read := func(field string, assign func(value string) error, names ...string) {
		name, value := e.first(names...)
		if name == "" {
			return
		}
		if wrong := assign(value); wrong != nil && err == nil {
			err = fmt.Errorf("%s: %w", name, wrong)
		}
		if variables[field] == "" {
			variables[field] = name
		}
	}
	exporter := func(field, suffix string, assign func(value string) error, over ...string) {
		if !slices.ContainsFunc(append(over, field), func(field string) bool { return child(block, field) != nil }) {
			read(field, assign, otlpNames(suffix)...)
		}
	}
	text := func(target *string) func(string) error {
		return func(value string) error { *target = value; return nil }
	}
	exporter("compression", "COMPRESSION", text(&settings.Compression))
	exporter("endpoint", "ENDPOINT", text(&settings.Endpoint))
	exporter("headers", "HEADERS", func(value string) error {
		pairs, err := keyValues(value)
		settings.Headers = map[string]commoncfg.Secret{}
		for name, value := range pairs {
			settings.Headers[name] = commoncfg.Secret(value)
		}
		return err
	}, "headers_files")
	if !strings.Contains(settings.Endpoint, "://") { // A scheme takes precedence over the variable.
		exporter("insecure", "INSECURE", boolean(&settings.Insecure), "endpoint")
	}
	if child(block, "interval") == nil {
		read("interval", milliseconds(&settings.Interval), "OTEL_METRIC_EXPORT_INTERVAL")
	}
	exporter("protocol", "PROTOCOL", text(&settings.Protocol))
	read("resource_attributes", func(value string) (err error) {
		settings.ResourceAttributes, err = keyValues(value)
		return err
	}, "OTEL_RESOURCE_ATTRIBUTES")
	if name, set := e.lookup("OTEL_SERVICE_NAME"); set {
		if settings.ResourceAttributes == nil {
			settings.ResourceAttributes = map[string]string{}
		}
		settings.ResourceAttributes["service.name"] = name
	}
	exporter("timeout", "TIMEOUT", milliseconds(&settings.Timeout))
	exporter("tls_config", "CERTIFICATE", text(&settings.TLSConfig.CAFile))
	exporter("tls_config", "CLIENT_CERTIFICATE", text(&settings.TLSConfig.CertFile))
	exporter("tls_config", "CLIENT_KEY", text(&settings.TLSConfig.KeyFile))
	if err == nil {
		err = e.refuseDelta()
	}
	return settings, variables, err
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

// refuseDelta says no to sums that begin anew with each export: the exporter's
// counters go on, and so do those that it shows of clusters.
func (e *environment) refuseDelta() error {
	const name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	if value, set := e.lookup(name); set && !strings.EqualFold(value, "cumulative") {
		return fmt.Errorf("%s: must be cumulative, or not be set: other sums (delta, lowmemory) are not sent; an OpenTelemetry Collector can convert them (cumulativetodelta)", name)
	}
	return nil
}

// keyValues reads "key=value,key=value" with percent-encoded values.
func keyValues(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, value, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || key == "" || err != nil {
			return nil, errors.New("must be key=value pairs with commas between them, special characters percent-encoded")
		}
		pairs[key] = value
	}
	return pairs, nil
}

func milliseconds(target *Duration) func(string) error {
	return func(value string) error {
		number, err := strconv.ParseInt(value, 10, 32)
		if err != nil || number < 1 {
			return errors.New("must be a whole number of milliseconds, at least 1")
		}
		*target = Duration(time.Duration(number) * time.Millisecond)
		return nil
	}
}

func boolean(target *bool) func(string) error {
	return func(value string) error {
		switch strings.ToLower(value) {
		case "true":
			*target = true
		case "false":
			*target = false
		default:
			return errors.New("must be true or false")
		}
		return nil
	}
}
