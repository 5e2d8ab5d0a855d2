package discovery

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzManifests: whatever a file of manifests holds, each document is reduced and
// checked or refused in one line; of what stands beside what is used nothing is told.
func FuzzManifests(f *testing.F) {
	resources, err := os.ReadFile("testdata/resources.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(resources)
	for document := range strings.SplitSeq(string(resources), "\n---\n") {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		const secret = "zq7-secret-7qz"
		file := filepath.Join(t.TempDir(), "resources.yaml")
		marked := append(slices.Clip(content), "\n---\napiVersion: kafka.strimzi.io/v1\nkind: KafkaConnect\nmetadata: {name: marked, annotations: {a: "+secret+"}}\nspec: {config: {ssl.key.password: "+secret+"}, unknown: "+secret+"}\n"...)
		if err := os.WriteFile(file, marked, 0o600); err != nil {
			t.Fatal(err)
		}
		documents, broken := Documents([]string{file})
		var problems []error
		for _, err := range broken {
			problems = append(problems, err)
		}
		var placed []Placed
		for _, d := range documents {
			o, err := d.Object()
			if err != nil {
				problems = append(problems, err)
				continue
			}
			placed = append(placed, Placed{Object: o})
			for _, finding := range append(Check(d), Changed(d, documents[0])...) {
				if strings.ContainsAny(finding.String(), "\r\n") {
					problems = append(problems, fmt.Errorf("%s", finding))
				}
			}
		}
		Plan(placed, func(int) string { return usualName }, nil)
		for _, p := range placed {
			if shown := fmt.Sprintf("%+v %+v", *p.Object, p.Cluster); strings.Contains(shown, secret) && !strings.Contains(string(content), secret) {
				t.Errorf("kept: %s", shown)
			}
		}
		for _, problem := range problems {
			if strings.ContainsAny(problem.Error(), "\r\n") || strings.Contains(problem.Error(), secret) && !strings.Contains(string(content), secret) {
				t.Errorf("%q", problem)
			}
		}
	})
}

// FuzzSecretsOfResources: nothing is kept of what operators' resources may hold
// beside what is used, whatever it is called.
func FuzzSecretsOfResources(f *testing.F) {
	names := KindNames()
	for i := range names {
		f.Add(uint8(i), "name", "password", "org.example.Failed", "x")
	}
	f.Fuzz(func(t *testing.T, which uint8, name, key, class, message string) {
		const secret = "zq7-secret-7qz"
		kinds, err := ParseKinds(names[int(which)%len(names)])
		if err != nil {
			t.Fatal(err)
		}
		hidden := map[string]any{key + "_": secret, "deep": []any{map[string]any{key: secret}}}
		for _, kind := range kinds {
			o := Reduce(kind, map[string]any{
				"metadata": map[string]any{"name": name, "namespace": "data", "annotations": hidden},
				"spec": map[string]any{
					"config": map[string]any{key + "_": secret}, "configs": map[string]any{key + "_": secret}, "userConfig": hidden, "template": hidden, "externalConfiguration": hidden,
					"authentication": hidden, "tls": hidden, "technicalEmails": []any{hidden}, "class": class,
				},
				"status": map[string]any{
					"conditions":      []any{map[string]any{"type": "Ready", "status": "False", "reason": message + secret, "message": message + secret}},
					"connectorStatus": map[string]any{"connector": map[string]any{"state": "FAILED", "trace": class + ": " + message + secret}},
					"trace":           class + ": " + message + secret,
				},
			})
			shown := fmt.Sprintf("%+v", *o)
			if o.Cluster != nil {
				shown += fmt.Sprintf("%+v", *o.Cluster)
			}
			if o.Connector != nil {
				shown += fmt.Sprintf("%+v", *o.Connector)
			}
			if strings.Contains(shown, secret) {
				t.Errorf("kept of a %s: %s", kind, shown)
			}
		}
	})
}
