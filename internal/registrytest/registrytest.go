// Package registrytest runs a real registry on loopback for tests: distribution, with
// TLS and a password. It has no API for referrers, so that the fallback tag is used.
package registrytest

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/bcrypt"

	// What the registry is configured with registers itself.
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

// The credential that the registry wants.
const (
	User     = "robot"
	Password = "correct-horse"
)

// Registry is one that runs.
type Registry struct {
	Host      string // 127.0.0.1:PORT
	CAFile    string // of its certificate
	Config    string // a folder with a config.json for DOCKER_CONFIG, with the credential
	Transport http.RoundTripper
	Requests  atomic.Int64

	server *httptest.Server
	broken atomic.Int32
}

// Keychain gives the credential.
func (r *Registry) Keychain() authn.Keychain { return keychain{} }

type keychain struct{}

func (keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: User, Password: Password}, nil
}

// Break lets every request fail with an HTTP status; 0 mends it.
func (r *Registry) Break(status int) { r.broken.Store(int32(status)) }

// Close cuts the registry off.
func (r *Registry) Close() { r.server.Close() }

// Start runs a registry until the test ends.
func Start(t testing.TB) *Registry {
	t.Helper()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte(Password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(users, []byte(User+":"+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &configuration.Configuration{
		Storage: configuration.Storage{"inmemory": nil, "delete": {"enabled": true}},
		Auth:    configuration.Auth{"htpasswd": {"realm": "tests", "path": users}},
	}
	config.Log.AccessLog.Disabled = true
	config.Log.Level = "panic"
	config.HTTP.Secret = "of one test"
	logrus.SetLevel(logrus.PanicLevel)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	app := handlers.NewApp(ctx, config)
	r := &Registry{Config: dir}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Requests.Add(1)
		if status := r.broken.Load(); status != 0 {
			http.Error(w, "broken on purpose", int(status))
			return
		}
		app.ServeHTTP(w, req)
	}))
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	r.Host = strings.TrimPrefix(r.server.URL, "https://")
	r.Transport = r.server.Client().Transport
	r.CAFile = filepath.Join(dir, "ca.pem")
	write(t, r.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})))
	auth := authn.AuthConfig{Username: User, Password: Password}
	text, err := auth.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "config.json"), `{"auths":{"`+r.Host+`":`+string(text)+`}}`)
	return r
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Options are those of go-containerregistry's requests to this registry.
func (r *Registry) Options() []remote.Option {
	return []remote.Option{remote.WithTransport(r.Transport), remote.WithAuthFromKeychain(keychain{})}
}

// Push puts a random image under a repository and tag, and gives its digest.
func (r *Registry) Push(t testing.TB, repository, tag string) string {
	t.Helper()
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r.PushImage(t, repository, tag, image)
}

// PushImage puts an image under a repository and tag, and gives its digest.
func (r *Registry) PushImage(t testing.TB, repository, tag string, image v1.Image) string {
	t.Helper()
	ref, err := name.NewTag(r.Host + "/" + repository + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, r.Options()...); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}
