package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	commoncfg "github.com/prometheus/common/config"
)

// brokerSettings are what Kpow's variables for Kafka say.
type brokerSettings struct {
	bootstrap, protocol, mechanism, jaas, tokenURL string
	stores                                         stores
}

// brokerVariables lists the variables that say where the brokers are.
func brokerVariables() []variable[brokerSettings] {
	return slices.Concat([]variable[brokerSettings]{
		{"BOOTSTRAP", "", "Brokers, host:port, with commas between them.", "kafka.bootstrap_servers", text(func(b *brokerSettings) *string { return &b.bootstrap })},
		{"SECURITY_PROTOCOL", "", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.", "kafka.tls_config", func(b *brokerSettings, value string) error {
			b.protocol = strings.ToUpper(value)
			if !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, b.protocol) {
				return errors.New("must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
			}
			return nil
		}},
		{"SASL_MECHANISM", "", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM.", "kafka.sasl.mechanism", text(func(b *brokerSettings) *string { return &b.mechanism })},
		{"SASL_JAAS_CONFIG", "", "Credentials, as Kafka's clients take them: PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule (clientId, clientSecret, scope) or IAMLoginModule (awsRoleArn).", "kafka.sasl", text(func(b *brokerSettings) *string { return &b.jaas })},
		{"SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", "", "Where OAUTHBEARER gets tokens.", "kafka.sasl.oauth2.token_url", text(func(b *brokerSettings) *string { return &b.tokenURL })},
	}, storeVariables("SSL", "brokers", "", func(b *brokerSettings) *stores { return &b.stores }), []variable[brokerSettings]{
		{"SSL_ENDPOINT_IDENTIFICATION_ALGORITHM", "", "https: a broker's certificate must carry its name, which it must in any case.", "", func(_ *brokerSettings, value string) error {
			if !strings.EqualFold(value, "https") {
				return errors.New("must be https, or not be set: names are always verified")
			}
			return nil
		}},
	})
}

// brokers fills the block kafka, if a variable tells the workers' group or
// topics: Kpow's variables alone are of Kafka, and not of Connect.
func (c *environmentCluster) brokers(e *environment, prefix string, fields map[string]string) error {
	why := ""
	for _, field := range []string{"kafka.group_id", "kafka.status_storage_topic", "kafka.offset_storage_topic"} {
		if why == "" {
			why = fields[field]
		}
	}
	if why == "" && c.settings.ObservationVersion == versionBrokers {
		return fmt.Errorf("%sCONNECT_OBSERVATION_VERSION: brokers needs %sCONNECT_GROUP_ID, %sCONNECT_STATUS_STORAGE_TOPIC and BOOTSTRAP", prefix, prefix, prefix)
	}
	if why == "" {
		return nil
	}
	fields["kafka"] = why
	// The clusters of one Kafka cluster share what is said of it.
	if _, own := e.lookup(prefix + "BOOTSTRAP"); !own {
		prefix = ""
	}
	var b brokerSettings
	if err := read(e, prefix, brokerVariables(), &b, fields); err != nil {
		return err
	}
	if fields["kafka.sasl"] == "" {
		fields["kafka.sasl"] = prefix + "SASL_MECHANISM"
	}
	if b.bootstrap == "" {
		return fmt.Errorf("%s: only the brokers tell what this names, and BOOTSTRAP is not set: set it to their addresses (host:port), or remove this", why)
	}
	kafka := defaultKafka()
	kafka.GroupID, kafka.StatusStorageTopic, kafka.OffsetStorageTopic = c.group, c.statuses, c.offsets
	for server := range strings.SplitSeq(b.bootstrap, ",") {
		if server = strings.TrimSpace(server); server != "" {
			kafka.BootstrapServers = append(kafka.BootstrapServers, server)
		}
	}
	files, err := b.encrypt(e, prefix, &kafka)
	if err != nil {
		return err
	}
	c.settings.Kafka, c.settings.files = &kafka, append(c.settings.files, files...)
	return b.authenticate(e, prefix, &kafka)
}

