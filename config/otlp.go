package config

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
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
// …/configuration/sdk-environment-variables/.
func (l *loader) loadOTLP(place func(field string) string) error {
	document := &l.config.effective
	fromFile := document.OTLP != nil
	written := otlpSettings{Interval: notWritten, Timeout: notWritten}
	if fromFile {
		written = *document.OTLP
	}
	settings, places, on, err := l.environment.otlp()
	if err != nil {
		return err
	}
	document.OTLP = nil
	if disabled, err := l.environment.flag("OTEL_SDK_DISABLED"); err != nil {
		return err
	} else if disabled {
		if fromFile || on {
			l.warn("OTEL_SDK_DISABLED is true: nothing is pushed by OTLP")
		}
		return nil
	}
	if !fromFile && !on {
		return nil
	}
	at := func(field string) string {
		if name, set := places[strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' })[0]]; set {
			return name
		}
		return place(join("otlp", field))
	}
	overlay(&settings, written, places)
	return l.validateOTLP(&settings, at)
}

// overlay puts what the file says over what the environment says.
func overlay(settings *otlpSettings, written otlpSettings, places map[string]string) {
	take := func(set bool, field string, assign func()) {
		if set {
			assign()
			delete(places, field)
		}
	}
	take(written.Endpoint != "", "endpoint", func() { settings.Endpoint = written.Endpoint })
	take(written.Protocol != "", "protocol", func() { settings.Protocol = written.Protocol })
	take(written.Interval != notWritten, "interval", func() { settings.Interval = written.Interval })
	take(written.Timeout != notWritten, "timeout", func() { settings.Timeout = written.Timeout })
	take(written.Compression != "", "compression", func() { settings.Compression = written.Compression })
	take(written.Insecure || written.Endpoint != "", "insecure", func() { settings.Insecure = written.Insecure })
	if strings.Contains(settings.Endpoint, "://") && places["insecure"] != "" {
		// The specification: a scheme takes precedence over the variable.
		settings.Insecure = false
	}
	take(written.TLSConfig != commoncfg.TLSConfig{}, "tls_config", func() { settings.TLSConfig = written.TLSConfig })
	take(written.Headers != nil || written.HeadersFiles != nil, "headers", func() {
		settings.Headers, settings.HeadersFiles = written.Headers, written.HeadersFiles
	})
	attributes := maps.Clone(settings.ResourceAttributes)
	if attributes == nil {
		attributes = map[string]string{}
	}
	maps.Copy(attributes, written.ResourceAttributes)
	if len(attributes) > 0 {
		settings.ResourceAttributes = attributes
	}
}

func (l *loader) validateOTLP(settings *otlpSettings, at func(field string) string) error {
	wrong := func(field, format string, args ...any) error {
		return fmt.Errorf("%s: %s", at(field), fmt.Sprintf(format, args...))
	}
	switch {
	case settings.Endpoint == "":
		return wrong("endpoint", "is required, such as http://collector:4318")
	case settings.Protocol != protocolHTTP && settings.Protocol != protocolGRPC:
		return wrong("protocol", "must be http/protobuf or grpc")
	case settings.Compression != "gzip" && settings.Compression != "none":
		return wrong("compression", "must be gzip or none")
	case settings.Interval <= 0:
		return wrong("interval", "must be more than 0s")
	case settings.Timeout <= 0:
		return wrong("timeout", "must be more than 0s")
	}
	text := settings.Endpoint
	if settings.Protocol == protocolGRPC && !strings.Contains(text, "://") {
		scheme := "https://"
		if settings.Insecure {
			scheme = "http://"
		}
		text = scheme + text
	} else if settings.Insecure && strings.HasPrefix(strings.ToLower(text), "https://") {
		return wrong("insecure", "contradicts the https:// of the endpoint: change one of them")
	}
	endpoint, user, err := parseURL(text)
	if err != nil {
		return wrong("endpoint", "%s", strings.ReplaceAll(err.Error(), "connect-1:8083", "collector:4318"))
	}
	if user != nil {
		return wrong("endpoint", "must not carry a user and password: use headers")
	}
	if settings.Protocol == protocolHTTP {
		// parseURL takes a trailing slash off, but here it is a path of its own.
		switch {
		case endpoint.Path == "" && strings.HasSuffix(text, "/"):
			endpoint.Path = "/"
		case endpoint.Path == "":
			endpoint.Path = "/v1/metrics"
		}
	}
	if err := settings.TLSConfig.Validate(); err != nil {
		return wrong("tls_config", "%s", err)
	}
	if settings.TLSConfig.CARef != "" || settings.TLSConfig.CertRef != "" || settings.TLSConfig.KeyRef != "" {
		return wrong("tls_config", "a _ref needs a secret manager, which this exporter has none of: use the _file form")
	}
	for name := range settings.HeadersFiles {
		if _, twice := settings.Headers[name]; twice {
			return wrong("headers_files."+name, "the header is in headers too: keep one")
		}
	}
	files := settings.files()
	contents, err := readFields(files, origin{field: at})
	if err != nil {
		return err
	}
	for _, file := range files {
		l.dependOn(file.path)
	}
	if _, err := commoncfg.NewTLSConfig(&settings.TLSConfig); err != nil {
		return wrong("tls_config", "%s", err)
	}
	if _, err := settings.credentials(contents); err != nil {
		return wrong("headers", "%s", err)
	}
	attributes := map[string]string{"service.name": defaultServiceName}
	maps.Copy(attributes, settings.ResourceAttributes)
	settings.Endpoint = endpoint.String()
	l.config.effective.OTLP = settings
	l.config.otlp = &OTLP{
		Endpoint:           endpoint,
		Protocol:           settings.Protocol,
		Interval:           time.Duration(settings.Interval),
		Timeout:            time.Duration(settings.Timeout),
		Compression:        settings.Compression,
		ResourceAttributes: attributes,
		settings:           settings,
		fingerprint:        fingerprint(*settings, nil),
	}
	return nil
}

