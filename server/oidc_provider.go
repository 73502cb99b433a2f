package server

import (
	"context"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// provider is the identity provider, as it says itself.
type provider struct {
	*oidc.Provider
	endpoint oauth2.Endpoint
}

// ask has the provider say what it is.
func (o *OIDC) ask() (*provider, error) {
	// The keys are fetched by the same context later on: it must not end with a request.
	found, err := oidc.NewProvider(o.with(context.Background()), o.Issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&said); err != nil {
		return nil, err
	}
	p := &provider{Provider: found, endpoint: found.Endpoint()}
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
