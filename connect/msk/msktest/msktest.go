// Package msktest simulates MSK Connect, and the two AWS services that go with
// it, over HTTP: ListConnectors and DescribeConnector (REST JSON), CloudWatch's
// GetMetricData (Smithy RPC v2 CBOR) and STS's AssumeRole (query and XML). Every
// request must carry a right Signature Version 4, which is computed anew.
package msktest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/cbor"
)

// A Connector of the simulated account.
type Connector struct {
	Name    string
	State   string // RUNNING, CREATING, UPDATING, DELETING, FAILED
	Version string // currentVersion
	Created time.Time
	// ConnectVersion is kafkaConnectVersion, "3.7.x" if empty.
	ConnectVersion string
	// Units of a worker, and Workers where its capacity is provisioned.
	Units, Workers int
	// Autoscaled between MinWorkers and MaxWorkers, with at most MaxTasks.
	Autoscaled                       bool
	MinWorkers, MaxWorkers, MaxTasks int
	// Config is the connectorConfiguration, which only DescribeConnector tells.
	Config map[string]string
	// StateCode and StateMessage are the stateDescription.
	StateCode, StateMessage string
	// Metrics are the newest values in CloudWatch, by metric name.
	Metrics map[string]float64
}

// A Fault is the answer to the calls of one operation instead of the real one.
type Fault struct {
	Status  int
	Type    string // X-Amzn-Errortype
	Message string
	Body    string // instead of the error's JSON
	// Times that it happens, 0 is for ever.
	Times int
	// Hang until the caller leaves.
	Hang bool
}

// Options of a Service.
type Options struct {
	Region                       string
	AccessKeyID, SecretAccessKey string
	// PageSize caps the connectors of a page, beside the caller's maxResults.
	PageSize int
	// Roles that may be assumed.
	Roles []string
}

// A Service is one account in one region. It is an [http.Handler]; its methods
// may be called while it serves.
type Service struct {
	options Options

	mutex      sync.Mutex
	connectors []Connector
	faults     map[string]*Fault
	calls      map[string]int
	queries    int
	afterPage  func()
	sessions   map[string]aws.Credentials // by access key id, of assumed roles
}

// New returns a Service without connectors.
func New(options Options) *Service {
	return &Service{options: options, faults: map[string]*Fault{}, calls: map[string]int{}, sessions: map[string]aws.Credentials{}}
}

// Put adds a connector, or replaces the one of that name where it stands.
func (s *Service) Put(connectors ...Connector) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, c := range connectors {
		if i := s.index(c.Name); i >= 0 {
			s.connectors[i] = c
		} else {
			s.connectors = append(s.connectors, c)
		}
	}
}

// PutFirst adds a connector before all others, even one whose name exists, as
// the list of a changing account may show it.
func (s *Service) PutFirst(c Connector) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.connectors = slices.Insert(s.connectors, 0, c)
}

// Delete removes a connector.
func (s *Service) Delete(name string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if i := s.index(name); i >= 0 {
		s.connectors = slices.Delete(s.connectors, i, i+1)
	}
}

// SetFault sets what an operation ("ListConnectors", …) answers from now on.
func (s *Service) SetFault(operation string, fault Fault) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.faults[operation] = &fault
}

// ClearFaults ends all faults.
func (s *Service) ClearFaults() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	clear(s.faults)
}

// AfterPage is called after each page of ListConnectors was made.
func (s *Service) AfterPage(f func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.afterPage = f
}

// Calls returns how often each operation was asked for.
func (s *Service) Calls() map[string]int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return maps.Clone(s.calls)
}

// MetricQueries returns how many metrics were asked for: what AWS charges.
func (s *Service) MetricQueries() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.queries
}

func (s *Service) index(name string) int {
	return slices.IndexFunc(s.connectors, func(c Connector) bool { return c.Name == name })
}

