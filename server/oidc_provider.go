package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// provider is the identity provider, as it says itself.
type provider struct {
	endpoint oauth2.Endpoint
	keys     *oidc.RemoteKeySet
}

// ask has the provider say what it is.
func (o *OIDC) ask() (*provider, error) {
	found, err := oidc.NewProvider(o.with(context.Background()), o.Issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		Keys    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&said); err != nil {
		return nil, err
	}
	client := o.client()
	client.Transport = &sparing{next: client.Transport, now: o.Now}
	p := &provider{endpoint: found.Endpoint(), keys: oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), client), said.Keys)}
	p.endpoint.AuthStyle = authStyle(o.Secret == nil, said.Methods)
	return p, nil
}

// authStyle is how the client says who it is. It is not tried out: a try presents the same grant
// again, and a refresh token that comes twice is taken for stolen.
func authStyle(public bool, methods []string) oauth2.AuthStyle {
	const basic, post = "client_secret_basic", "client_secret_post"
	if public || slices.Contains(methods, post) && !slices.Contains(methods, basic) {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader // what the specification means where nothing is said
}

// keySet is the provider's for one ID token: it notes when keys could not be had, which the error
// of a verifier does not tell from a forged signature.
type keySet struct {
	*oidc.RemoteKeySet
	away error
}

// VerifySignature is of oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, token)
	if err != nil && strings.HasPrefix(err.Error(), "fetching keys") {
		k.away = fmt.Errorf("%w: its keys could not be had: %.300v", ErrProvider, err) // it may hold a whole page
		if errors.Is(err, errKeysFresh) {
			k.away = fmt.Errorf("%w: %w", ErrProvider, errKeysFresh)
		}
	}
	return payload, err
}

var (
	// errKeysFresh tells that a token is signed by none of the keys that the provider had just now.
	errKeysFresh = errors.New("its keys were fetched just now and are not fetched again")
	errNoKeys    = errors.New("they could not be had just now")
)

// sparing asks for the keys once in providerPause at most: a token that anybody made up, in the
// provider's name, has them fetched.
type sparing struct {
	next http.RoundTripper
	now  func() time.Time

	mu    sync.Mutex // held while they are fetched
	again time.Time
	why   error // what is answered until then
}

// RoundTrip is of http.RoundTripper.
func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Before(s.again) {
		return nil, s.why
	}
	answer, err := s.next.RoundTrip(r)
	s.again, s.why = s.now().Add(providerPause), errKeysFresh
	if err != nil || answer.StatusCode != http.StatusOK {
		s.why = errNoKeys
	}
	return answer, err
}
