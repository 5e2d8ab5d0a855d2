package config

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config/internal/strict"
)

// Masked returns the configuration that is in effect as a YAML file: all doors
// joined, defaults filled in, secrets as "<secret>". Secrets aside, loading it
// gives the same configuration.
func (c *Config) Masked() []byte {
	var body yaml.Node
	if err := body.Encode(c.effective); err != nil {
		// Settings that were decoded can be encoded: their types are fixed.
		panic(fmt.Sprintf("encode the configuration: %v", err))
	}
	mask(&body)
	escape(&body)
	if clusters := strict.Child(&body, "clusters"); clusters != nil {
		for i, cluster := range clusters.Content {
			cluster.HeadComment = "From " + c.clusters[i].Origin + "."
		}
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&body); err != nil {
		panic(fmt.Sprintf("encode the configuration: %v", err))
	}
	return out.Bytes()
}

// mask hides what prometheus/common shows although it may be secret: values of
// headers, of parameters and claims sent to a token endpoint, a proxy's user and
// the query of a token URL. What stays of a URL is one.
func mask(node *yaml.Node) {
	if node.Kind == yaml.MappingNode {
		for i := 0; i < len(node.Content); i += 2 {
			switch key, value := node.Content[i].Value, node.Content[i+1]; key {
			case "endpoint_params", "claims", "values":
				hide(value)
			case "token_url":
				if address, _, found := strings.Cut(value.Value, "?"); found {
					value.SetString(address + "?<secret>")
				}
			case "proxy_url":
				if address, err := url.Parse(value.Value); err == nil && address.User != nil {
					address.User = url.UserPassword("xxxxx", "xxxxx")
					value.SetString(address.String())
				}
			}
		}
	}
	for _, inner := range node.Content {
		mask(inner)
	}
}

// escape keeps what looks like a variable from being one when the file is loaded.
func escape(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode {
		node.Value = strict.Unexpanded(node.Value)
	}
	for i, inner := range node.Content {
		if node.Kind != yaml.MappingNode || i%2 == 1 {
			escape(inner)
		}
	}
}

// hide replaces each item of a list and each value of a mapping, whose names it
// keeps.
func hide(node *yaml.Node) {
	for i := range node.Content {
		if node.Kind != yaml.MappingNode || i%2 == 1 {
			node.Content[i] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "<secret>"}
		}
	}
}
