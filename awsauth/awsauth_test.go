package awsauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type provider func(context.Context) (aws.Credentials, error)

func (p provider) Retrieve(ctx context.Context) (aws.Credentials, error) { return p(ctx) }

func retrieve(t *testing.T, c *Credentials, limit time.Duration) (aws.Credentials, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return c.Retrieve(ctx)
}

// Whatever hangs once is let go: whoever asks gets an answer in his own time, and
// the next attempt asks something new; ever more seldom while that hangs too.
func TestHangingCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var made atomic.Int32
		var well atomic.Bool
		c := New(func(context.Context) (aws.CredentialsProvider, error) {
			made.Add(1)
			hanging := !well.Load()
			return provider(func(context.Context) (aws.Credentials, error) {
				if hanging {
					<-release // It heeds no context.
				}
				return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret", CanExpire: true, Expires: time.Now().Add(time.Hour)}, nil
			}), nil
		})
		began := time.Now()
		if _, err := retrieve(t, c, time.Second); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("err = %v after %v", err, time.Since(began))
		}
		if _, err := retrieve(t, c, time.Hour); !errors.Is(err, ErrHung) || time.Since(began) != patience {
			t.Errorf("err = %v after %v", err, time.Since(began))
		}
		for attempt, want := range []time.Duration{0, patience, 2 * patience, 4 * patience} {
			for ; want > 0; want -= time.Second {
				if _, err := retrieve(t, c, time.Hour); !errors.Is(err, ErrHung) || int(made.Load()) != attempt+1 {
					t.Fatalf("err = %v, made %d, with %v to go", err, made.Load(), want)
				}
				time.Sleep(time.Second)
			}
			if _, err := retrieve(t, c, time.Hour); !errors.Is(err, ErrHung) || int(made.Load()) != attempt+2 {
				t.Fatalf("err = %v, made %d", err, made.Load())
			}
		}
		time.Sleep(maxPause)
		well.Store(true)
		if got, err := retrieve(t, c, time.Second); err != nil || got.AccessKeyID != "key" || made.Load() != 6 {
			t.Errorf("got %v, %v of %d", got.AccessKeyID, err, made.Load())
		}
		close(release)
		synctest.Wait()
		if got, err := retrieve(t, c, time.Second); err != nil || got.AccessKeyID != "key" || made.Load() != 6 {
			t.Errorf("after the others ended: %v, %v of %d", got.AccessKeyID, err, made.Load())
		}
	})
}

func TestCredentialsAreSharedAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made, asked int
		var failure error
		c := New(func(context.Context) (aws.CredentialsProvider, error) {
			made++
			return provider(func(context.Context) (aws.Credentials, error) {
				asked++
				time.Sleep(time.Second)
				return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret", CanExpire: true, Expires: time.Now().Add(time.Minute)}, failure
			}), nil
		})
		impatient, cancel := context.WithCancel(t.Context())
		go func() { _, _ = c.Retrieve(impatient) }()
		synctest.Wait()
		cancel() // Who leaves takes nothing from the others.
		for range 3 {
			if _, err := retrieve(t, c, time.Hour); err != nil {
				t.Error(err)
			}
		}
		if made != 1 || asked != 1 {
			t.Errorf("made %d, asked %d", made, asked)
		}
		time.Sleep(time.Minute)
		if _, err := retrieve(t, c, time.Hour); err != nil || made != 1 || asked != 2 {
			t.Errorf("%v, made %d, asked %d", err, made, asked)
		}
		time.Sleep(time.Minute)
		failure = errors.New("refused")
		if _, err := retrieve(t, c, time.Hour); !errors.Is(err, failure) {
			t.Error(err)
		}
		failure = nil
		if _, err := retrieve(t, c, time.Hour); err != nil || made != 2 || asked != 4 {
			t.Errorf("%v, made %d, asked %d", err, made, asked)
		}
	})
}

// alone takes away what the machine that tests has of AWS.
func alone(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	// Where they are without these, the SDK finds out before a test begins.
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, ".aws", "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, ".aws", "credentials"))
	return home
}

