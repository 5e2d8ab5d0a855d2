package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// forwarded is how a client reached a proxy in front of the exporter, or the
// exporter itself where there is none that is trusted.
type forwarded struct {
	// host is host or host:port, as in a Host header.
	host string
	// secure says whether TLS was used.
	secure bool
	// prefix is the path under which the proxy serves the exporter, without a
	// slash at its end.
	prefix string
}

// reached tells how a request reached the exporter. What its headers say of a
// proxy counts only if it comes from one that is trusted.
func (s *server) reached(r *http.Request) forwarded {
	f := forwarded{host: r.Host, secure: r.TLS != nil}
	if !s.trusts(r.RemoteAddr) {
		return f
	}
	// The first of several is what the client used.
	first := func(name string) string {
		value, _, _ := strings.Cut(r.Header.Get(name), ",")
		return strings.TrimSpace(value)
	}
	if host := first("X-Forwarded-Host"); host != "" {
		f.host = host
	}
	switch strings.ToLower(first("X-Forwarded-Proto")) {
	case "https":
		f.secure = true
	case "http":
		f.secure = false
	}
	if prefix := first("X-Forwarded-Prefix"); strings.HasPrefix(prefix, "/") && !strings.ContainsAny(prefix, "?#%\\ ") {
		f.prefix = strings.TrimRight(prefix, "/")
	}
	return f
}

// trusts tells whether an address, host:port, is that of a trusted proxy.
func (s *server) trusts(address string) bool {
	from, err := netip.ParseAddrPort(address)
	return err == nil && slices.ContainsFunc(s.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) })
}

// guard answers only requests to a name that the exporter is known by.
//
// A page on the internet can make the browser of somebody inside send requests
// to its own name, let that name lead to the exporter's address (DNS rebinding),
// and read what is answered as if it were its own. The name in the Host header is
// its own then.
func (s *server) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.known(s.reached(r).host) {
			http.Error(w, "This is answered only under a name that the exporter is known by: localhost, an IP address, or what --web.external-url says (as a protection from DNS rebinding).", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// known tells whether a Host header names the exporter. Any IP address does:
// rebinding needs a name.
func (s *server) known(host string) bool {
	name := hostname(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name == "localhost" || name != "" && slices.ContainsFunc(s.hosts, func(known string) bool { return known == name })
}

// hostname is the name in host or host:port, in the form in which names are
// compared.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// names are the names of the exporter, ready to be compared.
func (o *Options) names() []string {
	var names []string
	for _, host := range o.Hosts {
		names = append(names, hostname(host))
	}
	for _, u := range o.ExternalURLs {
		names = append(names, hostname(u.Host))
	}
	return names
}

// sameSite refuses what a page of another site makes a browser send.
func (s *server) sameSite(next http.HandlerFunc) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, u := range s.ExternalURLs {
		// A proxy in front may tell its own name as Host.
		_ = protection.AddTrustedOrigin((&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
	}
	return protection.Handler(next)
}

// bodiless keeps everything behind it from reading what a request carries, on any
// path and by any method: nothing here needs it, and parsing it costs memory or
// disk. What a client sends all the same ends its connection.
func bodiless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			r.Body = http.NoBody
			if r.ProtoMajor < 2 {
				w.Header().Set("Connection", "close")
			}
		}
		next.ServeHTTP(w, r)
	})
}
