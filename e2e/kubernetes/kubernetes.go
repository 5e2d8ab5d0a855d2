// Package kubernetes runs a real Kubernetes API server over a real etcd: no
// nodes, but resource definitions, watches, RBAC and validation as they are.
package kubernetes

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/e2e/process"
)

// AdminToken may do everything.
const AdminToken = "admin-token"

// A Server is a running API server.
type Server struct {
	// URL is https://127.0.0.1:port; CAFile verifies it.
	URL, CAFile string

	client    *http.Client
	group     *process.Group
	api, etcd *process.Process
	// argv starts the API server, etcdArgv etcd with its data in data.
	argv, etcdArgv []string
	data           string
}

// Tools are the folders of the programs, as tools/build.sh prints them.
type Tools struct{ Kubernetes, Etcd string }

// Start runs etcd and the API server, with data below directory, and returns
// when it is ready. users are further tokens, token → user, without rights.
func Start(ctx context.Context, group *process.Group, ports *process.Ports, tools Tools, directory string, users map[string]string) (*Server, error) {
	fail := func(err error) (*Server, error) { return nil, fmt.Errorf("start the Kubernetes API server: %w", err) }
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fail(err)
	}
	var addresses [3]string
	for i := range addresses {
		port, err := ports.Next()
		if err != nil {
			return fail(err)
		}
		addresses[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	client, peer, secure := "http://"+addresses[0], "http://"+addresses[1], addresses[2]
	data := filepath.Join(directory, "etcd")
	etcdArgv := []string{
		filepath.Join(tools.Etcd, "etcd"), "--data-dir", data,
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
	}
	etcd, err := group.Start("etcd", etcdArgv)
	if err != nil {
		return fail(err)
	}
	key, public, err := serviceAccountKey(directory)
	if err != nil {
		return fail(err)
	}
	var tokens strings.Builder
	fmt.Fprintf(&tokens, "%s,admin,admin,\"system:masters\"\n", AdminToken)
	for token, user := range users {
		fmt.Fprintf(&tokens, "%s,%s,%s\n", token, user, user)
	}
	tokenFile := filepath.Join(directory, "tokens.csv")
	if err := os.WriteFile(tokenFile, []byte(tokens.String()), 0o600); err != nil {
		return fail(err)
	}
	_, port, _ := net.SplitHostPort(secure)
	certificates := filepath.Join(directory, "certificates")
	s := &Server{
		URL: "https://" + secure, CAFile: filepath.Join(certificates, "apiserver.crt"), group: group, etcd: etcd, etcdArgv: etcdArgv, data: data,
		argv: []string{
			filepath.Join(tools.Kubernetes, "kube-apiserver"), "--etcd-servers=" + client,
			"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + port, "--cert-dir=" + certificates,
			"--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + public, "--service-account-signing-key-file=" + key,
			"--token-auth-file=" + tokenFile, "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount",
		},
	}
	if err := s.run(ctx); err != nil {
		return fail(err)
	}
	return s, nil
}

func (s *Server) run(ctx context.Context) (err error) {
	if s.api, err = s.group.Start("kube-apiserver", s.argv); err != nil {
		return err
	}
	return process.Poll(ctx, 200*time.Millisecond, s.api, func(ctx context.Context) error {
		if s.client == nil {
			authority, err := os.ReadFile(s.CAFile)
			if err != nil {
				return err
			}
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(authority)
			s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 30 * time.Second}
		}
		_, err := s.Do(ctx, http.MethodGet, "/readyz", nil)
		return err
	})
}

// Restart ends the API server and starts it again; etcd keeps what it has.
func (s *Server) Restart(ctx context.Context) error {
	s.Stop()
	s.client.CloseIdleConnections()
	return s.run(ctx)
}

// Replace ends the API server and etcd, and starts them again with nothing in them.
func (s *Server) Replace(ctx context.Context) (err error) {
	s.Stop()
	s.etcd.Kill()
	if err := os.RemoveAll(s.data); err != nil {
		return err
	}
	if s.etcd, err = s.group.Start("etcd", s.etcdArgv); err != nil {
		return err
	}
	s.client.CloseIdleConnections()
	return s.run(ctx)
}

// Stop ends the API server, and nothing else, as a crash does: asked to end, it
// waits a minute for the watches of others.
func (s *Server) Stop() { s.api.Kill() }

// Do sends a request with a body (JSON, or YAML if it does not begin with a
// brace) as the administrator. The error says what the server answered, unless
// that is 200 or 201.
func (s *Server) Do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+AdminToken)
	request.Header.Set("Accept", "application/json")
	switch {
	case method == http.MethodPatch && strings.Contains(path, "fieldManager="):
		request.Header.Set("Content-Type", "application/apply-patch+yaml")
	case method == http.MethodPatch:
		request.Header.Set("Content-Type", "application/merge-patch+json")
	case bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")):
		request.Header.Set("Content-Type", "application/json")
	default:
		request.Header.Set("Content-Type", "application/yaml")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		var status struct{ Message string }
		_ = json.Unmarshal(text, &status)
		return text, fmt.Errorf("%s %s: HTTP %d: %s", method, path, response.StatusCode, status.Message)
	}
	return text, nil
}

// serviceAccountKey makes the key that signs tokens of service accounts.
func serviceAccountKey(directory string) (private, public string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	encodedPublic, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	private, public = filepath.Join(directory, "sa.key"), filepath.Join(directory, "sa.pub")
	if err := os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600); err != nil {
		return "", "", err
	}
	return private, public, os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: encodedPublic}), 0o600)
}

// DryRun has the server validate an object as if it were created, strictly: a
// field that is not known is an error.
func (s *Server) DryRun(ctx context.Context, object map[string]any) error {
	path, err := s.collection(ctx, object)
	if err != nil {
		return err
	}
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = s.Do(ctx, http.MethodPost, path+"?dryRun=All&fieldValidation=Strict", body)
	return err
}

// Create creates an object.
func (s *Server) Create(ctx context.Context, object map[string]any) error {
	path, err := s.collection(ctx, object)
	if err != nil {
		return err
	}
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = s.Do(ctx, http.MethodPost, path, body)
	return err
}

// collection is the path under which objects like this one are created.
func (s *Server) collection(ctx context.Context, object map[string]any) (string, error) {
	version, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	metadata, _ := object["metadata"].(map[string]any)
	namespace, _ := metadata["namespace"].(string)
	path := "/apis/" + version
	if !strings.Contains(version, "/") {
		path = "/api/" + version
	}
	text, err := s.Do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	var served struct {
		Resources []struct {
			Name, Kind string
			Namespaced bool
		}
	}
	if err := json.Unmarshal(text, &served); err != nil {
		return "", err
	}
	for _, resource := range served.Resources {
		if resource.Kind != kind || strings.Contains(resource.Name, "/") {
			continue
		}
		if resource.Namespaced {
			if namespace == "" {
				namespace = "default"
			}
			path += "/namespaces/" + namespace
		}
		return path + "/" + resource.Name, nil
	}
	return "", fmt.Errorf("the server has no kind %s in %s", kind, version)
}
