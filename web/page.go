package web

import (
	"bytes"
	"crypto/rand"
	_ "embed" // The pages are part of the binary.
	"html/template"
	"net/http"
)

var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/status.js
	statusJS string

	// pages are the pages for people. Names come from the clusters and may be
	// hostile: html/template keeps them text. Links are relative, so that they
	// hold behind a proxy that serves the exporter under a prefix.
	pages = template.Must(template.New("pages").Parse(pageHTML))
)

// frame is what every page has.
type frame struct {
	Title, Metrics, Version string
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
		Title: title, Metrics: "." + s.TelemetryPath, Version: s.Version,
		Nonce: rand.Text(), Style: template.CSS(pageCSS), Script: template.JS(statusJS), //nolint:gosec // Both are files of this package.
	}
}

// page writes a page whole or, if it cannot be made, an error.
func (s *server) page(w http.ResponseWriter, name string, frame frame, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		s.Logger.Error("A page could not be made", "page", name, "err", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+frame.Nonce+"'; script-src 'nonce-"+frame.Nonce+
		"'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = page.WriteTo(w)
}
