package rest

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"

	commoncfg "github.com/prometheus/common/config"
)

// Authorities that stand beside the system's verify a cluster; those that are
// configured stand alone.
func TestTrustingClient(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	own := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	other := commoncfg.DefaultHTTPClientConfig
	other.TLSConfig.CA = own
	for name, test := range map[string]struct {
		cfg         commoncfg.HTTPClientConfig
		authorities string
		trusted     bool
	}{
		"the system's alone":    {commoncfg.DefaultHTTPClientConfig, "", false},
		"its own beside":        {commoncfg.DefaultHTTPClientConfig, own, true},
		"no certificate":        {commoncfg.DefaultHTTPClientConfig, "s3cret", false},
		"its own, configured":   {other, "", true},
		"configured and beside": {other, "s3cret", true},
	} {
		client, err := NewTrustingClient(test.cfg, "test", test.authorities)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		response, err := client.Get(server.URL)
		if err == nil {
			_ = response.Body.Close()
		}
		if (err == nil) != test.trusted {
			t.Errorf("%s: %v", name, err)
		}
		client.CloseIdleConnections()
	}
}