func (s *Service) arn(name string) string {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:16])
	return fmt.Sprintf("arn:aws:kafkaconnect:%s:111122223333:connector/%s/%s-%s-%s-%s-%s-2",
		s.options.Region, name, id[:8], id[8:12], id[12:16], id[16:20], id[20:])
}

// operation says which call a request is, and of which service.
func operation(r *http.Request) (name, service string) {
	switch path := r.URL.EscapedPath(); {
	case r.Method == http.MethodGet && path == "/v1/connectors":
		return "ListConnectors", "kafkaconnect"
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/v1/connectors/"):
		return "DescribeConnector", "kafkaconnect"
	case r.Method == http.MethodPost && path == "/service/GraniteServiceVersion20100801/operation/GetMetricData":
		return "GetMetricData", "monitoring"
	case r.Method == http.MethodPost && path == "/":
		return "AssumeRole", "sts"
	}
	return "", ""
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	name, service := operation(r)
	if name == "" {
		s.fail(w, "", http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
		return
	}
	s.mutex.Lock()
	s.calls[name]++
	fault := s.faults[name]
	var now Fault
	if fault != nil {
		now = *fault
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				delete(s.faults, name)
			}
		}
	}
	s.mutex.Unlock()
	if fault != nil {
		switch {
		case now.Hang:
			<-r.Context().Done()
		case now.Body != "":
			w.WriteHeader(now.Status)
			_, _ = io.WriteString(w, now.Body)
		default:
			s.fail(w, name, now.Status, now.Type, now.Message)
		}
		return
	}
	if code, message := s.authenticate(r, body, service); code != "" {
		s.fail(w, name, http.StatusForbidden, code, message)
		return
	}
	switch name {
	case "ListConnectors":
		s.list(w, r)
	case "DescribeConnector":
		s.describe(w, r)
	case "GetMetricData":
		s.metricData(w, body)
	case "AssumeRole":
		s.assumeRole(w, body)
	}
}

// authenticate computes the signature that the request should carry and says
// with which of AWS's codes it would be refused, "" if it is right. Like AWS's,
// its message of a wrong signature quotes the signed headers.
func (s *Service) authenticate(r *http.Request, body []byte, service string) (code, message string) {
	authorization, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return "MissingAuthenticationTokenException", "Missing Authentication Token"
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(authorization, ", ") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return "IncompleteSignatureException", "Credential must have five parts"
	}
	if scope[2] != s.options.Region || scope[3] != service {
		return "InvalidSignatureException", fmt.Sprintf("Credential should be scoped to %s/%s", s.options.Region, service)
	}
	credentials := aws.Credentials{AccessKeyID: s.options.AccessKeyID, SecretAccessKey: s.options.SecretAccessKey}
	if scope[0] != credentials.AccessKeyID {
		s.mutex.Lock()
		credentials, ok = s.sessions[scope[0]]
		s.mutex.Unlock()
		if !ok || r.Header.Get("X-Amz-Security-Token") != credentials.SessionToken {
			return "UnrecognizedClientException", "The security token included in the request is invalid."
		}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return "InvalidSignatureException", "Signature expired"
	}
	again := &http.Request{Method: r.Method, Host: r.Host, ContentLength: r.ContentLength, Header: http.Header{}}
	again.URL = &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	for header := range strings.SplitSeq(fields["SignedHeaders"], ";") {
		if values := r.Header.Values(header); len(values) > 0 && header != "content-length" {
			again.Header[http.CanonicalHeaderKey(header)] = values
		}
	}
	again.Header.Del("Authorization")
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(r.Context(), credentials, again, hex.EncodeToString(sum[:]), service, s.options.Region, at); err != nil {
		return "InternalFailure", err.Error()
	}
	if again.Header.Get("Authorization") != r.Header.Get("Authorization") {
		return "InvalidSignatureException", fmt.Sprintf("The request signature we calculated does not match. The Canonical String should have been %v", r.Header)
	}
	return "", ""
}

