package config

import (
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

// notWritten marks a duration that the file leaves to the environment.
const notWritten = duration(-1)

func (o *otlpSettings) UnmarshalYAML(node *yaml.Node) error {
	type plain otlpSettings
	o.Interval, o.Timeout = notWritten, notWritten
	return node.Decode((*plain)(o))
}

// loadOTLP joins the file's block, the standard variables and the defaults, in
// this order of precedence, and validates them. The variables are those of
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/ and
// …/configuration/sdk-environment-variables/. A platform sets them for all of its
// programs: where nothing is pushed, none of them stops anything.
func (l *loader) loadOTLP(place func(field string) string) error {
	document := &l.config.effective
	written := document.OTLP
	document.OTLP = nil
	given := l.environment.otlp()
	own := written != nil && written.Endpoint != ""
	if written == nil && !given.on() || !own && !given.exports {
		l.environment.warnOfExporter()
		return nil
	}
	switch disabled, _ := l.environment.lookup("OTEL_SDK_DISABLED"); strings.ToLower(disabled) {
	case "true":
		l.warn("OTEL_SDK_DISABLED is true: nothing is pushed by OTLP")
		return nil
	case "", "false":
	default:
		l.warn("OTEL_SDK_DISABLED is neither true nor false, and counts as false")
	}
	if written == nil {
		written = &otlpSettings{Interval: notWritten, Timeout: notWritten}
	}
	overlay(&given, written)
	if err := given.problem(); err != nil {
		return err
	}
	if err := l.environment.refuseDelta(); err != nil {
		return err
	}
	at := origin{field: func(field string) string {
		if name, set := given.places[strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' })[0]]; set {
			return name
		}
		return place(join("otlp", field))
	}}
	return l.validateOTLP(&given.settings, given.places["endpoint"], at)
}

// overlay puts what the file says over what the environment says.
func overlay(given *otelSettings, written *otlpSettings) {
	settings := &given.settings
	take := func(set bool, field string, assign func()) {
		if set {
			assign()
			delete(given.places, field)
			delete(given.problems, field)
		}
	}
	take(written.Endpoint != "", "endpoint", func() { settings.Endpoint = written.Endpoint })
	take(written.Protocol != "", "protocol", func() { settings.Protocol = written.Protocol })
	take(written.Interval != notWritten, "interval", func() { settings.Interval = written.Interval })
	take(written.Timeout != notWritten, "timeout", func() { settings.Timeout = written.Timeout })
	take(written.Compression != "", "compression", func() { settings.Compression = written.Compression })
	take(written.Insecure || written.Endpoint != "", "insecure", func() { settings.Insecure = written.Insecure })
	if strings.Contains(settings.Endpoint, "://") && given.places["insecure"] != "" {
		// The specification: a scheme takes precedence over the variable.
		settings.Insecure = false
		delete(given.problems, "insecure")
	}
	take(written.TLSConfig != commoncfg.TLSConfig{}, "tls_config", func() { settings.TLSConfig = written.TLSConfig })
	take(written.Headers != nil || written.HeadersFiles != nil, "headers", func() {
		settings.Headers, settings.HeadersFiles = written.Headers, written.HeadersFiles
	})
	if len(written.ResourceAttributes) > 0 {
		attributes := maps.Clone(written.ResourceAttributes)
		for name, value := range settings.ResourceAttributes {
			if _, written := attributes[name]; !written {
				attributes[name] = value
			}
		}
		settings.ResourceAttributes = attributes
	}
}

// validateOTLP validates what is in effect. endpointVariable gave the endpoint,
// "" for the file.
func (l *loader) validateOTLP(settings *otlpSettings, endpointVariable string, at origin) error {
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
		Protocol:           settings.Protocol,
		Interval:           time.Duration(settings.Interval),
		Timeout:            time.Duration(settings.Timeout),
		Compression:        settings.Compression,
		ResourceAttributes: attributes,
		settings:           settings,
	}
	return nil
}

func otlpChoices(settings *otlpSettings, at origin) error {
	switch {
	case settings.Endpoint == "":
		return at.wrong("endpoint", "is required, such as http://collector:4318")
	case settings.Protocol != protocolHTTP && settings.Protocol != protocolGRPC:
		return at.wrong("protocol", "must be http/protobuf or grpc")
	case settings.Compression != "gzip" && settings.Compression != "none":
		return at.wrong("compression", "must be gzip or none")
	case settings.Interval <= 0:
		return at.wrong("interval", "must be more than 0s")
	case settings.Timeout <= 0:
		return at.wrong("timeout", "must be more than 0s")
	}
	return nil
}

