package kubernetes

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/safefile"
)

var (
	// quoted is a value that a library refuses, as it writes it.
	quoted = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")
	// line is where a YAML library has found something.
	line = regexp.MustCompile(`line \d+`)
)

// checkFiles says what is wrong with the kubeconfig files, and with those that they
// name, before client-go reads them: it would wait for ever for a pipe, and its
// errors quote what it does not understand. What is not there is its own matter.
func checkFiles(rules *clientcmd.ClientConfigLoadingRules) error {
	for _, path := range rules.GetLoadingPrecedence() {
		content, err := safefile.Read(path, safefile.MaxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = safefile.CheckYAML(content)
		}
		if err != nil {
			return fmt.Errorf("%s %w", path, err)
		}
		config, err := clientcmd.Load(content)
		if err != nil {
			where := line.FindString(err.Error())
			if where != "" {
				where = " (" + where + ")"
			}
			return fmt.Errorf("%s is no kubeconfig%s", path, where)
		}
		var named []*string
		for name, cluster := range config.Clusters {
			if proxy, err := url.Parse(cluster.ProxyURL); err != nil || cluster.ProxyURL != "" && !slices.Contains([]string{"http", "https", "socks5"}, proxy.Scheme) {
				return fmt.Errorf("%s: proxy-url of cluster %s must be a URL that begins with http, https or socks5", path, name)
			}
			named = append(named, clientcmd.GetClusterFileReferences(cluster)...)
		}
		for _, user := range config.AuthInfos {
			named = append(named, &user.ClientCertificate, &user.ClientKey, &user.TokenFile)
		}
		for _, file := range named {
			if *file == "" {
				continue
			}
			if !filepath.IsAbs(*file) {
				*file = filepath.Join(filepath.Dir(path), *file)
			}
			if _, err := safefile.Read(*file, safefile.MaxSecret); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s: %s %w", path, *file, err)
			}
		}
	}
	return nil
}

// wrap has the token's file read for each request, without waiting for what became
// a pipe meanwhile: client-go would, and every request after it.
func wrap(config *rest.Config) {
	file := config.BearerTokenFile
	if file != "" {
		config.BearerToken, config.BearerTokenFile = "", ""
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &transport{next, file} })
}

// transport adds the token that a file holds, if there is one, and does not pass on
// what a proxy says.
type transport struct {
	next http.RoundTripper
	file string
}

func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if t.file != "" {
		token, err := safefile.ReadSecret(t.file)
		if err != nil {
			return nil, fmt.Errorf("%s %w", t.file, err)
		}
		request = request.Clone(request.Context())
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := t.next.RoundTrip(request)
	return response, connect.OfProxy(err)
}

// WrappedRoundTripper lets client-go find what is below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }
