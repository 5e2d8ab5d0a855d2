package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// Mechanisms of SASL, as sasl.mechanism spells them.
const (
	SASLPlain       = "PLAIN"
	SASLScramSHA256 = "SCRAM-SHA-256"
	SASLScramSHA512 = "SCRAM-SHA-512"
	SASLOAuthBearer = "OAUTHBEARER"
	SASLAWSMSKIAM   = "AWS_MSK_IAM"
)

// Kafka says how to read the brokers behind a Connect cluster: its workers'
// group, its status and offset topics, and the groups of its sinks.
type Kafka struct {
	// BootstrapServers are "host:port", at least one.
	BootstrapServers []string
	// GroupID is the workers' group.id, StatusStorageTopic and
	// OffsetStorageTopic are what they keep statuses and source offsets in; ""
	// where not given: what it would tell is not read. A cluster without REST has
	// the first two.
	GroupID, StatusStorageTopic, OffsetStorageTopic string
	// MirrorMaker2Source is the alias of the source cluster where the three above
	// are those of MirrorMaker 2 in dedicated mode; "" otherwise.
	MirrorMaker2Source string
	// TLS verifies the brokers and presents a client certificate; nil: no TLS.
	// Package safefile reads the files that it names.
	TLS *commoncfg.TLSConfig
	// SASL authenticates; nil: not at all.
	SASL *SASL
	// SinkLag says whose lag is read and how much of it is shown.
	SinkLag SinkLag
	// ConnectorTopics exposes which topics each connector uses, SourceTopics when
	// the newest record of each of a source's topics was written.
	ConnectorTopics, SourceTopics bool
}

// SASL is how the exporter authenticates to the brokers.
type SASL struct {
	// Mechanism is one of the SASL constants.
	Mechanism string
	// Username of PLAIN and SCRAM. [SASL.ReadPassword] has the password.
	Username string
	// OAuth2 are the client credentials of OAUTHBEARER; nil for the others.
	OAuth2 *commoncfg.OAuth2
	// Region and RoleARN of AWS_MSK_IAM: where not given, the region is that of
	// the brokers' names and no role is assumed. Credentials are those of the AWS
	// SDK.
	Region, RoleARN string

	password     commoncfg.Secret
	passwordFile string
}

// ReadPassword returns the password of PLAIN and SCRAM, read anew where it is in
// a file, so that it can be changed while the exporter runs.
func (s *SASL) ReadPassword() (string, error) {
	if s.passwordFile == "" {
		return string(s.password), nil
	}
	password, err := safefile.ReadSecret(s.passwordFile)
	if err != nil {
		return "", fmt.Errorf("read the SASL password: %s %w", s.passwordFile, err)
	}
	return password, nil
}

// SinkLag bounds the series of sinks' lag.
type SinkLag struct {
	// MaxSeries is up to how many partitions of a cluster have a series each;
	// beyond it, and with 0, there are sums for each connector alone.
	MaxSeries int
	// Filter keeps the connectors whose lag is read.
	Filter Filter
}

type kafkaSettings struct {
	BootstrapServers   []string              `yaml:"bootstrap_servers" doc:"Brokers, host:port. Required in this block."`
	GroupID            string                `yaml:"group_id,omitempty" doc:"The workers' group.id."`
	StatusStorageTopic string                `yaml:"status_storage_topic,omitempty" doc:"The workers' status.storage.topic."`
	OffsetStorageTopic string                `yaml:"offset_storage_topic,omitempty" doc:"The workers' offset.storage.topic."`
	MirrorMaker2       *mirrorMaker2Settings `yaml:"mirrormaker2,omitempty" doc:"MirrorMaker 2 in dedicated mode, in place of the three above."`
	TLSConfig          *commoncfg.TLSConfig  `yaml:"tls_config,omitempty" doc:"Speak TLS; {} for the system's authorities. Fields as in http_client."`
	SASL               *saslSettings         `yaml:"sasl,omitempty" doc:"How to authenticate."`
	SinkLag            sinkLagSettings       `yaml:"sink_lag,omitempty" doc:"The lag of sinks."`
	ConnectorTopics    bool                  `yaml:"connector_topics,omitempty" doc:"Expose which topics each connector uses."`
	SourceTopics       bool                  `yaml:"source_topics,omitempty" doc:"Expose when the newest record of each topic of a source was written."`
}

type mirrorMaker2Settings struct {
	Source string `yaml:"source" doc:"Alias of the source cluster. Required in this block."`
}

