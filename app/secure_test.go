package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/config"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/connecttest"
)

// certificate writes a self-signed certificate of 127.0.0.1 with its key, and
// returns whom to trust.
func certificate(t *testing.T, directory string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(directory, "cert.pem"), "%s", public)
	write(t, filepath.Join(directory, "key.pem"), "%s", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(public)
	return pool
}

func TestTLSAndBasicAuthOnEveryAddress(t *testing.T) {
	directory := t.TempDir()
	pool := certificate(t, directory)
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	webConfig := filepath.Join(directory, "web.yml")
	write(t, webConfig, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {prometheus: %q}\n", hash)
	c := cluster("4.3.1")
	addresses, ended := make(chan []net.Addr, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- Run(ctx, Options{
			Sources:         config.Sources{ConnectURL: worker(t, c, 0)},
			ListenAddresses: []string{"127.0.0.1:0", "127.0.0.1:0"},
			WebConfigFile:   webConfig,
			Logger:          slog.New(slog.DiscardHandler),
			Ready:           func(a []net.Addr) { addresses <- a },
		})
	}()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	client := &http.Client{Transport: transport}
	defer func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for _, address := range <-addresses {
		for password, want := range map[string]int{"s3cret": http.StatusOK, "guess": http.StatusUnauthorized, "": http.StatusUnauthorized} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("https://%s/metrics", address), nil)
			if err != nil {
				t.Fatal(err)
			}
			if password != "" {
				request.SetBasicAuth("prometheus", password)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != want || strings.Contains(string(body), "kafka_connect_up") != (want == http.StatusOK) {
				t.Errorf("%s with password %q: status %d, want %d (%v)", address, password, response.StatusCode, want, err)
			}
		}
	}
}

// The port is open, and says why it is not ready, while clusters are validated.
func TestStartupValidation(t *testing.T) {
	c := cluster("4.3.1")
	asked, release := make(chan struct{}, 1), make(chan struct{})
	c.SetFault(connecttest.Match{}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case asked <- struct{}{}:
			default:
			}
			connecttest.Hang(release)(next).ServeHTTP(w, r)
		})
	})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	go func() {
		<-asked
		p := &program{t: t, base: "http://" + address}
		if a := p.get("/-/ready"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "startup_validation") {
			t.Errorf("ready while validating: %d %s", a.status, a.body)
		}
		if a := p.get("/-/healthy"); a.status != http.StatusOK {
			t.Errorf("healthy while validating: %d", a.status)
		}
		close(release)
	}()
	p := start(t, Options{
		Sources:         config.Sources{Environ: []string{"CONNECT_REST_URL=" + worker(t, c, 0)}}, // Kpow's default is to validate.
		ListenAddresses: []string{address},
	})
	if a := p.get("/-/ready"); a.status != http.StatusOK {
		t.Errorf("ready after validating: %d %s", a.status, a.body)
	}
}

// A program that is told to stop while it validates stops, without complaint.
func TestStopDuringStartupValidation(t *testing.T) {
	c := cluster("4.3.1")
	ctx, cancel := context.WithCancel(context.Background())
	c.SetFault(connecttest.Match{}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			connecttest.Hang(nil)(next).ServeHTTP(w, r)
		})
	})
	err := Run(ctx, Options{
		Sources:         config.Sources{Environ: []string{"CONNECT_REST_URL=" + worker(t, c, 0)}},
		ListenAddresses: []string{"127.0.0.1:0"},
		Logger:          slog.New(slog.DiscardHandler),
		Ready:           func([]net.Addr) { t.Error("it got ready") },
	})
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// The address for administrators is plain where the public one is not, and has the
// probes of an orchestrator.
func TestAdminAddress(t *testing.T) {
	directory := t.TempDir()
	certificate(t, directory)
	webConfig := filepath.Join(directory, "web.yml")
	write(t, webConfig, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
	p := start(t, Options{
		Sources:        config.Sources{ConnectURL: worker(t, cluster("4.3.1"), 0)},
		AdminAddresses: []string{"127.0.0.1:0"}, WebConfigFile: webConfig,
	})
	if a := p.get("/metrics"); a.status != http.StatusBadRequest {
		t.Errorf("plain HTTP to the public address: status %d", a.status)
	}
	p.base = "http://" + p.addresses[1].String()
	for path, want := range map[string]int{"/-/healthy": 200, "/-/ready": 200, "/config": 200, "/metrics": 404} {
		if a := p.get(path); a.status != want {
			t.Errorf("GET %s for administrators: status %d, want %d", path, a.status, want)
		}
	}
	if a := p.do(http.MethodPost, "/-/reload"); a.status != http.StatusOK {
		t.Errorf("reload for administrators: status %d", a.status)
	}
}
