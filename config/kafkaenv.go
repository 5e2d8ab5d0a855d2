package config

import (
	"cmp"
	"fmt"
	"strings"

	commoncfg "github.com/prometheus/common/config"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/java"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

// brokers fills the block kafka, if a variable tells the workers' group or
// topics: Kpow's variables alone are of Kafka, and not of Connect.
func (c *environmentCluster) brokers() error {
	why := cmp.Or(c.fields["kafka.group_id"], c.fields["kafka.status_storage_topic"], c.fields["kafka.offset_storage_topic"])
	if why == "" && c.settings.ObservationVersion == versionBrokers {
		return c.wrong("CONNECT_OBSERVATION_VERSION", "brokers needs %sCONNECT_GROUP_ID, %[1]sCONNECT_STATUS_STORAGE_TOPIC and BOOTSTRAP", c.prefix)
	}
	if why == "" {
		return nil
	}
	c.fields["kafka"] = why
	// The clusters of one Kafka cluster share what is said of it.
	if _, own := c.lookup(c.prefix + "BOOTSTRAP"); !own {
		c.prefix = ""
	}
	if err := c.read(c.prefix, brokerVariables()); err != nil {
		return err
	}
	c.fields["kafka.sasl"] = cmp.Or(c.fields["kafka.sasl"], c.prefix+"SASL_MECHANISM")
	if c.given["BOOTSTRAP"] == "" {
		return fmt.Errorf("%s: only the brokers tell what this names, and BOOTSTRAP is not set: set it to their addresses (host:port), or remove this", why)
	}
	kafka := strict.Default[Kafka]()
	c.settings.Kafka = &kafka
	kafka.GroupID, kafka.StatusStorageTopic, kafka.OffsetStorageTopic = c.given["CONNECT_GROUP_ID"], c.given["CONNECT_STATUS_STORAGE_TOPIC"], c.given["CONNECT_OFFSET_STORAGE_TOPIC"]
	for server := range strings.SplitSeq(c.given["BOOTSTRAP"], ",") {
		if server = strings.TrimSpace(server); server != "" {
			kafka.BootstrapServers = append(kafka.BootstrapServers, server)
		}
	}
	protocol := strings.ToUpper(c.given["SECURITY_PROTOCOL"])
	if strings.HasSuffix(protocol, "SSL") {
		kafka.TLSConfig = &commoncfg.TLSConfig{}
		if err := c.stores(c.prefix, "SSL", kafka.TLSConfig); err != nil {
			return err
		}
	}
	if strings.HasPrefix(protocol, "SASL_") {
		kafka.SASL = &SASL{Mechanism: c.given["SASL_MECHANISM"]}
		return c.login(kafka.SASL, protocol)
	}
	if c.given["SASL_MECHANISM"] != "" || c.given["SASL_JAAS_CONFIG"] != "" {
		c.warn("%sSASL_MECHANISM and SASL_JAAS_CONFIG are ignored: %[1]sSECURITY_PROTOCOL is neither SASL_SSL nor SASL_PLAINTEXT", c.prefix)
	}
	return nil
}

// login takes the credentials out of the login module of a mechanism.
func (c *environmentCluster) login(sasl *SASL, protocol string) error {
	jaas, tokenURL := c.given["SASL_JAAS_CONFIG"], c.given["SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL"]
	module := map[string]string{
		"PLAIN": "PlainLoginModule", "SCRAM-SHA-256": "ScramLoginModule", "SCRAM-SHA-512": "ScramLoginModule",
		"OAUTHBEARER": "OAuthBearerLoginModule", "AWS_MSK_IAM": "IAMLoginModule",
	}[sasl.Mechanism]
	switch {
	case sasl.Mechanism == "":
		return c.wrong("SASL_MECHANISM", "is not set, but SECURITY_PROTOCOL is %s", protocol)
	case module == "" || sasl.Mechanism == "AWS_MSK_IAM" && jaas == "": // What is no mechanism is said when it is validated.
		return nil
	case jaas == "":
		return c.wrong("SASL_JAAS_CONFIG", "is not set, but SASL_MECHANISM is %s", sasl.Mechanism)
	}
	name, options, ok := java.JAAS(jaas)
	if !ok || name != module {
		return c.wrong("SASL_JAAS_CONFIG", `must be as Kafka's clients take it for %s: …%s required name="value" …;`, sasl.Mechanism, module)
	}
	sasl.Username, sasl.Password, sasl.RoleARN = options["username"], commoncfg.Secret(options["password"]), options["awsRoleArn"]
	switch {
	case sasl.Mechanism == "AWS_MSK_IAM":
	case sasl.Mechanism != "OAUTHBEARER":
		if sasl.Username == "" || sasl.Password == "" {
			return c.wrong("SASL_JAAS_CONFIG", "lacks username and password")
		}
	case tokenURL == "":
		return c.wrong("SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", "is not set, but SASL_MECHANISM is %s", sasl.Mechanism)
	case options["clientId"] == "" || options["clientSecret"] == "":
		return c.wrong("SASL_JAAS_CONFIG", "lacks clientId and clientSecret")
	default:
		sasl.OAuth2 = &commoncfg.OAuth2{ClientID: options["clientId"], ClientSecret: commoncfg.Secret(options["clientSecret"]), TokenURL: tokenURL, Scopes: strings.Fields(options["scope"])}
	}
	return nil
}
