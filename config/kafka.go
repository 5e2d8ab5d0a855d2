package config

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"go.yaml.in/yaml/v3"
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
	// where not given: what it would tell is not read. At least one of the first
	// two is given, both for a cluster without REST.
	GroupID, StatusStorageTopic, OffsetStorageTopic string
	// MirrorMaker2Source is the alias of the source cluster where the three above
	// are those of MirrorMaker 2 in dedicated mode; "" otherwise.
	MirrorMaker2Source string
	// TLS verifies the brokers and presents a client certificate; nil: no TLS.
	// Files that it names are read anew for each connection.
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
	content, err := readFile(s.passwordFile)
	if err != nil {
		return "", fmt.Errorf("read the SASL password: %s %w", s.passwordFile, err)
	}
	return strings.TrimSpace(string(content)), nil
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

// validate makes a Kafka of the settings. field names the place of one of them.
func (k *kafkaSettings) validate(l *loader, at origin) (*Kafka, error) {
	wrong := func(field, format string, args ...any) (*Kafka, error) {
		return nil, fmt.Errorf("%s: %s", at.field("kafka."+field), fmt.Sprintf(format, args...))
	}
	if len(k.BootstrapServers) == 0 {
		return wrong("bootstrap_servers", `is required, such as ["kafka-1:9092"]`)
	}
	for i, server := range k.BootstrapServers {
		if err := brokerAddress(server); err != nil {
			return wrong(fmt.Sprintf("bootstrap_servers[%d]", i), "%s", err)
		}
	}
	if mm2 := k.MirrorMaker2; mm2 != nil {
		switch {
		case !topicName.MatchString(mm2.Source):
			return wrong("mirrormaker2.source", "must be the alias of the source cluster, such as a")
		case k.GroupID != "" || k.StatusStorageTopic != "" || k.OffsetStorageTopic != "":
			return wrong("mirrormaker2", "stands for group_id, status_storage_topic and offset_storage_topic: remove these")
		}
		k.GroupID = mm2.Source + "-mm2"
		k.StatusStorageTopic = "mm2-status." + mm2.Source + ".internal"
		k.OffsetStorageTopic = "mm2-offsets." + mm2.Source + ".internal"
	}
	if k.GroupID == "" && k.StatusStorageTopic == "" {
		return wrong("", "needs group_id or status_storage_topic, those of the workers")
	}
	kafka := &Kafka{
		BootstrapServers: k.BootstrapServers, GroupID: k.GroupID,
		StatusStorageTopic: k.StatusStorageTopic, OffsetStorageTopic: k.OffsetStorageTopic,
		TLS: k.TLSConfig, SinkLag: SinkLag{MaxSeries: k.SinkLag.MaxSeries},
		ConnectorTopics: k.ConnectorTopics, SourceTopics: k.SourceTopics,
	}
	if k.MirrorMaker2 != nil {
		kafka.MirrorMaker2Source = k.MirrorMaker2.Source
	}
	if sasl := k.SASL; sasl != nil {
		if !slices.Contains([]string{SASLPlain, SASLScramSHA256, SASLScramSHA512, SASLOAuthBearer, SASLAWSMSKIAM}, sasl.Mechanism) {
			return wrong("sasl.mechanism", "must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM")
		}
		kafka.SASL = &SASL{
			Mechanism: sasl.Mechanism, Username: sasl.Username, OAuth2: sasl.OAuth2, Region: sasl.Region, RoleARN: sasl.RoleARN,
			password: sasl.Password, passwordFile: sasl.PasswordFile,
		}
	}
	var err error
	kafka.SinkLag.Filter, err = l.filter(filterSettings{Exclude: k.SinkLag.Exclude}, at)
	return kafka, err
}

// topicName is what Kafka takes for a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func brokerAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	if number, numberErr := strconv.Atoi(port); err != nil || numberErr != nil || host == "" || number < 1 || number > 65535 {
		return errors.New("must be host:port, such as kafka-1:9092")
	}
	return nil
}
