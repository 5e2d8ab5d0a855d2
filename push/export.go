package push

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
)

const (
	// Between attempts at one request, within its timeout.
	retryFirst = 500 * time.Millisecond
	retryMost  = 5 * time.Second
	// lifetime of a connection: a name that leads elsewhere by then is followed,
	// and receivers behind a balancer share the load.
	lifetime = time.Minute
)

// A sender makes one attempt at a request. It is used by one goroutine at a time.
type sender interface {
	// send returns what the receiver says of a request that it took, or a failure
	// as its error.
	send(ctx context.Context, headers map[string]string, request *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsPartialSuccess, error)
	// close ends all connections.
	close()
}

// A failure of one attempt.
type failure struct {
	err error
	// answered: the receiver itself has said so; it works, and may well take
	// another request.
	answered bool
	// retry: the same request may succeed later, not before the pause is over.
	retry bool
	pause time.Duration
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errLost is the error of points that the receiver has said that it did not take.
type errLost struct {
	points  int64
	message string
}

func (e errLost) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("the receiver rejected %d data points: %s", e.points, e.message), ": ")
}

// An outcome is how the requests of an export went.
type outcome struct {
	requests, failed int
	err              error // the first
	unanswered       int   // in a row
}

func (o *outcome) fail(err error) {
	if o.failed++; o.err == nil {
		o.err = err
	}
}

// export sends once; the last time nothing is tried again that was not answered.
func (p *Pusher) export(ctx context.Context, last bool) {
	p.refresh(ctx)
	var (
		o     outcome
		begun time.Time
		limit = max(p.options.Interval, 2*p.options.Timeout)
	)
	for part := range p.options.Source.Produce(ctx) {
		// One request may be what a receiver cannot bear. Two say that nobody
		// is there, and a large export would wait for each.
		if o.unanswered > 1 || last && o.unanswered > 0 || ctx.Err() != nil {
			break
		}
		if begun.IsZero() {
			begun = time.Now()
		} else if time.Since(begun) > limit {
			o.fail(fmt.Errorf("not all is sent after %s", limit))
			break
		}
		p.deliver(ctx, part, &o, last)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // The push ends: this says nothing of the receiver.
	}
	if ctx.Err() != nil && o.err == nil {
		o.err = fmt.Errorf("after %d requests: %w", o.requests, ctx.Err())
	}
	if o.requests == 0 && o.err == nil {
		return
	}
	switch {
	case o.err != nil && p.failing:
		p.logger.DebugContext(ctx, "export over OTLP still fails", "requests", o.requests, "failed", o.failed, "err", p.brief(o.err))
	case o.err != nil:
		p.logger.WarnContext(ctx, "export over OTLP fails", "requests", o.requests, "failed", o.failed, "err", p.brief(o.err))
	case p.failing:
		p.logger.InfoContext(ctx, "export over OTLP succeeds again")
	}
	p.failing = o.err != nil
	if p.options.Exported != nil {
		p.options.Exported(o.err == nil)
	}
}

// deliver sends one request, and again while there is time, unless another of
// the export has failed already: that one has waited, and the others shall not
// be late by it.
func (p *Pusher) deliver(ctx context.Context, part *metrics.ScopeMetrics, o *outcome, last bool) {
	request := &collector.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource: p.resource, ScopeMetrics: []*metrics.ScopeMetrics{part},
	}}}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline() // The last export's is the program's.
	// Where the next export is near, it is the next try.
	patience := time.Now().Add(min(p.options.Timeout, p.options.Interval/2))
	o.requests++
	var err error
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		var said *collector.ExportMetricsPartialSuccess
		if said, err = p.sender.send(ctx, p.credentials.Headers, request); err == nil {
			err = p.taken(ctx, said)
			break
		}
		f, ok := errors.AsType[*failure](err)
		if ok && !f.answered {
			p.reconnect() // What hangs is let go, and a name may lead elsewhere.
			// A receiver over gRPC knows the deadline, and may be the first.
			if time.Until(deadline) < p.options.Timeout/10 {
				f.err = fmt.Errorf("no answer within %s: %w", deadline.Sub(began).Round(time.Millisecond), f.err)
			}
		}
		if !ok || !f.retry || o.failed > 0 || last && !f.answered {
			break
		}
		wait := max(f.pause, pause/2+rand.N(pause/2)) //nolint:gosec // It keeps exporters apart.
		if time.Until(patience) <= wait || time.Until(deadline) <= wait {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			continue
		}
		break
	}
	if f, ok := errors.AsType[*failure](err); ok && !f.answered {
		o.unanswered++
	} else {
		o.unanswered = 0
	}
	if err != nil {
		o.fail(err)
	}
}

