package web

import (
	"crypto/rand"
	_ "embed" // The pages are part of the binary.
	"html/template"
	"io"
	"net/http"

	"github.com/klauspost/compress/gzip"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
)

var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/status.js
	statusJS string

	// pages are the pages for people. Names come from the clusters and may be
	// hostile: html/template keeps them text, and what hides in a browser or drives
	// a terminal is written as \uXXXX. Links are relative, so that they
	// hold behind a proxy that serves the exporter under a prefix.
	pages = template.Must(template.New("pages").Parse(pageHTML))
)

// frame is what every page has.
type frame struct {
	Title, Metrics, Version string
	// Administration says whether configuration and debugging pages are served
	// beside.
	Administration bool
	// Refresh is the number of seconds after which the page reloads, 0 for never.
	Refresh int
	// Nonce lets the browser run this page's style and script, and nothing that
	// somebody might have smuggled in.
	Nonce  string
	Style  template.CSS
	Script template.JS
}

func (s *server) frame(title string) frame {
	return frame{
		Title: title, Metrics: "." + s.TelemetryPath, Version: s.Version, Administration: !s.AdminApart,
		Nonce: rand.Text(), Style: template.CSS(pageCSS), Script: template.JS(statusJS), //nolint:gosec // Both are files of this package.
	}
}

// page writes a page as it is made, compressed where the browser takes that, so that
// no page is ever held whole.
func (s *server) page(w http.ResponseWriter, r *http.Request, name string, frame frame, data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+frame.Nonce+"'; script-src 'nonce-"+frame.Nonce+
		"'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	to, end := io.Writer(w), func() error { return nil }
	h.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header) {
		h.Set("Content-Encoding", "gzip")
		compressor := s.compressors.Get().(*gzip.Writer)
		defer func() {
			compressor.Reset(io.Discard)
			s.compressors.Put(compressor)
		}()
		compressor.Reset(w)
		to, end = compressor, compressor.Close
	}
	err := s.buffered(to, func(out io.Writer) error { return pages.ExecuteTemplate(connect.EscapeWriter{Writer: out}, name, data) })
	if err == nil {
		err = end()
	}
	if err != nil {
		s.Logger.Debug("a page could not be written", "page", name, "err", err)
		panic(http.ErrAbortHandler) // A part must not pass for the whole.
	}
}
