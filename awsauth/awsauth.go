// Package awsauth has the credentials that the AWS SDK finds, without what hangs
// in it: the SDK asks for them once for all who want them, without a deadline, so
// that a token service or a file that hangs once would cost a cluster for good.
//
// Source: aws-sdk-go-v2/config v1.33 and aws.CredentialsCache of v1.47.
package awsauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/sso"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

const (
	// callTimeout bounds each call for credentials, such as one to STS.
	callTimeout = 5 * time.Second
	// patience is for how long credentials may be on their way: some calls, or a
	// process that asks somebody.
	patience = 20 * time.Second
	// maxPause bounds the time between attempts that hang.
	maxPause = 10 * time.Minute
)

var (
	// ErrFile is wrapped by errors about a file that the SDK would read. They name
	// it, and quote nothing of it.
	ErrFile = errors.New("read the AWS configuration")
	// ErrHung says that credentials were on their way for too long.
	ErrHung = fmt.Errorf("getting AWS credentials hangs: %w", context.DeadlineExceeded)
)

// Load reads the SDK's configuration, the environment and the shared files, and
// calls nobody. Credentials of the result are [Credentials], or nil if requests go
// unsigned.
func Load(ctx context.Context, options ...func(*awsconfig.LoadOptions) error) (aws.Config, error) {
	client := awshttp.NewBuildableClient().WithTimeout(callTimeout).WithTransportOptions(straight)
	options = append([]func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(client),
		// The SDK's log is not the program's, and may quote requests; what matters
		// comes back as an error.
		awsconfig.WithLogger(logging.Nop{}),
		awsconfig.WithEndpointCredentialOptions(func(o *endpointcreds.Options) { o.HTTPClient = client }),
		awsconfig.WithAPIOptions([]func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("NotEmpty", notEmpty), middleware.Before)
		}}),
	}, options...)
	load := func(ctx context.Context) (aws.Config, error) {
		if err := check(safefile.CheckAWS()); err != nil {
			return aws.Config{}, err
		}
		return awsconfig.LoadDefaultConfig(ctx, options...)
	}
	cfg, err := load(ctx)
	if err != nil || cfg.Credentials == nil {
		return cfg, err
	}
	credentials := New(func(ctx context.Context) (aws.CredentialsProvider, error) {
		again, err := load(ctx)
		if err == nil && again.Credentials == nil {
			err = errors.New("requests go unsigned by now")
		}
		return &checked{again.Credentials, again.ConfigSources}, err
	})
	credentials.made = &checked{cfg.Credentials, cfg.ConfigSources}
	cfg.Credentials = credentials
	return cfg, nil
}

var (
	errRedirect = errors.New("no redirect is followed")
	errEmpty    = errors.New("there are no credentials in the answer")
)

// straight lets no redirect be followed, where the SDK's clients follow those that
// keep the method: with the token of a task, a pod, an instance, a user of IAM
// Identity Center or a web identity, which is for the one who was asked alone. The
// kind of client to which the SDK adds AWS_CA_BUNDLE, and whose timeouts it changes
// for an instance, takes no other hook than the proxy's: a request that comes of a
// redirect has the answer that it comes of.
func straight(t *http.Transport) {
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.Response != nil {
			return nil, errRedirect
		}
		return http.ProxyFromEnvironment(r)
	}
}

// notEmpty makes an error of an answer without credentials, or of null: of these the
// SDK panics where nobody can recover, and the program ends.
func notEmpty(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	out middleware.InitializeOutput, metadata middleware.Metadata, err error,
) {
	out, metadata, err = next.HandleInitialize(ctx, in)
	role, isRole := out.Result.(*sso.GetRoleCredentialsOutput)
	if result := reflect.ValueOf(out.Result); err == nil &&
		(result.Kind() == reflect.Pointer && result.IsNil() || isRole && role.RoleCredentials == nil) {
		err = errEmpty
	}
	return out, metadata, err
}

// checked is a provider of the SDK whose files are looked at before it reads
// them.
type checked struct {
	provider aws.CredentialsProvider
	sources  []any
}

func (c *checked) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if err := check(safefile.CheckAWS()); err != nil {
		return aws.Credentials{}, err
	}
	for _, source := range c.sources {
		shared, ok := source.(awsconfig.SharedConfig)
		for profile := &shared; ok && profile != nil; profile = profile.Source {
			if err := check(safefile.CheckAWS(profile.WebIdentityTokenFile, profile.CustomCABundle)); err != nil {
				return aws.Credentials{}, err
			}
		}
	}
	return c.provider.Retrieve(ctx)
}

func check(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return nil
}

// Credentials are asked for by one attempt at a time, for all who want them; they
// are kept until they expire. An attempt that hangs is left behind.
type Credentials struct {
	// provider makes what an attempt asks: another after each that failed. One that
	// was left behind may still be in it.
	provider func(context.Context) (aws.CredentialsProvider, error)

	mu      sync.Mutex
	current aws.Credentials
	made    aws.CredentialsProvider // what the next attempt asks; nil: has to be made
	attempt *attempt
	hung    int       // attempts in a row
	pause   time.Time // no other attempt before, after some that hung
}

// attempt is one. What it came to may be read once done is closed.
type attempt struct {
	done        chan struct{}
	credentials aws.Credentials
	err         error
}

// New returns credentials of the provider that is made.
func New(provider func(context.Context) (aws.CredentialsProvider, error)) *Credentials {
	return &Credentials{provider: provider}
}

// Retrieve implements [aws.CredentialsProvider]. It returns by ctx's end, and does
// not wait longer than an attempt may take.
func (c *Credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	a := c.join(ctx)
	select {
	case <-a.done:
		return a.credentials, a.err
	case <-ctx.Done():
		return aws.Credentials{}, ctx.Err()
	}
}

// join returns the attempt that is under way, which it begins if there is none
// and one is due.
func (c *Credentials) join(ctx context.Context) *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := make(chan struct{})
	switch {
	case c.current.HasKeys() && !c.current.Expired():
		close(ended)
		return &attempt{done: ended, credentials: c.current}
	case c.attempt != nil:
		return c.attempt
	case time.Now().Before(c.pause):
		close(ended)
		return &attempt{done: ended, err: ErrHung}
	}
	a, provider := &attempt{done: ended}, c.made
	c.attempt = a
	// Others than the one who began may wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	left := time.AfterFunc(patience, func() { c.leave(a) })
	go func() {
		defer cancel()
		defer left.Stop()
		c.ask(ctx, a, provider)
	}()
	return a
}

// ask makes an attempt.
func (c *Credentials) ask(ctx context.Context, a *attempt, provider aws.CredentialsProvider) {
	var (
		credentials aws.Credentials
		err         error
	)
	if provider == nil {
		provider, err = c.provider(ctx)
	}
	if err == nil {
		credentials, err = provider.Retrieve(ctx)
	}
	if err == nil && !credentials.HasKeys() {
		err = errEmpty
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt != a {
		return // It was left.
	}
	if err == nil {
		c.current, c.made = credentials, provider
	} else {
		c.made = nil
	}
	c.attempt, c.hung = nil, 0
	a.credentials, a.err = credentials, err
	close(a.done)
}

// leave ends an attempt that hangs, for all who wait for it. Only the first time
// another may follow at once.
func (c *Credentials) leave(a *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempt != a {
		return // It has ended.
	}
	c.attempt, c.made = nil, nil
	if c.hung++; c.hung > 1 {
		c.pause = time.Now().Add(min(patience<<min(c.hung-2, 10), maxPause))
	}
	a.err = ErrHung
	close(a.done)
}