// files that credentials come from, in the order in which credentials takes their
// contents.
func (o *otlpSettings) files() (files []fileField) {
	for _, file := range []fileField{
		{"tls_config.ca_file", o.TLSConfig.CAFile}, {"tls_config.cert_file", o.TLSConfig.CertFile}, {"tls_config.key_file", o.TLSConfig.KeyFile},
	} {
		if file.path != "" {
			files = append(files, file)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.HeadersFiles)) {
		files = append(files, fileField{"headers_files." + name, o.HeadersFiles[name]})
	}
	return files
}

// credentials are made of the settings and of what the files hold.
func (o *otlpSettings) credentials(contents [][]byte) (*OTLPCredentials, error) {
	headers := map[string]string{}
	for name, value := range o.Headers {
		headers[name] = string(value)
	}
	verify := o.TLSConfig
	files := o.files()
	for i, file := range files {
		text := string(contents[i])
		switch file.field {
		case "tls_config.ca_file":
			verify.CA, verify.CAFile = text, ""
		case "tls_config.cert_file":
			verify.Cert, verify.CertFile = text, ""
		case "tls_config.key_file":
			verify.Key, verify.KeyFile = commoncfg.Secret(text), ""
		default:
			headers[strings.TrimPrefix(file.field, "headers_files.")] = strings.TrimSpace(text)
		}
	}
	for name, value := range headers {
		if !validHeader(name, value) {
			return nil, fmt.Errorf("%q is no valid HTTP header: a name of letters, digits and -, a value without line breaks", fieldName.FindString(name))
		}
	}
	config, err := commoncfg.NewTLSConfig(&verify)
	if err != nil {
		return nil, fmt.Errorf("tls_config: %w", err)
	}
	return &OTLPCredentials{Headers: headers, TLS: config, Version: fingerprint(verify, nil)}, nil
}

// Credentials reads the files that they come from anew. An error names the
// setting, and the file if it cannot be read.
func (o *OTLP) Credentials() (*OTLPCredentials, error) {
	contents, err := readFields(o.settings.files(), origin{field: func(field string) string { return join("otlp", field) }})
	if err != nil {
		return nil, err
	}
	credentials, err := o.settings.credentials(contents)
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	return credentials, nil
}

func validHeader(name, value string) bool {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}) {
		return false
	}
	// What the standard library would refuse when the request is sent.
	request := http.Request{Header: http.Header{name: {value}}}
	return !strings.ContainsAny(request.Header.Get(name)+value, "\r\n\x00")
}

// otlp reads the standard variables. A variable for metrics alone stands over
// the one for all signals. places tells which variable gave which field.
func (e *environment) otlp() (settings otlpSettings, places map[string]string, on bool, err error) {
	settings, places = defaultOTLP(), map[string]string{}
	read := func(field, suffix string, assign func(value string) error) {
		for _, name := range []string{"OTEL_EXPORTER_OTLP_METRICS_" + suffix, "OTEL_EXPORTER_OTLP_" + suffix} {
			if value, set := e.lookup(name); set && err == nil {
				if err = assign(value); err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
				if _, taken := places[field]; !taken {
					places[field] = name
				}
				return
			}
		}
	}
	text := func(target *string) func(string) error {
		return func(value string) error { *target = value; return nil }
	}
	read("protocol", "PROTOCOL", text(&settings.Protocol))
	read("endpoint", "ENDPOINT", text(&settings.Endpoint))
	if settings.Protocol == protocolHTTP && settings.Endpoint != "" {
		// The general endpoint is a base, the one for metrics is used as it is.
		if places["endpoint"] == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			settings.Endpoint = strings.TrimRight(settings.Endpoint, "/") + "/v1/metrics"
		} else if _, path, found := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(settings.Endpoint, "http://"), "https://"), "/"); !found && path == "" {
			settings.Endpoint += "/"
		}
	}
	read("timeout", "TIMEOUT", milliseconds(&settings.Timeout))
	read("compression", "COMPRESSION", text(&settings.Compression))
	read("insecure", "INSECURE", boolean(&settings.Insecure))
	read("tls_config", "CERTIFICATE", text(&settings.TLSConfig.CAFile))
	read("tls_config", "CLIENT_CERTIFICATE", text(&settings.TLSConfig.CertFile))
	read("tls_config", "CLIENT_KEY", text(&settings.TLSConfig.KeyFile))
	read("headers", "HEADERS", func(value string) error {
		pairs, err := keyValues(value)
		settings.Headers = map[string]commoncfg.Secret{}
		for name, value := range pairs {
			settings.Headers[name] = commoncfg.Secret(value)
		}
		return err
	})
	if err != nil {
		return settings, places, false, err
	}
	const interval, attributes, service, exporter = "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_METRICS_EXPORTER"
	if value, set := e.lookup(interval); set {
		places["interval"] = interval
		if err := milliseconds(&settings.Interval)(value); err != nil {
			return settings, places, false, fmt.Errorf("%s: %w", interval, err)
		}
	}
	if value, set := e.lookup(attributes); set {
		if settings.ResourceAttributes, err = keyValues(value); err != nil {
			return settings, places, false, fmt.Errorf("%s: %w", attributes, err)
		}
	}
	if value, set := e.lookup(service); set {
		if settings.ResourceAttributes == nil {
			settings.ResourceAttributes = map[string]string{}
		}
		settings.ResourceAttributes["service.name"] = value
	}
	if value, _ := e.lookup(exporter); value == "none" {
		return settings, places, false, nil
	}
	return settings, places, settings.Endpoint != "", nil
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
