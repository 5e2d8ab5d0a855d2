package msk

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest/observertest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/msk/msktest"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Parallel(16)
	goleak.VerifyTestMain(m)
}

const (
	keyID  = "AKIATESTTESTTEST"
	secret = "wJalrXUtnFEMI-secret"
	region = "eu-west-1"
	role   = "arn:aws:iam::111122223333:role/exporter"
)

// service starts a simulated account and points the SDK's chain at it, with
// nothing of the machine's own AWS configuration.
func service(t *testing.T, options msktest.Options) (*msktest.Service, *url.URL) {
	t.Helper()
	options.Region, options.AccessKeyID, options.SecretAccessKey = region, keyID, secret
	simulated := msktest.New(options)
	server := httptest.NewServer(simulated)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_CLOUDWATCH": server.URL, "AWS_ENDPOINT_URL_STS": server.URL,
	} {
		t.Setenv(name, value)
	}
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return simulated, base
}

func observer(t *testing.T, options Options) *Observer {
	t.Helper()
	if options.Region == "" {
		options.Region = region
	}
	if options.RequestTimeout == 0 {
		options.RequestTimeout = time.Minute
	}
	options.backoff = time.Millisecond
	o, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func observe(t *testing.T, o *Observer) *connect.Snapshot {
	t.Helper()
	snapshot, err := o.Observe(within(t, time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func names(s *connect.Snapshot) []string {
	var names []string
	for _, c := range s.Connectors {
		names = append(names, c.Name)
	}
	return names
}

func TestStatesAndCapacity(t *testing.T) {
	simulated, base := service(t, msktest.Options{})
	provisioned := &connect.Runtime{Version: "2.7.1", MinWorkers: 2, MaxWorkers: 2, UnitsPerWorker: 4}
	for _, test := range []struct {
		connector msktest.Connector
		want      connect.Connector
	}{
		{msktest.Connector{State: "RUNNING", Units: 4, Workers: 2, ConnectVersion: "2.7.1"}, connect.Connector{State: connect.StateRunning, Runtime: provisioned}},
		{msktest.Connector{State: "CREATING", Units: 4, Workers: 2, ConnectVersion: "2.7.1"}, connect.Connector{State: connect.StateProvisioning, Runtime: provisioned}},
		{msktest.Connector{State: "UPDATING", Units: 4, Workers: 2, ConnectVersion: "2.7.1"}, connect.Connector{State: connect.StateProvisioning, Runtime: provisioned}},
		{msktest.Connector{State: "DELETING", Units: 4, Workers: 2, ConnectVersion: "2.7.1"}, connect.Connector{State: connect.StateDeleting, Runtime: provisioned}},
		{msktest.Connector{State: "FAILED", Units: 4, Workers: 2, ConnectVersion: "2.7.1"}, connect.Connector{
			State: connect.StateFailed, Runtime: provisioned, Failure: connect.Failure{Exception: "unknown", RootCause: "unknown"},
		}},
		{msktest.Connector{State: "DREAMING", Units: 4, Workers: 2, ConnectVersion: "2.7.1"}, connect.Connector{State: connect.StateUnknown, Runtime: provisioned}},
		{msktest.Connector{State: "RUNNING", Units: 1, Autoscaled: true, MinWorkers: 1, MaxWorkers: 4, MaxTasks: 12}, connect.Connector{
			State: connect.StateRunning, TasksMax: 12, Runtime: &connect.Runtime{Version: "3.7.x", Autoscaled: true, MinWorkers: 1, MaxWorkers: 4, UnitsPerWorker: 1},
		}},
	} {
		test.connector.Name = "orders"
		simulated.Put(test.connector)
		snapshot := observe(t, observer(t, Options{Endpoint: base}))
		if snapshot.HasTasks || snapshot.Provider != connect.MSK || snapshot.Bytes == 0 || snapshot.Taken.IsZero() {
			t.Errorf("snapshot %+v", snapshot)
		}
		test.want.Name, test.want.Type = "orders", "unknown"
		if len(snapshot.Connectors) != 1 {
			t.Fatalf("%d connectors", len(snapshot.Connectors))
		}
		got := snapshot.Connectors[0]
		if !strings.HasPrefix(got.ID, "arn:aws:kafkaconnect:eu-west-1:111122223333:connector/orders/") {
			t.Errorf("id %q", got.ID)
		}
		got.ID = ""
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v %+v\nwant %+v %+v", test.connector.State, got, got.Runtime, test.want, test.want.Runtime)
		}
	}
	if calls := simulated.Calls(); calls["DescribeConnector"] != 0 || calls["GetMetricData"] != 0 {
		t.Errorf("asked for more than the list: %v", calls)
	}
}

func TestPagesPrefixAndFilter(t *testing.T) {
	simulated, base := service(t, msktest.Options{PageSize: 10})
	for i := range 250 {
		simulated.Put(msktest.Connector{Name: fmt.Sprintf("orders-%03d", i), State: "RUNNING"}, msktest.Connector{Name: fmt.Sprintf("other-%03d", i), State: "RUNNING"})
	}
	snapshot := observe(t, observer(t, Options{Endpoint: base, NamePrefix: "orders-", Keep: func(name string) bool { return name != "orders-007" }}))
	if got := names(snapshot); len(got) != 249 || got[0] != "orders-000" || got[7] != "orders-008" || got[248] != "orders-249" {
		t.Errorf("%d connectors: %v", len(got), got)
	}
	if calls := simulated.Calls()["ListConnectors"]; calls != 25 {
		t.Errorf("%d pages", calls)
	}
}

func TestPagesChangeUnderfoot(t *testing.T) {
	simulated, base := service(t, msktest.Options{PageSize: 2})
	for _, name := range []string{"a", "b", "c", "d"} {
		simulated.Put(msktest.Connector{Name: name, State: "RUNNING"})
	}
	var once sync.Once
	simulated.AfterPage(func() {
		once.Do(func() {
			// One comes in front, so that b is on both pages; and it was deleted
			// and created again meanwhile.
			simulated.Put(msktest.Connector{Name: "b", State: "CREATING", Created: time.Now()})
			simulated.PutFirst(msktest.Connector{Name: "0", State: "RUNNING"})
		})
	})
	snapshot := observe(t, observer(t, Options{Endpoint: base}))
	if got := names(snapshot); !reflect.DeepEqual(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("connectors %v", got)
	}
	if b := snapshot.Connectors[1]; b.State != connect.StateProvisioning {
		t.Errorf("b is %v, its older self", b.State)
	}
	simulated.AfterPage(func() { simulated.Delete("d"); simulated.Delete("c"); simulated.Delete("b") })
	if got := names(observe(t, observer(t, Options{Endpoint: base}))); !reflect.DeepEqual(got, []string{"0", "a"}) {
		t.Errorf("connectors %v", got)
	}
}

func TestDescribe(t *testing.T) {
	simulated, base := service(t, msktest.Options{})
	simulated.Put(
		msktest.Connector{Name: "orders", State: "RUNNING", Version: "K1", Config: map[string]string{"connector.class": "io.example.Sink", "tasks.max": "3", "password": "hunter2"}},
		msktest.Connector{Name: "scaled", State: "RUNNING", Version: "K1", Autoscaled: true, MaxTasks: 9, Config: map[string]string{"connector.class": "io.example.Sink", "tasks.max": "3"}},
		msktest.Connector{Name: "broken", State: "FAILED", Version: "K1", StateCode: "InvalidInput.InvalidConnectorConfiguration", StateMessage: "password hunter2 is wrong", Config: map[string]string{"tasks.max": "many"}},
		msktest.Connector{Name: "talkative", State: "FAILED", Version: "K1", StateCode: "it said: hunter2"},
	)
	var log strings.Builder
	o := observer(t, Options{Endpoint: base, Describe: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	check := func(name, class string, tasksMax int, exception string) {
		t.Helper()
		for _, c := range observe(t, o).Connectors {
			if c.Name == name && (c.Class != class || c.TasksMax != tasksMax || c.Failure.Exception != exception || c.Failure.RootCause != exception) {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
	check("orders", "io.example.Sink", 3, "")
	check("scaled", "io.example.Sink", 9, "")
	check("broken", "", 0, "InvalidInput.InvalidConnectorConfiguration")
	check("talkative", "", 0, "unknown")
	if calls := simulated.Calls(); calls["DescribeConnector"] != 4 || calls["ListConnectors"] != 4 {
		t.Errorf("calls %v: each description is to be had once", calls)
	}

	// A new version, and a new state, are asked for; a failing call costs nothing
	// that is known, and is logged once.
	simulated.Put(msktest.Connector{Name: "orders", State: "RUNNING", Version: "K2", Config: map[string]string{"connector.class": "io.example.Sink", "tasks.max": "5"}})
	simulated.SetFault("DescribeConnector", msktest.Fault{Status: 403, Type: "ForbiddenException", Message: "token hunter2"})
	check("orders", "io.example.Sink", 3, "")
	check("orders", "io.example.Sink", 3, "")
	simulated.ClearFaults()
	check("orders", "io.example.Sink", 5, "")
	simulated.Put(msktest.Connector{Name: "orders", State: "FAILED", Version: "K2", StateCode: "UnknownError.Unknown"})
	check("orders", "", 0, "UnknownError.Unknown")
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "kafkaconnect:DescribeConnector") || strings.Count(got, "level=INFO") != 1 {
		t.Errorf("log:\n%s", got)
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Error("the log quotes AWS")
	}
	simulated.Delete("orders")
	observe(t, o)
	if len(o.descriptions) != 3 {
		t.Errorf("%d descriptions of 3 connectors", len(o.descriptions))
	}
}

func TestDescribeStopsWhenThrottledAndLeavesTimeForTheSnapshot(t *testing.T) {
	simulated, base := service(t, msktest.Options{})
	for i := range 50 {
		simulated.Put(msktest.Connector{Name: fmt.Sprint(i), State: "RUNNING"})
	}
	o := observer(t, Options{Endpoint: base, Describe: true, Parallelism: 2})
	simulated.SetFault("DescribeConnector", msktest.Fault{Status: 429, Type: "TooManyRequestsException"})
	if n := len(observe(t, o).Connectors); n != 50 {
		t.Errorf("%d connectors", n)
	}
	if calls := simulated.Calls()["DescribeConnector"]; calls > 2*attempts {
		t.Errorf("%d calls although throttled", calls)
	}
	simulated.SetFault("DescribeConnector", msktest.Fault{Hang: true})
	snapshot, err := o.Observe(within(t, time.Second), nil)
	if err != nil || len(snapshot.Connectors) != 50 {
		t.Errorf("calls that hang cost the snapshot: %v", err)
	}
}

func TestCloudWatch(t *testing.T) {
	simulated, base := service(t, msktest.Options{})
	for i := range 200 {
		simulated.Put(msktest.Connector{Name: fmt.Sprintf("c%03d", i), State: "RUNNING"})
	}
	simulated.Put(msktest.Connector{Name: "c007", State: "RUNNING", Metrics: map[string]float64{"RunningTaskCount": 3, "ErroredTaskCount": 1, "WorkerCount": 2}})
	simulated.Put(msktest.Connector{Name: "c199", State: "RUNNING", Metrics: map[string]float64{"RunningTaskCount": 0}})
	var log strings.Builder
	o := observer(t, Options{Endpoint: base, CloudWatch: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	now := time.Now()
	o.counts.now = func() time.Time { return now }

	full := connect.Reported{RunningTasks: connect.Count{Value: 3, Known: true}, FailedTasks: connect.Count{Value: 1, Known: true}, Workers: connect.Count{Value: 2, Known: true}}
	check := func(want bool) {
		t.Helper()
		snapshot := observe(t, o)
		if !want {
			if got := snapshot.Connectors[7].Reported; got != nil {
				t.Errorf("outdated counts: %+v", got)
			}
			return
		}
		if got := snapshot.Connectors[7].Reported; got == nil || *got != full {
			t.Errorf("c007: %+v", got)
		}
		if got := snapshot.Connectors[199].Reported; got == nil || *got != (connect.Reported{RunningTasks: connect.Count{Known: true}}) {
			t.Errorf("c199: %+v", got)
		}
		if got := snapshot.Connectors[8].Reported; got != nil {
			t.Errorf("c008 has no metrics, but %+v", got)
		}
		if snapshot.HasTasks {
			t.Error("counts are no tasks")
		}
	}
	check(true)
	check(true)
	if calls := simulated.Calls()["GetMetricData"]; calls != 2 || simulated.MetricQueries() != 600 {
		t.Errorf("%d calls for %d metrics: 600 in two batches, once a minute", calls, simulated.MetricQueries())
	}
	simulated.SetFault("GetMetricData", msktest.Fault{Status: 403, Type: "AccessDeniedException", Message: "User hunter2"})
	now = now.Add(period)
	check(true)
	now = now.Add(window)
	check(false)
	simulated.ClearFaults()
	now = now.Add(period)
	check(true)
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "cloudwatch:GetMetricData") || strings.Contains(got, "hunter2") {
		t.Errorf("log:\n%s", got)
	}
}

func TestErrors(t *testing.T) {
	const leak = "SESSION-TOKEN-IN-THE-MESSAGE"
	for _, test := range []struct {
		name   string
		fault  msktest.Fault
		reason connect.Reason
		says   string
	}{
		{"bad request", msktest.Fault{Status: 400, Type: "BadRequestException", Message: leak}, connect.HTTPStatus, "BadRequestException (HTTP 400)"},
		{"wrong key", msktest.Fault{Status: 403, Type: "UnrecognizedClientException", Message: leak}, connect.Unauthorized, "check the key"},
		{"wrong secret", msktest.Fault{Status: 403, Type: "InvalidSignatureException", Message: leak}, connect.Unauthorized, "check the key"},
		{"expired", msktest.Fault{Status: 403, Type: "ExpiredTokenException", Message: leak}, connect.Unauthorized, "session's expiry"},
		{"unauthorized", msktest.Fault{Status: 401, Type: "UnauthorizedException", Message: leak}, connect.Unauthorized, "(HTTP 401)"},
		{"no permission", msktest.Fault{Status: 403, Type: "AccessDeniedException", Message: leak}, connect.Forbidden, "allow kafkaconnect:ListConnectors on *"},
		{"forbidden", msktest.Fault{Status: 403, Type: "ForbiddenException", Message: leak}, connect.Forbidden, "allow kafkaconnect:ListConnectors on *"},
		{"not found", msktest.Fault{Status: 404, Type: "NotFoundException", Message: leak}, connect.NotFound, "check region and endpoint"},
		{"conflict", msktest.Fault{Status: 409, Type: "ConflictException", Message: leak}, connect.HTTPStatus, "ConflictException (HTTP 409)"},
		{"throttled", msktest.Fault{Status: 429, Type: "TooManyRequestsException", Message: leak}, connect.HTTPStatus, "scrape less often"},
		{"internal", msktest.Fault{Status: 500, Type: "InternalServerErrorException", Message: leak}, connect.HTTPStatus, "(HTTP 500)"},
		{"unavailable", msktest.Fault{Status: 503, Type: "ServiceUnavailableException", Message: leak}, connect.HTTPStatus, "(HTTP 503)"},
		{"a code that is none", msktest.Fault{Status: 418, Type: leak + " " + leak, Message: leak}, connect.HTTPStatus, "HTTP 418"},
		{"a proxy's page", msktest.Fault{Status: 502, Body: "<html>" + leak}, connect.HTTPStatus, "HTTP 502"},
		{"a page for an answer", msktest.Fault{Status: 200, Body: "<html>" + leak}, connect.Decode, "not that of MSK Connect"},
		{"an object for a list", msktest.Fault{Status: 200, Body: `{"ok":true}`}, connect.Decode, "no list of connectors"},
		{"truncated", msktest.Fault{Status: 200, Body: `{"connectors":[{"connectorName":"a"`}, connect.Decode, "not that of MSK Connect"},
		{"endless", msktest.Fault{Status: 200, Body: `{"connectors":[` + strings.Repeat(" ", 3<<20)}, connect.TooLarge, "larger than the limit"},
		{"redirect", msktest.Fault{Status: 302, Body: leak}, connect.HTTPStatus, "HTTP 302"},
		{"hangs", msktest.Fault{Hang: true}, connect.Timeout, "within the deadline"},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulated, base := service(t, msktest.Options{})
			simulated.Put(msktest.Connector{Name: "orders", State: "RUNNING"})
			simulated.SetFault("ListConnectors", test.fault)
			options := Options{Endpoint: base, MaxBodyBytes: 1 << 20, RequestTimeout: time.Minute}
			if test.fault.Hang {
				options.RequestTimeout = 100 * time.Millisecond
			}
			o := observer(t, options)
			snapshot, err := o.Observe(within(t, time.Minute), nil)
			verify(t, snapshot, err, test.reason, test.says)
			if err != nil && strings.Contains(err.Error(), leak) {
				t.Errorf("quotes AWS: %v", err)
			}
			// Whole again once the fault is gone.
			simulated.ClearFaults()
			o.http.Timeout = time.Minute
			if got := names(observe(t, o)); len(got) != 1 {
				t.Errorf("connectors %v", got)
			}
		})
	}
}

func verify(t *testing.T, snapshot *connect.Snapshot, err error, reason connect.Reason, says string) {
	t.Helper()
	if snapshot != nil || err == nil {
		t.Fatalf("got a snapshot and error %v", err)
	}
	if got := connect.ReasonOf(err); got != reason {
		t.Errorf("reason %s, want %s: %v", got, reason, err)
	}
	text := err.Error()
	if !strings.Contains(text, says) || strings.Contains(text, "\n") || strings.Contains(text, secret) {
		t.Errorf("error %q, want one line with %q", text, says)
	}
}

func TestCredentials(t *testing.T) {
	t.Run("wrong key", func(t *testing.T) {
		_, base := service(t, msktest.Options{})
		t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
		snapshot, err := observer(t, Options{Endpoint: base}).Observe(within(t, time.Minute), nil)
		verify(t, snapshot, err, connect.Unauthorized, "list connectors of MSK Connect in eu-west-1: InvalidSignatureException (HTTP 403)")
		if strings.Contains(err.Error(), "Canonical") {
			t.Errorf("quotes the signed headers: %v", err)
		}
	})
	t.Run("wrong region", func(t *testing.T) {
		_, base := service(t, msktest.Options{})
		snapshot, err := observer(t, Options{Endpoint: base, Region: "us-east-1"}).Observe(within(t, time.Minute), nil)
		verify(t, snapshot, err, connect.Unauthorized, "region")
	})
	t.Run("no such region", func(t *testing.T) {
		service(t, msktest.Options{})
		o := observer(t, Options{Region: "eu-nowhere-9", Transport: refusing{}})
		snapshot, err := o.Observe(within(t, time.Minute), nil)
		verify(t, snapshot, err, connect.Unreachable, "check region eu-nowhere-9")
	})
	t.Run("none", func(t *testing.T) {
		_, base := service(t, msktest.Options{})
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		snapshot, err := observer(t, Options{Endpoint: base}).Observe(within(t, time.Minute), nil)
		verify(t, snapshot, err, connect.Unauthorized, "set AWS_ACCESS_KEY_ID")
	})
	t.Run("role", func(t *testing.T) {
		simulated, base := service(t, msktest.Options{Roles: []string{role}})
		simulated.Put(msktest.Connector{Name: "orders", State: "RUNNING"})
		o := observer(t, Options{Endpoint: base, RoleARN: role})
		observe(t, o)
		observe(t, o)
		if calls := simulated.Calls(); calls["AssumeRole"] != 1 || calls["ListConnectors"] != 2 {
			t.Errorf("calls %v", calls)
		}
	})
	t.Run("role refused", func(t *testing.T) {
		_, base := service(t, msktest.Options{})
		snapshot, err := observer(t, Options{Endpoint: base, RoleARN: role}).Observe(within(t, time.Minute), nil)
		verify(t, snapshot, err, connect.Forbidden, "allow sts:AssumeRole")
	})
	t.Run("no region", func(t *testing.T) {
		if _, err := New(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "CONNECT_AWS_REGION") {
			t.Errorf("error %v", err)
		}
	})
}

// What something in AWS's place sends back of a request is not repeated, nor are
// its credentials sent on.
func TestHostileAnswers(t *testing.T) {
	const token = "s3ssion/token+=="
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\n%s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"HTTP/1.1 307 x\r\nLocation: http://[%s\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 403 %s\r\nX-Amzn-Errortype: %[1]s\r\nContent-Length: 0\r\n\r\n",
	} {
		service(t, msktest.Options{})
		t.Setenv("AWS_SESSION_TOKEN", token)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("X-Amz-Security-Token"); got != token {
				t.Errorf("the session token is %q", got)
			}
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(connection, answer, token)
			_ = connection.Close()
		}))
		base, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		var told []error
		_, err = observer(t, Options{Endpoint: base}).Observe(within(t, time.Minute), func(r connect.Request) { told = append(told, r.Err) })
		if text := fmt.Sprint(err, told); err == nil || len(told) == 0 || strings.Contains(text, "s3ssion") {
			t.Errorf("%q: %s", answer, text)
		}
		server.Close()
	}
}

// The token by which a task, a pod, an instance or somebody gets credentials is for
// that endpoint alone.
func TestCredentialsTokenFollowsNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect is followed: %v", r.Header)
	}))
	defer elsewhere.Close()
	home := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The name of the cache is the SHA-1 of the session's.
	file(".aws/sso/cache/"+fmt.Sprintf("%x", sha1.Sum([]byte("corp")))+".json", `{"accessToken":"s1gned-on","expiresAt":"2100-01-01T00:00:00Z"}`)
	for name, door := range map[string]struct {
		header, token string // no header: the token is in the body
		environment   func(endpoint string) map[string]string
	}{
		"single sign-on": {"X-Amz-Sso_bearer_token", "s1gned-on", func(endpoint string) map[string]string {
			return map[string]string{
				"AWS_CONFIG_FILE": file("config", "[default]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = r\n"+
					"[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example/start\n"),
				"HOME": home, "AWS_ENDPOINT_URL_SSO": endpoint,
			}
		}},
		"web identity": {"", "1dentity", func(endpoint string) map[string]string {
			return map[string]string{
				"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": file("token", "1dentity"), "AWS_ENDPOINT_URL_STS": endpoint,
			}
		}},
		"container": {"Authorization", "c0ntainer", func(endpoint string) map[string]string {
			return map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": endpoint, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "c0ntainer"}
		}},
		"instance": {"X-Aws-Ec2-Metadata-Token", "1nstance", func(endpoint string) map[string]string {
			return map[string]string{"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint}
		}},
	} {
		for _, code := range []int{302, 307, 308} {
			t.Run(fmt.Sprint(name, " ", code), func(t *testing.T) {
				var asked atomic.Int32
				endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPut { // An instance is given its token first.
						w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
						fmt.Fprint(w, door.token)
						return
					}
					sent := r.Header.Get(door.header)
					if door.header == "" {
						sent = r.FormValue("WebIdentityToken")
					}
					if asked.Add(1); sent != door.token {
						t.Errorf("asked with %v", r.Header)
					}
					http.Redirect(w, r, elsewhere.URL, code)
				}))
				defer endpoint.Close()
				_, base := service(t, msktest.Options{})
				t.Setenv("AWS_ACCESS_KEY_ID", "")
				t.Setenv("AWS_SECRET_ACCESS_KEY", "")
				for name, value := range door.environment(endpoint.URL) {
					t.Setenv(name, value)
				}
				_, err := observer(t, Options{Endpoint: base, attempts: 1}).Observe(within(t, time.Minute), nil)
				if !errors.Is(err, connect.Unauthorized) || asked.Load() == 0 || strings.Contains(err.Error(), door.token) {
					t.Errorf("asked %d times: %v", asked.Load(), err)
				}
			})
		}
	}
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no such host")
}