func (s *Service) fail(w http.ResponseWriter, operation string, status int, code, message string) {
	switch operation {
	case "AssumeRole":
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
	case "GetMetricData":
		w.Header().Set("Content-Type", "application/cbor")
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		w.WriteHeader(status)
		_, _ = w.Write(cbor.Encode(cbor.Map{"__type": cbor.String("com.amazonaws.cloudwatch#" + code), "message": cbor.String(message)}))
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
	}
}

func (s *Service) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	size, err := strconv.Atoi(query.Get("maxResults"))
	if err != nil || size < 1 || size > 100 {
		s.fail(w, "ListConnectors", http.StatusBadRequest, "BadRequestException", "maxResults must be between 1 and 100")
		return
	}
	if s.options.PageSize > 0 {
		size = min(size, s.options.PageSize)
	}
	s.mutex.Lock()
	var matching []Connector
	for _, c := range s.connectors {
		if strings.HasPrefix(c.Name, query.Get("connectorNamePrefix")) {
			matching = append(matching, c)
		}
	}
	afterPage := s.afterPage
	s.mutex.Unlock()
	// The token is a position, so that connectors that come and go between two
	// pages are seen twice or not at all.
	start := 0
	if token := query.Get("nextToken"); token != "" {
		if start, err = strconv.Atoi(token); err != nil {
			s.fail(w, "ListConnectors", http.StatusBadRequest, "BadRequestException", "Invalid nextToken")
			return
		}
	}
	start = min(start, len(matching))
	page := matching[start:min(start+size, len(matching))]
	summaries := []map[string]any{}
	for _, c := range page {
		summaries = append(summaries, s.summary(c))
	}
	answer := map[string]any{"connectors": summaries}
	if start+size < len(matching) {
		answer["nextToken"] = strconv.Itoa(start + size)
	}
	write(w, answer)
	if afterPage != nil {
		afterPage()
	}
}

func (s *Service) summary(c Connector) map[string]any {
	capacity := map[string]any{"provisionedCapacity": map[string]any{"mcuCount": c.Units, "workerCount": c.Workers}}
	if c.Autoscaled {
		capacity = map[string]any{"autoScaling": map[string]any{
			"mcuCount": c.Units, "minWorkerCount": c.MinWorkers, "maxWorkerCount": c.MaxWorkers, "maxAutoscalingTaskCount": c.MaxTasks,
			"scaleInPolicy": map[string]int{"cpuUtilizationPercentage": 20}, "scaleOutPolicy": map[string]int{"cpuUtilizationPercentage": 80},
		}}
	}
	created := c.Created
	if created.IsZero() {
		created = time.Date(2024, 5, 1, 10, 11, 12, 345e6, time.UTC)
	}
	return map[string]any{
		"connectorArn": s.arn(c.Name), "connectorName": c.Name, "connectorState": c.State,
		"creationTime": created.UTC().Format("2006-01-02T15:04:05.000Z"), "currentVersion": c.Version,
		"kafkaConnectVersion": cmp.Or(c.ConnectVersion, "3.7.x"), "networkType": "IPV4", "capacity": capacity,
		"plugins":                          []any{map[string]any{"customPlugin": map[string]any{"customPluginArn": "arn:aws:kafkaconnect:eu-west-1:111122223333:custom-plugin/p/1", "revision": 1}}},
		"kafkaCluster":                     map[string]any{"apacheKafkaCluster": map[string]any{"bootstrapServers": "b-1:9098", "vpc": map[string]any{"subnets": []string{"subnet-1"}, "securityGroups": []string{"sg-1"}}}},
		"kafkaClusterClientAuthentication": map[string]any{"authenticationType": "IAM"},
		"kafkaClusterEncryptionInTransit":  map[string]any{"encryptionType": "TLS"},
		"serviceExecutionRoleArn":          "arn:aws:iam::111122223333:role/msk-connect",
	}
}