type saslSettings struct {
	Mechanism    string            `yaml:"mechanism" doc:"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM. Required in this block."`
	Username     string            `yaml:"username,omitempty" doc:"User name, for PLAIN and SCRAM."`
	Password     commoncfg.Secret  `yaml:"password,omitempty" doc:"Password, for PLAIN and SCRAM."`
	PasswordFile string            `yaml:"password_file,omitempty" doc:"File that holds it."`
	OAuth2       *commoncfg.OAuth2 `yaml:"oauth2,omitempty" doc:"Client credentials, for OAUTHBEARER. Fields as in http_client."`
	Region       string            `yaml:"region,omitempty" doc:"AWS region, for AWS_MSK_IAM; that of the brokers' names unless set."`
	RoleARN      string            `yaml:"role_arn,omitempty" doc:"Role to assume, for AWS_MSK_IAM."`
}

type sinkLagSettings struct {
	MaxSeries int      `yaml:"max_series" doc:"Up to how many partitions of the cluster have a series each; beyond it, sums for each connector alone."`
	Exclude   []string `yaml:"exclude,omitempty" doc:"Regular expressions, as in connectors; the lag of a connector that matches one is not read."`
}

func defaultKafka() kafkaSettings { return kafkaSettings{SinkLag: defaultSinkLag()} }

func defaultSinkLag() sinkLagSettings { return sinkLagSettings{MaxSeries: 5000} }

func (k *kafkaSettings) UnmarshalYAML(node *yaml.Node) error {
	type plain kafkaSettings
	*k = defaultKafka()
	return node.Decode((*plain)(k))
}

// workers returns the group and the topics, those of MirrorMaker 2 too.
func (k *kafkaSettings) workers() (group, statuses, offsets string) {
	if k.MirrorMaker2 == nil {
		return k.GroupID, k.StatusStorageTopic, k.OffsetStorageTopic
	}
	alias := k.MirrorMaker2.Source
	return alias + "-mm2", "mm2-status." + alias + ".internal", "mm2-offsets." + alias + ".internal"
}

func (k *kafkaSettings) addFiles(files *fileFields) {
	if k.TLSConfig != nil {
		files.addTLS("kafka.tls_config", k.TLSConfig)
	}
	if k.SASL != nil {
		files.add("kafka.sasl.password_file", k.SASL.PasswordFile)
		if k.SASL.OAuth2 != nil {
			files.addOAuth2("kafka.sasl.oauth2", k.SASL.OAuth2)
		}
	}
}

// validate makes a Kafka of the settings.
func (k *kafkaSettings) validate(at origin) (*Kafka, error) {
	if err := k.validateBrokers(at); err != nil {
		return nil, err
	}
	if err := k.validateWorkers(at); err != nil {
		return nil, err
	}
	kafka := &Kafka{
		BootstrapServers: k.BootstrapServers, TLS: k.TLSConfig,
		SinkLag:         SinkLag{MaxSeries: k.SinkLag.MaxSeries},
		ConnectorTopics: k.ConnectorTopics, SourceTopics: k.SourceTopics,
	}
	kafka.GroupID, kafka.StatusStorageTopic, kafka.OffsetStorageTopic = k.workers()
	if k.MirrorMaker2 != nil {
		kafka.MirrorMaker2Source = k.MirrorMaker2.Source
	}
	if lag := k.SinkLag.MaxSeries; lag < 0 || lag > maxLagSeries {
		return nil, at.wrong("kafka.sink_lag.max_series", "%d is not between 0 and %d", lag, maxLagSeries)
	}
	var err error
	if kafka.SinkLag.Filter.exclude, err = patterns("kafka.sink_lag.exclude", k.SinkLag.Exclude, at); err != nil {
		return nil, err
	}
	if k.SASL != nil {
		kafka.SASL, err = k.SASL.validate(k.TLSConfig != nil, at)
	}
	return kafka, err
}

const maxLagSeries = 1_000_000

// validateBrokers validates where the brokers are.
func (k *kafkaSettings) validateBrokers(at origin) error {
	if len(k.BootstrapServers) == 0 {
		return at.wrong("kafka.bootstrap_servers", `is required, such as ["kafka-1:9092"]`)
	}
	for i, server := range k.BootstrapServers {
		server = strings.TrimSpace(server)
		if k.BootstrapServers[i] = server; !brokerAddress(server) {
			return at.wrong(item("kafka.bootstrap_servers", i), "must be host:port, such as kafka-1:9092")
		}
	}
	if k.TLSConfig == nil {
		return nil
	}
	return usableTLS(k.TLSConfig, "kafka.tls_config", at)
}

