package web

import (
	"net/http"
	"testing"
)

func TestAcceptsGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "gzip": true, "gzip, deflate, br": true, "br;q=1.0, GZIP;q=0.8": true, "gzip;q=0": false, "gzip;q=0.0, *": false,
		"*": true, "*;q=0": false, "identity": false, "identity;q=1, *;q=0": false, "deflate , gzip ; q=0.5": true, "gzip;q=x": false, "xgzip": false,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {value}}); got != want {
			t.Errorf("Accept-Encoding %q: %v, want %v", value, got, want)
		}
	}
}
