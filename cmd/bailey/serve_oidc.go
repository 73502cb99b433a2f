package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/server"
)

// oidcFlags name the identity provider that logs people in. They mean what an API server's
// flags of the same names mean.
type oidcFlags struct {
	claims   server.Claims
	clientID string
	secret   string
	ca       string
	external string
}

func (f *oidcFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.claims.Issuer, "oidc-issuer", "", "log people in by the OpenID Connect provider at this URL, as the API server's --oidc-issuer-url")
	flags.StringVar(&f.clientID, "oidc-client-id", "", "the client that the provider knows this server as")
	flags.StringVar(&f.secret, "oidc-client-secret", "", "a file that holds the client's secret; it is read at each login (default: a public client)")
	flags.StringVar(&f.ca, "oidc-ca", "", "PEM file of the authorities of the provider's certificate (default: the system's)")
	flags.StringVar(&f.claims.Username, "oidc-username-claim", "sub", "the claim that names the person; email counts only if the provider says that it is verified")
	flags.StringVar(&f.claims.UsernamePrefix, "oidc-username-prefix", "", `what stands before names, - for nothing (default: the issuer and #; nothing before an email)`)
	flags.StringVar(&f.claims.Groups, "oidc-groups-claim", "", "the claim that lists groups (default: none)")
	flags.StringVar(&f.claims.GroupsPrefix, "oidc-groups-prefix", "", "what stands before groups")
	flags.StringSliceVar(&f.claims.Scopes, "oidc-scopes", nil, "scopes to ask for beside openid, like profile,groups")
	flags.StringVar(&f.external, "external-url", "", "the URL at which browsers reach this server: alerts name its pages; with --oidc-issuer, the provider must know "+server.CallbackPath+" under it as redirect URI")
}

// providerPatience bounds one question to the provider.
const providerPatience = 10 * time.Second

// provider makes what logs people in; nil where no provider is named. It is not asked yet.
func (f *oidcFlags) provider(now func() time.Time) (*server.OIDC, error) {
	if f.claims.Issuer == "" {
		if f.clientID != "" || f.secret != "" || f.ca != "" {
			return nil, usageError("--oidc-client-id, --oidc-client-secret and --oidc-ca go with --oidc-issuer")
		}
		return nil, nil
	}
	if f.clientID == "" || f.external == "" {
		return nil, usageError("--oidc-issuer wants --oidc-client-id and --external-url")
	}
	if _, err := safeURL("--oidc-issuer", f.claims.Issuer); err != nil {
		return nil, err
	}
	external, err := f.pages()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: providerPatience,
		ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute}
	if f.ca != "" {
		data, err := readBounded(f.ca, 1<<20)
		if err != nil {
			return nil, usageError("--oidc-ca: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(data) {
			return nil, usageError("--oidc-ca: %s holds no certificate in PEM", f.ca)
		}
	}
	o := &server.OIDC{Claims: f.claims, ClientID: f.clientID, External: external, Client: &http.Client{Transport: transport, Timeout: providerPatience}, Now: now}
	if f.secret != "" {
		read := func() (string, error) {
			data, err := readBounded(f.secret, 64<<10)
			return strings.TrimSpace(string(data)), err
		}
		if secret, err := read(); err != nil {
			return nil, usageError("--oidc-client-secret wants a file: %w", err)
		} else if secret == "" {
			return nil, usageError("--oidc-client-secret: %s is empty", f.secret)
		}
		o.Secret = read
	}
	return o, nil
}

// pages gives where browsers reach the server; nil if nobody said.
func (f *oidcFlags) pages() (*url.URL, error) {
	if f.external == "" {
		return nil, nil
	}
	external, err := safeURL("--external-url", strings.TrimSuffix(f.external, "/"))
	if err == nil && external.Path != "" {
		err = usageError("--external-url wants no path: pages are at the root")
	}
	return external, err
}

// safeURL parses a URL that nobody on the way can read or change.
func safeURL(flag, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, usageError("%s wants a URL, like https://login.example.com", flag)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, usageError("%s wants https: whoever is on the way could read along, and log in as anybody", flag)
	}
	return u, nil
}

// logInBy lets people in by the provider, and takes its ID tokens as the cluster does. A
// provider that does not answer yet is asked again at the next login.
func (s *serving) logInBy(ctx context.Context, provider *server.OIDC) {
	if provider == nil {
		return
	}
	s.tokens = server.IDTokens{OIDC: provider, Next: s.tokens}
	go discover(ctx, provider, s.log)
}

func discover(ctx context.Context, provider *server.OIDC, log *slog.Logger) {
	if err := provider.Discover(); err != nil && ctx.Err() == nil {
		log.Warn("the identity provider does not answer yet; it is asked again at the next login", "issuer", provider.Issuer, "error", err)
	}
}
