package config

import (
	"net/url"
	"regexp"
	"strings"
)

// ProviderMSK is Amazon MSK Connect.
const ProviderMSK = "msk"

// MSK says which MSK Connect connectors to watch: those of one account and
// region.
type MSK struct {
	Region string
	// NamePrefix keeps only connectors whose name begins with it; "" keeps all.
	NamePrefix string
	// RoleARN is a role to assume, "" for none.
	RoleARN string
	// Endpoint stands in for that of the region; nil for none.
	Endpoint *url.URL
	// Describe asks for details of each connector, CloudWatch for task counts.
	Describe, CloudWatch bool
}

type mskSettings struct {
	Region     string `yaml:"region" doc:"AWS region. Required."`
	NamePrefix string `yaml:"name_prefix,omitempty" doc:"Only connectors whose name begins with it."`
	RoleARN    string `yaml:"role_arn,omitempty" doc:"Role to assume."`
	Endpoint   string `yaml:"endpoint,omitempty" doc:"Base of the API in place of the region's own."`
	Describe   bool   `yaml:"describe" doc:"Also ask for details of each connector: one more call for each that changed."`
	CloudWatch bool   `yaml:"cloudwatch" doc:"Also read task counts from CloudWatch, which AWS charges for."`
}

func mskProvider() provider {
	return provider{
		name: ProviderMSK, block: "msk",
		present: func(s *clusterSettings) bool { return s.MSK != nil },
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

const wantedARN = "must be an ARN, such as arn:aws:iam::123456789012:role/reader"

func validateMSK(_ *loader, settings *clusterSettings, cluster *Cluster, at origin) (err error) {
	block := settings.MSK
	switch {
	case block.Region == "":
		return at.wrong("msk.region", "is required, such as eu-west-1")
	case !regionName.MatchString(block.Region):
		return at.wrong("msk.region", "must be the name of an AWS region, such as eu-west-1")
	case block.RoleARN != "" && !strings.HasPrefix(block.RoleARN, "arn:"):
		return at.wrong("msk.role_arn", wantedARN)
	case settings.Parallelism != defaultCluster().Parallelism && !block.Describe:
		return at.wrong("parallelism", "MSK Connect is called for single connectors only with msk.describe: true: add that or remove this")
	}
	cluster.MSK = &MSK{Region: block.Region, NamePrefix: block.NamePrefix, RoleARN: block.RoleARN, Describe: block.Describe, CloudWatch: block.CloudWatch}
	if block.Endpoint != "" {
		cluster.MSK.Endpoint, err = serviceURL(&block.Endpoint, "", "msk.endpoint", at)
	}
	return err
}
