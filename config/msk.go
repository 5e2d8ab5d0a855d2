package config

import (
	"cmp"
	"regexp"
	"strings"
)

// ProviderMSK is Amazon MSK Connect.
const ProviderMSK = "msk"

// MSK says which MSK Connect connectors to watch: those of one account and
// region. Endpoint is nil for that of the region.
type MSK struct {
	Region     string `yaml:"region" doc:"AWS region. Required."`
	NamePrefix string `yaml:"name_prefix,omitempty" doc:"Only connectors whose name begins with it."`
	RoleARN    string `yaml:"role_arn,omitempty" doc:"Role to assume."`
	Endpoint   URL    `yaml:"endpoint,omitempty" doc:"Base of the API in place of the region's own."`
	Describe   bool   `yaml:"describe" doc:"Also ask for details of each connector: one more call for each that changed."`
	CloudWatch bool   `yaml:"cloudwatch" doc:"Also read task counts from CloudWatch, which AWS charges for."`
}

func mskProvider() provider {
	return provider{
		name: ProviderMSK, block: "msk",
		present: func(s *Settings) bool { return s.MSK != nil },
		cannot: map[string]string{
			"urls":                "belongs to provider: connect; for msk the block msk says where to go",
			"observation_version": "MSK Connect has but one way to be asked: remove it",
			"info_max_age":        "MSK Connect says itself which connector has changed: remove it",
			"worker_probe":        "provider msk shows no workers that could be asked: remove it",
			"expected_workers":    "provider msk shows no workers that could be counted: remove it",
			"connector_labels":    "MSK Connect's list of connectors has no configurations: remove it",
			"kafka":               "each connector of MSK Connect is a Connect cluster with topics of its own: remove it",
			clientCredentials:     "MSK Connect takes AWS credentials, from the environment, a profile or a role: remove basic_auth, authorization and oauth2",
		},
		validate: validateMSK,
	}
}

var regionName = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

const (
	wantedRegion = "must be the name of an AWS region, such as eu-west-1"
	wantedARN    = "must be an ARN, such as arn:aws:iam::123456789012:role/reader"
)

func validateMSK(l *loader, settings *Settings, _ *Cluster, at origin) error {
	block := settings.MSK
	return cmp.Or(
		at.When(block.Region == "", "msk.region", "is required, such as eu-west-1"),
		at.When(!regionName.MatchString(block.Region), "msk.region", wantedRegion),
		at.When(block.RoleARN != "" && !strings.HasPrefix(block.RoleARN, "arn:"), "msk.role_arn", wantedARN),
		at.When(settings.Parallelism != l.standard.Parallelism && !block.Describe, "parallelism", "MSK Connect is called for single connectors only with msk.describe: true: add that or remove this"),
	)
}