// validateWorkers validates which group and topics are the workers'.
func (k *kafkaSettings) validateWorkers(at origin) error {
	if mm2 := k.MirrorMaker2; mm2 != nil {
		switch {
		case !topicName.MatchString(mm2.Source):
			return at.wrong("kafka.mirrormaker2.source", "must be the alias of the source cluster, such as a")
		case k.GroupID != "" || k.StatusStorageTopic != "" || k.OffsetStorageTopic != "":
			return at.wrong("kafka.mirrormaker2", "stands for group_id, status_storage_topic and offset_storage_topic: remove these")
		}
	}
	group, statuses, offsets := k.workers()
	if group != "" && !printable(group) {
		return at.wrong("kafka.group_id", "must be printable UTF-8")
	}
	for _, topic := range [][2]string{{"status_storage_topic", statuses}, {"offset_storage_topic", offsets}} {
		if topic[1] != "" && !topicName.MatchString(topic[1]) {
			return at.wrong("kafka."+topic[0], "is no name of a topic: letters, digits, dots, _ and -, at most 249")
		}
	}
	const needed = "needs status_storage_topic, which names the topics: add that or remove this"
	switch {
	case statuses == "" && k.ConnectorTopics:
		return at.wrong("kafka.connector_topics", needed)
	case statuses == "" && k.SourceTopics:
		return at.wrong("kafka.source_topics", needed)
	}
	return nil
}

// topicName is what Kafka takes for a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func brokerAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	number, numberErr := strconv.Atoi(port)
	return err == nil && numberErr == nil && number >= 1 && number <= 65535 &&
		host != "" && !strings.ContainsAny(host, ",/@ \t") && printable(host)
}

// validate makes a SASL of the settings: each mechanism has what it needs, and
// nothing that only another would use.
func (s *saslSettings) validate(tls bool, at origin) (*SASL, error) {
	const block = "kafka.sasl"
	given := []struct {
		field string
		set   bool
	}{
		{"username", s.Username != ""},
		{"password", s.Password != ""},
		{"password_file", s.PasswordFile != ""},
		{"oauth2", s.OAuth2 != nil},
		{"region", s.Region != ""},
		{"role_arn", s.RoleARN != ""},
	}
	uses := map[string][]string{
		SASLPlain:       {"username", "password", "password_file"},
		SASLScramSHA256: {"username", "password", "password_file"},
		SASLScramSHA512: {"username", "password", "password_file"},
		SASLOAuthBearer: {"oauth2"},
		SASLAWSMSKIAM:   {"region", "role_arn"},
	}[s.Mechanism]
	if uses == nil {
		return nil, at.wrong(block+".mechanism", "must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM")
	}
	for _, setting := range given {
		if setting.set && !slices.Contains(uses, setting.field) {
			return nil, at.wrong(block+"."+setting.field, "does nothing with mechanism: %s: remove it", s.Mechanism)
		}
	}
	if err := s.validateMechanism(tls, block, at); err != nil {
		return nil, err
	}
	return &SASL{
		Mechanism: s.Mechanism, Username: s.Username, OAuth2: cloned(s.OAuth2), Region: s.Region, RoleARN: s.RoleARN,
		password: s.Password, passwordFile: s.PasswordFile,
	}, nil
}

func (s *saslSettings) validateMechanism(tls bool, block string, at origin) error {
	switch s.Mechanism {
	case SASLOAuthBearer:
		oauth := s.OAuth2
		switch {
		case oauth == nil:
			return at.wrong(block, "OAUTHBEARER needs a block oauth2 with client_id, client_secret and token_url")
		case oauth.ClientID == "":
			return at.wrong(block+".oauth2.client_id", "is required")
		case oauth.TokenURL == "":
			return at.wrong(block+".oauth2.token_url", "is required")
		case oauth.GrantType == jwtBearer:
			return at.wrong(block+".oauth2.grant_type", "must be client_credentials")
		case (oauth.ClientSecret == "") == (oauth.ClientSecretFile == ""):
			return at.wrong(block+".oauth2", "needs client_secret or client_secret_file, and not both")
		}
		return usableOAuth2(oauth, block+".oauth2", at)
	case SASLAWSMSKIAM:
		switch {
		case !tls:
			return at.wrong(block, "AWS_MSK_IAM needs TLS: tls_config: {}, or SECURITY_PROTOCOL=SASL_SSL")
		case s.Region != "" && !regionName.MatchString(s.Region):
			return at.wrong(block+".region", "must be the name of an AWS region, such as eu-west-1")
		case s.RoleARN != "" && !strings.HasPrefix(s.RoleARN, "arn:"):
			return at.wrong(block+".role_arn", wantedARN)
		}
		return nil
	}
	switch {
	case s.Username == "":
		return at.wrong(block+".username", "is required for mechanism: %s", s.Mechanism)
	case s.Password != "" && s.PasswordFile != "":
		return at.wrong(block+".password", "password and password_file are both set: keep one")
	case s.Password == "" && s.PasswordFile == "":
		return at.wrong(block+".password", "is required for mechanism: %s, or password_file", s.Mechanism)
	}
	return nil
}
