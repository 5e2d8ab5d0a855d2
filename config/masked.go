package config

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
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
	if clusters := child(&body, "clusters"); clusters != nil {
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
// headers, of parameters and claims sent to a token endpoint, and a proxy's
// user.
func mask(node *yaml.Node) {
	if node.Kind == yaml.MappingNode {
		for i := 0; i < len(node.Content); i += 2 {
			switch key, value := node.Content[i].Value, node.Content[i+1]; key {
			case "endpoint_params", "claims", "values", "proxy_url":
				if key != "proxy_url" || bytes.ContainsRune([]byte(value.Value), '@') {
					hide(value)
				}
			}
		}
	}
	for _, inner := range node.Content {
		mask(inner)
	}
}

// hide replaces every value, but keeps the names of a mapping.
func hide(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode {
		node.SetString("<secret>")
	}
	for i, inner := range node.Content {
		if node.Kind != yaml.MappingNode || i%2 == 1 {
			hide(inner)
		}
	}
}

func child(node *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
