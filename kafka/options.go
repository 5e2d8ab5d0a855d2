package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

// Mechanisms of SASL that the client speaks.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
	AWSMSKIAM   = "AWS_MSK_IAM"
)

// Options of an Observer.
type Options struct {
	// Name of the cluster, for the log. Required.
	Name string
	// Observer takes the snapshots that are added to, and is closed with the
	// Observer made of it; nil: the brokers are all that there is to ask.
	Observer connect.Observer

	// BootstrapServers are host:port. Required.
	BootstrapServers []string
	// TLS verifies the brokers; its files are read anew for each connection. Nil:
	// no TLS.
	TLS *commoncfg.TLSConfig
	// SASL authenticates; nil: not at all.
	SASL *SASL

	// Group is the workers' group.id, StatusTopic and OffsetsTopic their
	// status.storage.topic and offset.storage.topic; what is "" is not read. An
	// Observer without another needs StatusTopic.
	Group, StatusTopic, OffsetsTopic string
	// MirrorMaker2 tells that these are those of MirrorMaker 2 in dedicated mode.
	MirrorMaker2 bool

	// Keep tells which connectors are watched; nil keeps all.
	Keep func(connector string) bool
	// KeepLag tells whose lag is read; nil: that of all that are watched.
	KeepLag func(connector string) bool
	// MaxLagPartitions is up to how many partitions of all sinks are told one by
	// one; beyond it, and with 0, none.
	MaxLagPartitions int
	// ConnectorTopics asks for [connect.Events.Topics], SourceTopics for
	// [connect.Source.Topics].
	ConnectorTopics, SourceTopics bool

	// Timeout of all that a snapshot asks of the brokers; 5 s if zero. The
	// snapshot's own deadline, if sooner, comes first.
	Timeout time.Duration
	// Logger is told when the brokers begin or cease to answer; nil discards.
	Logger *slog.Logger
}

// SASL says how to authenticate to the brokers.
type SASL struct {
	// Mechanism is one of the constants.
	Mechanism string
	// Username, and what reads the password for each authentication anew, for
	// PLAIN and SCRAM.
	Username string
	Password func() (string, error)
	// OAuth2 are the client credentials of OAUTHBEARER.
	OAuth2 *commoncfg.OAuth2
	// Region and RoleARN of AWS_MSK_IAM, "": that of the brokers' names, and none.
	Region, RoleARN string
}

const (
	defaultTimeout = 5 * time.Second
	// dialTimeout leaves time to try another broker.
	dialTimeout = 2 * time.Second
	// metadataAge is for how long what brokers say of partitions and their leaders is
	// used again.
	metadataAge = 100 * time.Millisecond
	// maxAnswer bounds an answer of a broker.
	maxAnswer = 64 << 20
	// maxBatch bounds what a compressed batch may become.
	maxBatch = 32 << 20
)

// errSecret is a secret that could not be had; it says why and nothing of it.
var errSecret = errors.New("cannot authenticate")

// newClient returns a client that has not connected yet, and what became of its
// authentications.
func newClient(o *Options) (*kgo.Client, *authentication, error) {
	var watched *authentication
	settings := []kgo.Opt{
		kgo.ClientID("kafka-connect-exporter"),
		kgo.SoftwareNameAndVersion("kafka-connect-exporter", "0"),
		kgo.SeedBrokers(o.BootstrapServers...),
		kgo.DialTimeout(dialTimeout),
		// What fails is asked for again by the next snapshot: within one, a broker
		// that refuses connections must not use up the time.
		kgo.RequestRetries(2),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.RetryTimeout(defaultTimeout),
		// A connection on which an answer stands still is given up as soon as the
		// snapshot that waited for it.
		kgo.RequestTimeoutOverhead(max(o.Timeout, 100*time.Millisecond)), // No less is taken.
		kgo.BrokerMaxReadBytes(maxAnswer),
		kgo.MaxDecompressBatchBytes(maxBatch),
		kgo.MetadataMinAge(metadataAge),
		kgo.DisableClientMetrics(),
	}
	if o.TLS != nil {
		if _, err := safefile.TLSConfig(*o.TLS); err != nil {
			return nil, nil, fmt.Errorf("set up TLS to the brokers: %w", err)
		}
		settings = append(settings, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			config, err := safefile.TLSConfig(*o.TLS)
			if err != nil {
				return nil, fmt.Errorf("%w: the files of tls_config cannot be used", errSecret)
			}
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
		}))
	}
	if o.SASL != nil {
		mechanism, err := o.SASL.mechanism()
		if err != nil {
			return nil, nil, err
		}
		watched = &authentication{Mechanism: mechanism}
		watched.unanswered.Store(new(atomic.Int32))
		settings = append(settings, kgo.SASL(watched))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		return nil, nil, fmt.Errorf("set up the client of the brokers: %w", err)
	}
	return client, watched, nil
}

// An authentication notices brokers that answer wrong credentials by closing the
// connection and no word, as some do.
type authentication struct {
	sasl.Mechanism
	unanswered atomic.Pointer[atomic.Int32]
}

// Authenticate implements sasl.Mechanism.
func (a *authentication) Authenticate(ctx context.Context, broker string) (sasl.Session, []byte, error) {
	session, message, err := a.Mechanism.Authenticate(ctx, broker)
	if err != nil {
		return session, message, err
	}
	unanswered := a.unanswered.Load()
	unanswered.Add(1)
	return &authenticating{Session: session, unanswered: unanswered}, message, nil
}

type authenticating struct {
	sasl.Session
	unanswered *atomic.Int32
	once       sync.Once
}

// Challenge implements sasl.Session.
func (s *authenticating) Challenge(answer []byte) (done bool, reply []byte, err error) {
	done, reply, err = s.Session.Challenge(answer)
	if done || err != nil {
		s.once.Do(func() { s.unanswered.Add(-1) })
	}
	return done, reply, err
}

// failed tells whether an authentication that began since it was last asked was
// not answered.
func (a *authentication) failed() bool {
	return a != nil && a.unanswered.Swap(new(atomic.Int32)).Load() > 0
}

// mechanism reads secrets for each authentication, so that they may be rotated.
func (s *SASL) mechanism() (sasl.Mechanism, error) {
	password := func() (string, error) {
		text, err := s.Password()
		if err != nil {
			return "", fmt.Errorf("%w: %w", errSecret, err)
		}
		return text, nil
	}
	if slices.Contains([]string{Plain, ScramSHA256, ScramSHA512}, s.Mechanism) && s.Password == nil {
		return nil, fmt.Errorf("SASL %s needs a password", s.Mechanism)
	}
	scrams := func(context.Context) (scram.Auth, error) {
		text, err := password()
		return scram.Auth{User: s.Username, Pass: text}, err
	}
	switch s.Mechanism {
	case Plain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			text, err := password()
			return plain.Auth{User: s.Username, Pass: text}, err
		}), nil
	case ScramSHA256:
		return scram.Sha256(scrams), nil
	case ScramSHA512:
		return scram.Sha512(scrams), nil
	case OAuthBearer:
		if s.OAuth2 == nil {
			return nil, errors.New("SASL OAUTHBEARER needs oauth2")
		}
		tokens, err := newTokens(s.OAuth2)
		if err != nil {
			return nil, err
		}
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := tokens.get(ctx)
			return oauth.Auth{Token: token}, err
		}), nil
	case AWSMSKIAM:
		return newIAM(s.Region, s.RoleARN), nil
	}
	return nil, fmt.Errorf("SASL mechanism %s is not known", s.Mechanism)
}