// otlpEndpoint makes a whole URL of the endpoint.
func otlpEndpoint(settings *otlpSettings, variable string, at origin) (*url.URL, error) {
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
	return o.settings.credentials(origin{field: func(field string) string { return join("otlp", field) }})
}

func (o *otlpSettings) credentials(at origin) (*OTLPCredentials, error) {
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
func otlpHeaders(settings *otlpSettings, at origin) (map[string]string, error) {
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
		if !httpguts.ValidHeaderFieldName(name) || !headerValue(headers[name]) {
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

// otelSettings are what the standard variables say.
type otelSettings struct {
	settings otlpSettings
	// places tells which variable gave which field, problems what is wrong with
	// one; it only matters where the field is used.
	places   map[string]string
	problems map[string]error
	// exports tells that OTEL_METRICS_EXPORTER does not choose otherwise.
	exports bool
}

// on says whether the environment turns the push on.
func (o *otelSettings) on() bool { return o.exports && o.settings.Endpoint != "" }

// problem returns the first problem, by field.
func (o *otelSettings) problem() error {
	for _, field := range slices.Sorted(maps.Keys(o.problems)) {
		return o.problems[field]
	}
	return nil
}

// otlp reads the standard variables. A variable for metrics alone stands over
// the one for all signals.
func (e *environment) otlp() otelSettings {
	o := otelSettings{settings: defaultOTLP(), places: map[string]string{}, problems: map[string]error{}, exports: e.exports()}
	settings := &o.settings
	read := func(field string, assign func(value string) error, names ...string) {
		for _, name := range names {
			value, set := e.lookup(name)
			if !set {
				continue
			}
			if err := assign(value); err != nil {
				o.problems[field] = fmt.Errorf("%s: %w", name, err)
			}
			if _, taken := o.places[field]; !taken {
				o.places[field] = name
			}
			return
		}
	}
	exporter := func(field, suffix string, assign func(value string) error) {
		read(field, assign, "OTEL_EXPORTER_OTLP_METRICS_"+suffix, "OTEL_EXPORTER_OTLP_"+suffix)
	}
	text := func(target *string) func(string) error {
		return func(value string) error { *target = value; return nil }
	}
	exporter("protocol", "PROTOCOL", text(&settings.Protocol))
	exporter("endpoint", "ENDPOINT", text(&settings.Endpoint))
	exporter("timeout", "TIMEOUT", milliseconds(&settings.Timeout))
	exporter("compression", "COMPRESSION", text(&settings.Compression))
	exporter("insecure", "INSECURE", boolean(&settings.Insecure))
	exporter("tls_config", "CERTIFICATE", text(&settings.TLSConfig.CAFile))
	exporter("tls_config", "CLIENT_CERTIFICATE", text(&settings.TLSConfig.CertFile))
	exporter("tls_config", "CLIENT_KEY", text(&settings.TLSConfig.KeyFile))
	exporter("headers", "HEADERS", func(value string) error {
		pairs, err := keyValues(value)
		settings.Headers = map[string]commoncfg.Secret{}
		for name, value := range pairs {
			settings.Headers[name] = commoncfg.Secret(value)
		}
		return err
	})
	read("interval", milliseconds(&settings.Interval), "OTEL_METRIC_EXPORT_INTERVAL")
	read("resource_attributes", func(value string) (err error) {
		settings.ResourceAttributes, err = keyValues(value)
		return err
	}, "OTEL_RESOURCE_ATTRIBUTES")
	if value, set := e.lookup("OTEL_SERVICE_NAME"); set {
		if settings.ResourceAttributes == nil {
			settings.ResourceAttributes = map[string]string{}
		}
		settings.ResourceAttributes["service.name"] = value
	}
	return o
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

func milliseconds(target *duration) func(string) error {
	return func(value string) error {
		number, err := strconv.ParseInt(value, 10, 32)
		if err != nil || number < 1 {
			return errors.New("must be a whole number of milliseconds, at least 1")
		}
		*target = duration(time.Duration(number) * time.Millisecond)
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
