package web

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

// FuzzRequests: whatever is asked for, in whatever format, is answered, and what
// was asked is repeated nowhere in a form that a browser would run.
func FuzzRequests(f *testing.F) {
	const accept = "application/openmetrics-text;version=1.0.0;q=0.8,application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,*/*;q=0.1"
	for _, seed := range [][5]string{
		{"/metrics", "clusters=none", accept, "gzip", "10"},
		{"/metrics", "clusters=%", "text/plain;version=1.0.0;escaping=allow-utf-8", "gzip;q=0", "0.001"},
		{"/metrics", "", "application/openmetrics-text;version=;q=x", "*;q=0.5, identity;q=0", "NaN"},
		{"/metrics", "", "text/html;charset=\"", "br;q=1.0000, GZIP", "-1"},
		{"/probe", "cluster=orders", "", "", "1e300"},
		{"/probe", "cluster=orders&debug=true", "text/html", "gzip", ""},
		{"/probe", "cluster=a&cluster=b", "", "", ""},
		{"/probe", "cluster=%zz&debug=maybe", "", "", ""},
		{"/", "cluster=failing&state=failed&q=x&page=-1", "", "gzip", ""},
		{"/sd", "%;&", "", "", ""},
		{"/config", "a=<script>", "", "", ""},
		{"/debug/pprof/", "", "", "", ""},
		{"//metrics/../config", "", "", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	f.Fuzz(func(t *testing.T, path, query, accept, encoding, timeout string) {
		// What is not written must not be taken for a header of its own, and the
		// time that it takes is not what this is about.
		const marked, secret = "<zq7 onload=x>", "zq7-secret-7qz"
		handler := serve(t, nil, named{"orders", shows(running("a"), failing("b"))}, named{"failing", fails(fmt.Errorf("%w: %s", connect.Unreachable, marked))})
		for _, query := range []string{query, query + url.QueryEscape(marked), query + "&q=" + url.QueryEscape(marked) + "&cluster=" + url.QueryEscape(marked) + "&state=" + url.QueryEscape(marked)} {
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Host = "localhost"
			request.URL = &url.URL{Path: path, RawQuery: query}
			request.Host = "localhost"
			request.Header = http.Header{"Accept": {accept}, "Accept-Encoding": {encoding}, "X-Prometheus-Scrape-Timeout-Seconds": {timeout}, "X-Forwarded-Prefix": {path}, "X-Forwarded-Host": {query}}
			request.SetBasicAuth("scout", secret)
			request.AddCookie(&http.Cookie{Name: "session", Value: secret})
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			var body io.Reader = recorder.Body
			if recorder.Header().Get("Content-Encoding") == "gzip" {
				unzipped, err := gzip.NewReader(body)
				if err != nil {
					t.Fatal(err)
				}
				body = unzipped
			}
			text, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(fmt.Sprint(recorder.Header(), string(text)), secret) {
				t.Errorf("%s?%s repeats credentials: %s", path, query, text)
			}
			kind := recorder.Header().Get("Content-Type")
			if strings.HasPrefix(kind, "text/html") && strings.Contains(string(text), marked) {
				t.Errorf("%s?%s repeats what was asked: %s", path, query, text)
			}
			if kind != "" && recorder.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s?%s may be taken for another kind than %s", path, query, kind)
			}
			if strings.Contains(strings.Join(recorder.Header().Values("Location"), ""), "zq7 ") || recorder.Code == http.StatusInternalServerError {
				t.Errorf("%s?%s: %d %v", path, query, recorder.Code, recorder.Header())
			}
			if path == "/metrics" && recorder.Code == http.StatusOK && expfmt.Format(kind).FormatType() == expfmt.TypeUnknown {
				t.Errorf("Accept %q is answered with %q", accept, kind)
			}
		}
	})
}
