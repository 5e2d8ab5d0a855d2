package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/go-json-experiment/json"
	"github.com/twmb/franz-go/pkg/sasl"
	franz "github.com/twmb/franz-go/pkg/sasl/aws"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/awsauth"
)

// iam is SASL AWS_MSK_IAM with the credentials that the AWS SDK finds, in a
// region that is told. Where none is told, franz-go takes that of the broker's name.
type iam struct {
	region, role string
	credentials  *awsauth.Credentials
}

func newIAM(region, role string) sasl.Mechanism {
	m := &iam{region: region, role: role}
	m.credentials = awsauth.New(m.provider)
	if region == "" {
		return franz.ManagedStreamingIAM(func(ctx context.Context) (franz.Auth, error) {
			c, err := m.retrieve(ctx)
			return franz.Auth{AccessKey: c.AccessKeyID, SecretKey: c.SecretAccessKey, SessionToken: c.SessionToken, UserAgent: userAgent}, err
		})
	}
	return m
}

const userAgent = "kafka-connect-exporter"

func (m *iam) retrieve(ctx context.Context) (aws.Credentials, error) {
	credentials, err := m.credentials.Retrieve(ctx)
	switch {
	case errors.Is(err, awsauth.ErrFile), errors.Is(err, awsauth.ErrHung):
		return aws.Credentials{}, fmt.Errorf("%w: %w", errSecret, err)
	case err != nil:
		return aws.Credentials{}, fmt.Errorf("%w: the AWS SDK finds no credentials", errSecret)
	}
	return credentials, nil
}

// provider reads the SDK's configuration.
func (m *iam) provider(ctx context.Context) (aws.CredentialsProvider, error) {
	// The SDK's own pauses of seconds between three attempts would outlast a snapshot.
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithRetryer(func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 2, 300*time.Millisecond })
	})}
	if m.region != "" {
		options = append(options, awsconfig.WithRegion(m.region))
	}
	loaded, err := awsauth.Load(ctx, options...)
	switch {
	case err != nil:
		return nil, err
	case loaded.Credentials == nil:
		return nil, errors.New("requests go unsigned")
	case m.role != "":
		return stscreds.NewAssumeRoleProvider(sts.NewFromConfig(loaded), m.role), nil
	}
	return loaded.Credentials, nil
}

// Name implements sasl.Mechanism.
func (*iam) Name() string { return "AWS_MSK_IAM" }

// Authenticate implements sasl.Mechanism: one message with a signed request in
// it (github.com/aws/aws-msk-iam-auth).
func (m *iam) Authenticate(ctx context.Context, broker string) (sasl.Session, []byte, error) {
	credentials, err := m.retrieve(ctx)
	if err != nil {
		return nil, nil, err
	}
	message, err := signed(ctx, credentials, broker, m.region, time.Now())
	return iamSession{}, message, err
}

type iamSession struct{}

// Challenge implements sasl.Session: any answer that is not empty is a yes.
func (iamSession) Challenge(answer []byte) (done bool, reply []byte, err error) {
	if len(answer) == 0 {
		return false, nil, fmt.Errorf("%w: the broker answers nothing", errSecret)
	}
	return true, nil, nil
}

func signed(ctx context.Context, credentials aws.Credentials, broker, region string, now time.Time) ([]byte, error) {
	host := broker
	if at := strings.LastIndexByte(broker, ':'); at >= 0 {
		host = broker[:at]
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "kafka://"+host+"/?"+url.Values{
		"Action": {"kafka-cluster:Connect"}, "X-Amz-Expires": {"900"},
	}.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the broker's address is none", errSecret)
	}
	empty := sha256.Sum256(nil)
	address, _, err := signer.NewSigner().PresignHTTP(ctx, credentials, request, hex.EncodeToString(empty[:]), "kafka-cluster", region, now)
	if err != nil {
		return nil, fmt.Errorf("%w: the request cannot be signed", errSecret)
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: the request cannot be signed", errSecret)
	}
	message := map[string]string{"version": "2020_10_22", "host": host, "user-agent": userAgent}
	for name, values := range parsed.Query() {
		message[strings.ToLower(name)] = values[0]
	}
	return json.Marshal(message)
}
