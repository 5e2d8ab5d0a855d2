package config

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

// Masked returns the configuration that is in effect as a YAML file: all doors
// joined, defaults filled in, secrets as "<secret>". Secrets aside, loading it
// gives the same configuration.
func (c *Config) Masked() []byte {
	var body yaml.Node
	err := body.Encode(c.effective)
	mask(&body, "")
	if clusters := strict.Child(&body, "clusters"); clusters != nil {
		for i, cluster := range clusters.Content {
			cluster.HeadComment = "From " + c.Clusters[i].Origin + "."
		}
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := cmp.Or(err, encoder.Encode(&body)); err != nil {
		// Settings that were decoded can be encoded: their types are fixed.
		panic(fmt.Sprintf("encode the configuration: %v", err))
	}
	return out.Bytes()
}

// mask hides what prometheus/common shows although it may be secret: values of
// headers, of parameters and claims sent to a token endpoint, a proxy's user and
// the query of a token URL. What stays of a URL is one. It keeps what looks like a
// variable from being one when the file is loaded.
func mask(node *yaml.Node, key string) {
	for i, inner := range node.Content {
		switch mapping := node.Kind == yaml.MappingNode; {
		case mapping && i%2 == 0:
		case slices.Contains([]string{"endpoint_params", "claims", "values"}, key):
			*inner = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "<secret>"}
		case mapping:
			mask(inner, node.Content[i-1].Value)
		default:
			mask(inner, key)
		}
	}
	if node.Kind != yaml.ScalarNode {
		return
	}
	if address, _, found := strings.Cut(node.Value, "?"); found && key == "token_url" {
		node.SetString(address + "?<secret>")
	}
	if address, err := url.Parse(node.Value); key == "proxy_url" && err == nil && address.User != nil {
		address.User = url.UserPassword("xxxxx", "xxxxx")
		node.SetString(address.String())
	}
	node.Value = strict.Unexpanded(node.Value)
}