func TestRetryStaysWithinTheDeadlineAndIsReported(t *testing.T) {
	simulated, base := service(t, msktest.Options{})
	simulated.Put(msktest.Connector{Name: "orders", State: "RUNNING"})
	simulated.SetFault("ListConnectors", msktest.Fault{Status: 503, Type: "ServiceUnavailableException", Times: 1})
	o := observer(t, Options{Endpoint: base, Describe: true})
	var mutex sync.Mutex
	got := map[string]int{}
	snapshot, err := o.Observe(within(t, time.Minute), func(r connect.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		got[fmt.Sprint(r.Endpoint, " ", r.Code)]++
		if r.Host != base.Host || r.Duration <= 0 || r.Bytes == 0 || r.Start.IsZero() {
			t.Errorf("request %+v", r)
		}
	})
	if err != nil || len(snapshot.Connectors) != 1 {
		t.Fatalf("one unavailable answer costs the snapshot: %v", err)
	}
	if want := map[string]int{"list 503": 1, "list 200": 1, "describe 200": 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
	simulated.SetFault("ListConnectors", msktest.Fault{Status: 429, Type: "TooManyRequestsException"})
	before := simulated.Calls()["ListConnectors"]
	if _, err := o.Observe(within(t, time.Minute), nil); connect.ReasonOf(err) != connect.HTTPStatus {
		t.Errorf("error %v", err)
	}
	if calls := simulated.Calls()["ListConnectors"] - before; calls != attempts {
		t.Errorf("%d attempts", calls)
	}
}

func TestEmptyAccount(t *testing.T) {
	_, base := service(t, msktest.Options{})
	if s := observe(t, observer(t, Options{Endpoint: base, Describe: true, CloudWatch: true})); len(s.Connectors) != 0 {
		t.Errorf("connectors %v", names(s))
	}
}

func TestOverlappingSnapshots(t *testing.T) {
	simulated, base := service(t, msktest.Options{})
	connector := msktest.Connector{Name: "orders", State: "RUNNING", Config: map[string]string{"connector.class": "a.B"}}
	simulated.Put(connector)
	observertest.Overlap(t, observer(t, Options{Endpoint: base, Describe: true, CloudWatch: true}),
		func() { connector.State = "FAILED"; simulated.Put(connector) },
		func() { simulated.Put(msktest.Connector{Name: "payments", State: "CREATING"}) },
	)
}