func (s *Service) describe(w http.ResponseWriter, r *http.Request) {
	arn := strings.TrimPrefix(r.URL.Path, "/v1/connectors/")
	s.mutex.Lock()
	i := slices.IndexFunc(s.connectors, func(c Connector) bool { return s.arn(c.Name) == arn })
	var c Connector
	if i >= 0 {
		c = s.connectors[i]
	}
	s.mutex.Unlock()
	if i < 0 {
		s.fail(w, "DescribeConnector", http.StatusNotFound, "NotFoundException", "The connector does not exist.")
		return
	}
	answer := s.summary(c)
	answer["connectorConfiguration"] = c.Config
	if c.StateCode != "" {
		answer["stateDescription"] = map[string]string{"code": c.StateCode, "message": c.StateMessage}
	}
	write(w, answer)
}

func write(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *Service) assumeRole(w http.ResponseWriter, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("Action") != "AssumeRole" {
		s.fail(w, "AssumeRole", http.StatusBadRequest, "InvalidAction", "Could not find operation")
		return
	}
	if !slices.Contains(s.options.Roles, form.Get("RoleArn")) {
		s.fail(w, "AssumeRole", http.StatusForbidden, "AccessDenied", "User is not authorized to perform: sts:AssumeRole")
		return
	}
	session := aws.Credentials{AccessKeyID: "ASIASESSION", SecretAccessKey: "session-secret", SessionToken: "session-token"}
	s.mutex.Lock()
	s.sessions[session.AccessKeyID] = session
	s.mutex.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>`+
		`<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration>`+
		`</Credentials></AssumeRoleResult></AssumeRoleResponse>`,
		session.AccessKeyID, session.SecretAccessKey, session.SessionToken, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

// metricData answers each query with the newest value and an older one.
func (s *Service) metricData(w http.ResponseWriter, body []byte) {
	decoded, err := cbor.Decode(body)
	input, ok := decoded.(cbor.Map)
	if err != nil || !ok {
		s.fail(w, "GetMetricData", http.StatusBadRequest, "SerializationException", "not CBOR")
		return
	}
	queries, _ := input["MetricDataQueries"].(cbor.List)
	if len(queries) == 0 || len(queries) > 500 {
		s.fail(w, "GetMetricData", http.StatusBadRequest, "ValidationError", "MetricDataQueries must have between 1 and 500 members")
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.queries += len(queries)
	var results cbor.List
	for _, q := range queries {
		query, _ := q.(cbor.Map)
		stat, _ := query["MetricStat"].(cbor.Map)
		metric, _ := stat["Metric"].(cbor.Map)
		dimensions, _ := metric["Dimensions"].(cbor.List)
		result := cbor.Map{"Id": query["Id"], "Label": metric["MetricName"], "StatusCode": cbor.String("Complete"), "Timestamps": cbor.List{}, "Values": cbor.List{}}
		if metric["Namespace"] == cbor.String("AWS/KafkaConnect") && len(dimensions) == 1 {
			only, _ := dimensions[0].(cbor.Map)
			connector, _ := only["Value"].(cbor.String)
			name, _ := metric["MetricName"].(cbor.String)
			if i := s.index(string(connector)); i >= 0 && only["Name"] == cbor.String("ConnectorName") {
				if value, ok := s.connectors[i].Metrics[string(name)]; ok {
					now := float64(time.Now().Unix())
					result["Timestamps"] = cbor.List{&cbor.Tag{ID: 1, Value: cbor.Float64(now)}, &cbor.Tag{ID: 1, Value: cbor.Float64(now - 60)}}
					result["Values"] = cbor.List{cbor.Float64(value), cbor.Float64(value + 7)}
				}
			}
		}
		results = append(results, result)
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	_, _ = io.Copy(w, bytes.NewReader(cbor.Encode(cbor.Map{"MetricDataResults": results, "Messages": cbor.List{}})))
}
