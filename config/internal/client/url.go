package client

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ParseURL parses the URL of a service and takes its userinfo off. Its errors
// never repeat the URL: what is malformed can have a password anywhere.
func ParseURL(text string) (*url.URL, *url.Userinfo, error) {
	text = strings.TrimSpace(text)
	lower := strings.ToLower(text)
	if !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
		return nil, nil, errors.New("must be a URL that begins with http:// or https://, such as http://connect-1:8083")
	}
	if err := oneAddress(lower); err != nil {
		return nil, nil, err
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, nil, errors.New("is no valid URL; special characters of a user or password must be percent-encoded")
	}
	port, portErr := strconv.Atoi(parsed.Port())
	switch {
	case parsed.Hostname() == "":
		return nil, nil, errors.New("has no host, such as http://connect-1:8083")
	case parsed.Port() == "" && strings.HasSuffix(parsed.Host, ":"):
		return nil, nil, errors.New("has a colon but no port behind its host")
	case parsed.Port() != "" && (portErr != nil || port < 1 || port > 65535):
		return nil, nil, errors.New("has a port that is not between 1 and 65535")
	case parsed.RawQuery != "" || parsed.ForceQuery || strings.Contains(text, "#"):
		return nil, nil, errors.New("must not have a query (?) or fragment (#): give the address alone")
	}
	user := parsed.User
	parsed.User = nil
	parsed.Path = strings.TrimRight(parsed.Path, "/")
	parsed.RawPath = strings.TrimRight(parsed.RawPath, "/")
	return parsed, user, nil
}

// oneAddress refuses what is often written where one URL is wanted, and which as
// a URL would only be a strange one.
func oneAddress(text string) error {
	_, host, _ := strings.Cut(text, "://")
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		host = host[:end]
	}
	host = host[strings.LastIndex(host, "@")+1:]
	if strings.ContainsAny(host, ",; ") || strings.Contains(text, ",http://") || strings.Contains(text, ",https://") {
		return errors.New("names more than one address, and takes one; urls of a file lists several workers of a cluster")
	}
	for _, address := range []string{host, host[:max(0, strings.LastIndex(host, ":"))]} {
		if parsed, err := netip.ParseAddr(address); err == nil && parsed.Is6() {
			return errors.New("has an IPv6 address without brackets: write it as in http://[2001:db8::1]:8083")
		}
	}
	return nil
}

// A URL is the base of a service, without userinfo, query and trailing slash.
type URL struct{ *url.URL }

// UnmarshalText parses it. Its errors never repeat it.
func (u *URL) UnmarshalText(text []byte) error {
	parsed, user, err := ParseURL(string(text))
	if err != nil {
		return err
	}
	if user != nil {
		return errors.New("must not carry a user and password")
	}
	u.URL = parsed
	return nil
}

// MarshalText is String.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
