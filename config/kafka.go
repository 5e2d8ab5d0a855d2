package config

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/client"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// Kafka says how to read the brokers behind a Connect cluster: its workers'
// group, its status and offset topics ([Kafka.Workers]), and the groups of its
// sinks. Package safefile reads the files that TLSConfig names; nil: no TLS.
type Kafka struct {
	BootstrapServers   []string             `yaml:"bootstrap_servers" doc:"Brokers, host:port. Required in this block."`
	GroupID            string               `yaml:"group_id,omitempty" doc:"The workers' group.id."`
	StatusStorageTopic string               `yaml:"status_storage_topic,omitempty" doc:"The workers' status.storage.topic."`
	OffsetStorageTopic string               `yaml:"offset_storage_topic,omitempty" doc:"The workers' offset.storage.topic."`
	MirrorMaker2       *MirrorMaker2        `yaml:"mirrormaker2,omitempty" doc:"MirrorMaker 2 in dedicated mode, in place of the three above."`
	TLSConfig          *commoncfg.TLSConfig `yaml:"tls_config,omitempty" doc:"Speak TLS; {} for the system's authorities. Fields as in http_client."`
	SASL               *SASL                `yaml:"sasl,omitempty" doc:"How to authenticate."`
	SinkLag            SinkLag              `yaml:"sink_lag,omitempty" default:"{}" doc:"The lag of sinks."`
	ConnectorTopics    bool                 `yaml:"connector_topics,omitempty" doc:"Expose which topics each connector uses."`
	SourceTopics       bool                 `yaml:"source_topics,omitempty" doc:"Expose when the newest record of each topic of a source was written."`
}

// MirrorMaker2 names the topics and the group of MirrorMaker 2 in dedicated mode.
type MirrorMaker2 struct {
	Source string `yaml:"source" doc:"Alias of the source cluster. Required in this block."`
}

// SASL is how the exporter authenticates to the brokers. [SASL.ReadPassword] has
// the password.
type SASL struct {
	Mechanism    string            `yaml:"mechanism" doc:"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM. Required in this block."`
	Username     string            `yaml:"username,omitempty" doc:"User name, for PLAIN and SCRAM."`
	Password     commoncfg.Secret  `yaml:"password,omitempty" doc:"Password, for PLAIN and SCRAM."`
	PasswordFile string            `yaml:"password_file,omitempty" doc:"File that holds it."`
	OAuth2       *commoncfg.OAuth2 `yaml:"oauth2,omitempty" doc:"Client credentials, for OAUTHBEARER. Fields as in http_client."`
	Region       string            `yaml:"region,omitempty" doc:"AWS region, for AWS_MSK_IAM; that of the brokers' names unless set."`
	RoleARN      string            `yaml:"role_arn,omitempty" doc:"Role to assume, for AWS_MSK_IAM."`
}

// SinkLag bounds the series of sinks' lag; with MaxSeries 0 there are sums for
// each connector alone.
type SinkLag struct {
	MaxSeries int       `yaml:"max_series" default:"5000" doc:"Up to how many partitions of the cluster have a series each; beyond it, sums for each connector alone."`
	Exclude   []Pattern `yaml:"exclude,omitempty" doc:"Regular expressions, as in connectors; the lag of a connector that matches one is not read."`
}

// ReadPassword returns the password of PLAIN and SCRAM, read anew where it is in
// a file, so that it can be changed while the exporter runs.
func (s *SASL) ReadPassword() (string, error) {
	return readSecret(s.Password, s.PasswordFile, "read the SASL password: "+s.PasswordFile)
}

func readSecret(value commoncfg.Secret, file, doing string) (string, error) {
	if file == "" {
		return string(value), nil
	}
	secret, err := safefile.ReadSecret(file)
	if err != nil {
		return "", fmt.Errorf("%s %w", doing, err)
	}
	return secret, nil
}

// Keep says whether the lag of a connector is read.
func (l SinkLag) Keep(connector string) bool { return Filter{Exclude: l.Exclude}.Keep(connector) }

// Workers returns the workers' group.id, and the topics that they keep statuses
// and source offsets in; "" where not given: what it would tell is not read. A
// cluster without REST has the first two.
func (k *Kafka) Workers() (group, statuses, offsets string) {
	if k.MirrorMaker2 == nil {
		return k.GroupID, k.StatusStorageTopic, k.OffsetStorageTopic
	}
	alias := k.MirrorMaker2.Source
	return alias + "-mm2", "mm2-status." + alias + ".internal", "mm2-offsets." + alias + ".internal"
}