// taken tells what the receiver said of a request that it took: a loss is an
// error, a hint is logged once.
func (p *Pusher) taken(ctx context.Context, said *collector.ExportMetricsPartialSuccess) error {
	rejected, message := said.GetRejectedDataPoints(), said.GetErrorMessage()
	if rejected > 0 {
		return errLost{rejected, message}
	}
	if message == "" {
		return nil
	}
	log := p.logger.DebugContext
	if !p.hinted {
		p.hinted, log = true, p.logger.InfoContext
	}
	log(ctx, "the OTLP receiver took everything and has a hint", "hint", p.brief(errors.New(message)))
	return nil
}

// refresh reads the credentials anew, and makes a new connection if they want it
// or the one there is has grown old.
func (p *Pusher) refresh(ctx context.Context) {
	next, err := p.options.Credentials()
	if err != nil {
		if !p.unreadable {
			p.logger.WarnContext(ctx, "the credentials of the push cannot be read, those before are used on", "err", err)
		}
		p.unreadable, next = true, p.credentials
	} else if p.unreadable {
		p.logger.InfoContext(ctx, "the credentials of the push can be read again")
		p.unreadable = false
	}
	other := next.Version != p.credentials.Version
	p.credentials = next
	if other || time.Since(p.connected) > lifetime {
		p.reconnect()
	}
}

// reconnect closes the connections; new ones are made when they are needed.
func (p *Pusher) reconnect() {
	next, err := p.connect()
	if err != nil {
		return // It was possible with the same options before.
	}
	p.sender.close()
	p.sender, p.connected = next, time.Now()
}

func (p *Pusher) connect() (sender, error) {
	switch p.options.Protocol {
	case HTTP:
		return newHTTP(&p.options, p.credentials.TLS)
	case GRPC:
		return newGRPC(&p.options, p.credentials.TLS)
	default:
		return nil, fmt.Errorf("unknown protocol %q", p.options.Protocol)
	}
}

const (
	// maxError is how much of an error is logged: it quotes what the receiver
	// answered, which may be a page.
	maxError = 300
	// minSecret is the length from which a part of a header is looked for in what
	// a receiver says: a shorter one occurs by chance, and protects nothing.
	minSecret = 6
)

// brief returns an error on one line, not more of it than one reads, and without
// the headers that were sent, in case the receiver or a proxy repeats them.
func (p *Pusher) brief(err error) string {
	headers := maps.Clone(p.credentials.Headers)
	if headers == nil {
		headers = map[string]string{}
	}
	headers["Proxy-Authorization"] = proxyAuthorization(&p.options, http.ProxyFromEnvironment)
	text := strings.NewReplacer(secrets(headers)...).Replace(err.Error())
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > maxError {
		text = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:maxError], ""), len(text))
	}
	return text
}

// proxyAuthorization is the header that goes to the proxy on the way to the
// receiver, "" if none does.
func proxyAuthorization(o *Options, find func(*http.Request) (*url.URL, error)) string {
	target := *o.Endpoint
	if target.Scheme != "http" || o.Protocol == GRPC { // gRPC has one way for both.
		target.Scheme = "https"
	}
	proxy, err := find(&http.Request{URL: &target})
	if err != nil || proxy == nil || proxy.User == nil {
		return ""
	}
	password, _ := proxy.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password))
}

// secrets returns pairs for a Replacer: what hides of each header its value, the
// words of it but for the scheme, and the user and password that it may be made
// of.
func secrets(headers map[string]string) (pairs []string) {
	found := map[string]bool{}
	add := func(secret string) {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(strconv.Quote(secret), `"`)} {
			if len(form) >= minSecret {
				found[form] = true
			}
		}
	}
	for _, value := range headers {
		add(value)
		for word := range strings.FieldsSeq(value) {
			if slices.Contains([]string{"basic", "bearer", "digest", "token"}, strings.ToLower(word)) {
				continue
			}
			add(word)
			if plain, err := base64.StdEncoding.DecodeString(word); err == nil {
				_, password, _ := strings.Cut(string(plain), ":")
				add(string(plain))
				add(password)
			}
		}
	}
	// The longest first: a Replacer takes the first that fits.
	for _, form := range slices.SortedFunc(maps.Keys(found), func(a, b string) int { return len(b) - len(a) }) {
		pairs = append(pairs, form, "<secret>")
	}
	return pairs
}