// encrypt sets TLS up, and returns the files that it read.
func (b *brokerSettings) encrypt(e *environment, prefix string, kafka *Kafka) (files []string, err error) {
	if !strings.HasSuffix(b.protocol, "SSL") {
		return nil, nil
	}
	kafka.TLSConfig = &commoncfg.TLSConfig{}
	return b.stores.read(e, prefix+"SSL", kafka.TLSConfig)
}

func (b *brokerSettings) authenticate(e *environment, prefix string, kafka *Kafka) error {
	wrong := func(variable, format string, args ...any) error {
		return fmt.Errorf("%s%s: %s", prefix, variable, fmt.Sprintf(format, args...))
	}
	if !strings.HasPrefix(b.protocol, "SASL_") {
		if b.mechanism != "" || b.jaas != "" {
			e.warn("%sSASL_MECHANISM and SASL_JAAS_CONFIG are ignored: %sSECURITY_PROTOCOL is neither SASL_SSL nor SASL_PLAINTEXT", prefix, prefix)
		}
		return nil
	}
	sasl := &SASL{Mechanism: b.mechanism}
	kafka.SASL = sasl
	module := map[string]string{
		SASLPlain: "PlainLoginModule", SASLScramSHA256: "ScramLoginModule", SASLScramSHA512: "ScramLoginModule",
		SASLOAuthBearer: "OAuthBearerLoginModule", SASLAWSMSKIAM: "IAMLoginModule",
	}[b.mechanism]
	switch {
	case b.mechanism == "":
		return wrong("SASL_MECHANISM", "is not set, but SECURITY_PROTOCOL is %s", b.protocol)
	case module == "" || b.mechanism == SASLAWSMSKIAM && b.jaas == "": // What is no mechanism is said when it is validated.
		return nil
	}
	if b.jaas == "" {
		return wrong("SASL_JAAS_CONFIG", "is not set, but SASL_MECHANISM is %s", b.mechanism)
	}
	name, options, ok := parseJAAS(b.jaas)
	if !ok || name[strings.LastIndex(name, ".")+1:] != module {
		return wrong("SASL_JAAS_CONFIG", `must be as Kafka's clients take it for %s: …%s required name="value" …;`, b.mechanism, module)
	}
	sasl.Username, sasl.Password, sasl.RoleARN = options["username"], commoncfg.Secret(options["password"]), options["awsRoleArn"]
	switch {
	case b.mechanism == SASLAWSMSKIAM:
	case b.mechanism != SASLOAuthBearer && (sasl.Username == "" || sasl.Password == ""):
		return wrong("SASL_JAAS_CONFIG", "lacks username and password")
	case b.mechanism != SASLOAuthBearer:
	case b.tokenURL == "":
		return wrong("SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", "is not set, but SASL_MECHANISM is %s", b.mechanism)
	case options["clientId"] == "" || options["clientSecret"] == "":
		return wrong("SASL_JAAS_CONFIG", "lacks clientId and clientSecret")
	default:
		sasl.OAuth2 = &commoncfg.OAuth2{ClientID: options["clientId"], ClientSecret: commoncfg.Secret(options["clientSecret"]), TokenURL: b.tokenURL, Scopes: strings.Fields(options["scope"])}
	}
	return nil
}

var (
	jaasModule = regexp.MustCompile(`^\s*([\w.$]+)\s+(?i:required|requisite|sufficient|optional)\b`)
	jaasOption = regexp.MustCompile(`^\s+([\w.-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"';]+))`)
	jaasEscape = regexp.MustCompile(`\\(.)`)
)

// parseJAAS reads the configuration of one login module.
func parseJAAS(text string) (module string, options map[string]string, ok bool) {
	begin := jaasModule.FindStringSubmatch(text)
	if begin == nil {
		return "", nil, false
	}
	text, options = text[len(begin[0]):], map[string]string{}
	for option := jaasOption.FindStringSubmatch(text); option != nil; option = jaasOption.FindStringSubmatch(text) {
		options[option[1]] = jaasEscape.ReplaceAllString(option[2]+option[3], "$1") + option[4]
		text = text[len(option[0]):]
	}
	return begin[1], options, strings.TrimSpace(text) == ";"
}
