package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	// The keys are fetched by the same context later on: it must not end with a request.
	ctx := o.with(context.Background())
	found, err := oidc.NewProvider(ctx, o.Issuer)
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
	p := &provider{endpoint: found.Endpoint(), keys: oidc.NewRemoteKeySet(ctx, said.Keys)}
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
	}
	return payload, err
}