// Each file that the SDK reads becomes a pipe, then is whole again.
func TestFilesThatBecomePipes(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		expiry := time.Now().Format(time.RFC3339) // at once
		if r.Method == http.MethodGet {
			_ = json.NewEncoder(w).Encode(map[string]string{"AccessKeyId": "key", "SecretAccessKey": "secret", "Token": "token", "Expiration": expiry})
			return
		}
		_, _ = w.Write([]byte(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>key</AccessKeyId>` +
			`<SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>` + expiry + `</Expiration></Credentials>` +
			`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`))
	}))
	defer service.Close()
	for name, set := range map[string]func(t *testing.T, home, file string){
		"container": func(t *testing.T, _, file string) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.URL)
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
		},
		"web identity": func(t *testing.T, _, file string) {
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
			t.Setenv("AWS_ENDPOINT_URL_STS", service.URL)
		},
		"web identity of a profile": func(t *testing.T, home, file string) {
			write(t, filepath.Join(home, ".aws", "config"), "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nweb_identity_token_file = "+file+"\n")
			t.Setenv("AWS_ENDPOINT_URL_STS", service.URL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := alone(t)
			file := filepath.Join(home, "token")
			write(t, file, "token")
			set(t, home, file)
			cfg, err := Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ask := func() error {
				_, err := cfg.Credentials.Retrieve(t.Context())
				return err
			}
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600)); err != nil {
				t.Fatal(err)
			}
			if err := ask(); !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), file+" cannot be read: is a pipe") {
				t.Errorf("of a pipe: %v", err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			write(t, file, "token")
			if err := ask(); err != nil {
				t.Errorf("whole again: %v", err)
			}
		})
	}
}

// A file of credentials that comes, or changes after they were refused, is read.
func TestFilesThatCome(t *testing.T) {
	home := alone(t)
	cfg, err := Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Credentials.Retrieve(t.Context()); err == nil {
		t.Fatal("credentials of nowhere")
	}
	write(t, filepath.Join(home, ".aws", "credentials"), "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n")
	if got, err := cfg.Credentials.Retrieve(t.Context()); err != nil || got.AccessKeyID != "key" {
		t.Errorf("%v, %v", got.AccessKeyID, err)
	}
}

// Whoever gives credentials may answer without any: the program goes on.
func TestAnswersWithoutCredentials(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, home, service string){
		"single sign-on": func(t *testing.T, home, service string) {
			write(t, filepath.Join(home, ".aws", "config"), "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = eu-west-1\nsso_start_url = https://s.example\n")
			// The name is the SHA-1 of the session's.
			write(t, filepath.Join(home, ".aws", "sso", "cache", "a0f1490a20d0211c997b44bc357e1972deab8ae3.json"), `{"accessToken":"t","expiresAt":"2100-01-01T00:00:00Z"}`)
			t.Setenv("AWS_ENDPOINT_URL_SSO", service)
		},
		"container": func(t *testing.T, _, service string) { t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", service) },
		"instance": func(t *testing.T, _, service string) {
			t.Setenv("AWS_EC2_METADATA_DISABLED", "")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service)
		},
		"web identity": func(t *testing.T, home, service string) {
			write(t, filepath.Join(home, "token"), "token")
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(home, "token"))
			t.Setenv("AWS_ENDPOINT_URL_STS", service)
		},
	} {
		for answer, code := range map[string]int{
			"": 200, "{}": 200, "null": 200, `{"roleCredentials":null}`: 200, "<a><AssumeRoleWithWebIdentityResult/></a>": 200,
			"null ": 400, "{} ": 404, " ": 403,
		} {
			t.Run(fmt.Sprint(name, " ", code, answer), func(t *testing.T) {
				var asked atomic.Int32
				service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPut {
						w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
					}
					asked.Add(1)
					w.WriteHeader(code)
					_, _ = w.Write([]byte(answer))
				}))
				defer service.Close()
				set(t, alone(t), service.URL)
				cfg, err := Load(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got, err := cfg.Credentials.Retrieve(t.Context())
				if err == nil || got.HasKeys() || asked.Load() == 0 {
					t.Errorf("asked %d times: %q, %v", asked.Load(), got.AccessKeyID, err)
				}
			})
		}
	}
}

// A call for credentials that hangs ends by itself.
func TestCallsHaveATimeout(t *testing.T) {
	alone(t)
	cfg, err := Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, ok := cfg.HTTPClient.(interface{ GetTimeout() time.Duration })
	if !ok || client.GetTimeout() != callTimeout {
		t.Errorf("the client %T has not this timeout", cfg.HTTPClient)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}
