package kafka

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BasicAuth returns the properties and Java options of a worker whose REST API
// asks for this user, by the extension that comes with Kafka. Its files are
// written below directory.
func BasicAuth(directory, user, password string) (properties map[string]string, java []string, err error) {
	fail := func(err error) (map[string]string, []string, error) {
		return nil, nil, fmt.Errorf("prepare basic auth: %w", err)
	}
	users, jaas := filepath.Join(directory, "users.properties"), filepath.Join(directory, "jaas.conf")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(users, []byte(user+": "+password+"\n"), 0o600); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(jaas, []byte(fmt.Sprintf(
		"KafkaConnect { org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required file=%q; };\n", users)), 0o600); err != nil {
		return fail(err)
	}
	return map[string]string{"rest.extension.classes": "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension"},
		[]string{"-Djava.security.auth.login.config=" + jaas}, nil
}

// TLS makes a key and a certificate for 127.0.0.1, signed by itself, and
// returns the properties of a worker whose REST API is HTTPS on port, and the
// path of the certificate (PEM) that its clients have to trust. Java's keytool
// makes it: a worker's REST server takes key stores only.
func TLS(ctx context.Context, directory string, port int) (properties map[string]string, certificate string, err error) {
	fail := func(err error) (map[string]string, string, error) {
		return nil, "", fmt.Errorf("make a certificate: %w", err)
	}
	store, certificate, err := keyStore(ctx, directory)
	if err != nil {
		return fail(err)
	}
	return map[string]string{
		"listeners":                             fmt.Sprintf("https://127.0.0.1:%d", port),
		"rest.advertised.listener":              "https",
		"listeners.https.ssl.keystore.location": store,
		"listeners.https.ssl.keystore.password": storePassword,
		"listeners.https.ssl.keystore.type":     "PKCS12",
		"listeners.https.ssl.key.password":      storePassword,
	}, certificate, nil
}

// storePassword opens the key stores that the suite makes.
const storePassword = "keystore-s3cret"

// keyStore makes a key and a certificate for 127.0.0.1, signed by itself, below
// directory: a key store (PKCS12), and the certificate alone (PEM).
func keyStore(ctx context.Context, directory string) (store, certificate string, err error) {
	store, certificate = filepath.Join(directory, "worker.p12"), filepath.Join(directory, "worker.pem")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", "", err
	}
	for _, arguments := range [][]string{
		{
			"-genkeypair", "-alias", "worker", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=worker", "-ext", "san=ip:127.0.0.1", "-validity", "2",
			"-storetype", "PKCS12", "-keystore", store, "-storepass", storePassword,
		},
		{"-exportcert", "-rfc", "-alias", "worker", "-keystore", store, "-storepass", storePassword, "-file", certificate},
	} {
		if output, err := exec.CommandContext(ctx, "keytool", arguments...).CombinedOutput(); err != nil {
			return "", "", fmt.Errorf("%w\n%s", err, output)
		}
	}
	return store, certificate, nil
}
