package promql

import "testing"

func TestCheckMatchers(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"  ":                                 "",
		`job="kafka-connect"`:                "",
		`job=~"a|b\\.c" , env!="prod"`:       "",
		`job`:                                `want label matchers such as job="kafka-connect"`,
		`job='a'`:                            `want label matchers such as job="kafka-connect"`,
		`job="a" env="b"`:                    `want label matchers such as job="kafka-connect"`,
		`job="a"} or up{a="b"`:               `want label matchers such as job="kafka-connect"`,
		`job="a",`:                           "nothing follows the last comma",
		`job="a", instance="b"`:              "label instance cannot be used, the replicas of an exporter are folded into one",
		`job=~"(a"`:                          "the value of job is no regular expression (RE2)",
		`job="\q"`:                           "the value of job has an escape that PromQL does not know",
		`job=~"a\\(b", pod_name!~"(?:x|y)+"`: "",
	} {
		got := ""
		if err := CheckMatchers(text, "instance", "pod"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