func (k *Kafka) validate(at origin) error {
	if k == nil {
		return nil
	}
	if len(k.BootstrapServers) == 0 {
		return at.Wrong("kafka.bootstrap_servers", `is required, such as ["kafka-1:9092"]`)
	}
	for i, server := range k.BootstrapServers {
		server = strings.TrimSpace(server)
		if k.BootstrapServers[i] = server; !brokerAddress(server) {
			return at.Wrong(strict.Item("kafka.bootstrap_servers", i), "must be host:port, such as kafka-1:9092")
		}
	}
	if k.TLSConfig != nil {
		if err := client.CheckTLS(k.TLSConfig, "kafka.tls_config", at.Place); err != nil {
			return err
		}
	}
	return cmp.Or(k.validateWorkers(at), at.Between("kafka.sink_lag.max_series", k.SinkLag.MaxSeries, 0, maxLagSeries), k.SASL.validate(k.TLSConfig != nil, at))
}

const maxLagSeries = 1_000_000

// validateWorkers validates which group and topics are the workers'.
func (k *Kafka) validateWorkers(at origin) error {
	if mm2 := k.MirrorMaker2; mm2 != nil {
		if err := cmp.Or(
			at.When(!topicName.MatchString(mm2.Source), "kafka.mirrormaker2.source", "must be the alias of the source cluster, such as a"),
			at.When(k.GroupID+k.StatusStorageTopic+k.OffsetStorageTopic != "", "kafka.mirrormaker2", "stands for group_id, status_storage_topic and offset_storage_topic: remove these"),
		); err != nil {
			return err
		}
	}
	group, statuses, offsets := k.Workers()
	const form = "is no name of a topic: letters, digits, dots, _ and -, at most 249"
	const needed = "needs status_storage_topic, which names the topics: add that or remove this"
	return cmp.Or(
		at.When(!printable(group), "kafka.group_id", "must be printable UTF-8"),
		at.When(statuses != "" && !topicName.MatchString(statuses), "kafka.status_storage_topic", form),
		at.When(offsets != "" && !topicName.MatchString(offsets), "kafka.offset_storage_topic", form),
		at.When(statuses == "" && k.ConnectorTopics, "kafka.connector_topics", needed),
		at.When(statuses == "" && k.SourceTopics, "kafka.source_topics", needed),
	)
}

// topicName is what Kafka takes for a topic.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func brokerAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	number, numberErr := strconv.Atoi(port)
	return err == nil && numberErr == nil && number >= 1 && number <= 65535 &&
		host != "" && !strings.ContainsAny(host, ",/@ \t") && printable(host)
}

// validate says whether the mechanism has what it needs, and nothing that only
// another would use.
func (s *SASL) validate(tls bool, at origin) error {
	if s == nil {
		return nil
	}
	const block = "kafka.sasl"
	takes := map[string]string{"PLAIN": "password", "SCRAM-SHA-256": "password", "SCRAM-SHA-512": "password", "OAUTHBEARER": "oauth2", "AWS_MSK_IAM": "aws"}[s.Mechanism]
	if takes == "" {
		return at.Choice(block+".mechanism", s.Mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM")
	}
	idle := func(set bool, by, field string) error {
		return at.When(set && by != takes, block+"."+field, "does nothing with mechanism: %s: remove it", s.Mechanism)
	}
	if err := cmp.Or(
		idle(s.Username != "", "password", "username"),
		idle(s.Password != "", "password", "password"),
		idle(s.PasswordFile != "", "password", "password_file"),
		idle(s.OAuth2 != nil, "oauth2", "oauth2"),
		idle(s.Region != "", "aws", "region"),
		idle(s.RoleARN != "", "aws", "role_arn"),
	); err != nil {
		return err
	}
	switch oauth := s.OAuth2; {
	case takes == "oauth2" && oauth == nil:
		return at.Wrong(block, "OAUTHBEARER needs a block oauth2 with client_id, client_secret and token_url")
	case takes == "oauth2":
		return cmp.Or(
			at.When(oauth.ClientID == "", block+".oauth2.client_id", "is required"),
			at.When(oauth.TokenURL == "", block+".oauth2.token_url", "is required"),
			at.When(oauth.GrantType == client.JWTBearer, block+".oauth2.grant_type", "must be client_credentials"),
			at.When((oauth.ClientSecret == "") == (oauth.ClientSecretFile == ""), block+".oauth2", "needs client_secret or client_secret_file, and not both"),
			client.CheckOAuth2(oauth, block+".oauth2", at.Place),
		)
	case takes == "aws":
		return cmp.Or(
			at.When(!tls, block, "AWS_MSK_IAM needs TLS: tls_config: {}, or SECURITY_PROTOCOL=SASL_SSL"),
			at.When(s.Region != "" && !regionName.MatchString(s.Region), block+".region", wantedRegion),
			at.When(s.RoleARN != "" && !strings.HasPrefix(s.RoleARN, "arn:"), block+".role_arn", wantedARN),
		)
	}
	return cmp.Or(
		at.When(s.Username == "", block+".username", "is required for mechanism: %s", s.Mechanism),
		at.When(s.Password != "" && s.PasswordFile != "", block+".password", "password and password_file are both set: keep one"),
		at.When(s.Password == "" && s.PasswordFile == "", block+".password", "is required for mechanism: %s, or password_file", s.Mechanism),
	)
}
