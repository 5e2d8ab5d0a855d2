package push

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzAnswers: whatever a receiver answers is understood or refused, in a line that
// is short and shows no secret.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []struct{ kind, body, after string }{
		{"", "", ""},
		{protobufType, "\x0a\x04\x08\x02\x12\x00", "3"},
		{"application/json", `{"partialSuccess":{"rejectedDataPoints":"2"}}`, "Fri, 27 Nov 2026 12:00:07 GMT"},
		{"text/html; charset=utf-8", "<html>", "-1"},
		{"application/json", `{"partial_success":{"error_message":"s3cret-key"}}`, ""},
		{"; bad", "\xff\xfe", "\x00"},
	} {
		f.Add(seed.kind, []byte(seed.body), seed.after)
	}
	const secret = "s3cret-key"
	p := &Pusher{options: Options{Endpoint: &url.URL{Scheme: "https", Host: "receiver"}}, credentials: Credentials{Headers: map[string]string{"api-key": secret}}}
	f.Fuzz(func(t *testing.T, kind string, body []byte, after string) {
		said, err := understand(kind, body)
		if err == nil && markup(kind, body) {
			t.Errorf("a page is taken for an answer: %q", body)
		}
		if said.GetRejectedDataPoints() > 0 {
			err = errLost{said.GetRejectedDataPoints(), said.GetErrorMessage()}
		}
		refusal := refused(&http.Response{
			StatusCode: http.StatusServiceUnavailable, Status: "503 Service Unavailable", Header: http.Header{"Content-Type": {kind}, "Retry-After": {after}},
		}, body)
		for _, err := range []error{err, refusal} {
			if err == nil {
				continue
			}
			if text := p.brief(err); len(text) > maxError+30 || strings.ContainsAny(text, "\r\n") || strings.Contains(text, secret) || !utf8.ValidString(text) {
				t.Errorf("logged would be %q", text)
			}
		}
	})
}
