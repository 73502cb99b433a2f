package access

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var structuredAuthentication = settings.New(settings.Guard{
	Name:  "structured-authentication",
	Title: "The API server answers strangers on health paths only, and static tokens never",
	Doc: `An AuthenticationConfiguration that allows anonymous requests to /livez, /readyz and /healthz and nowhere else. An
issuer of OIDC tokens that was set by flags is kept as a JWT authenticator of the same names and prefixes.
Anonymous access that is off altogether is as good.`,
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: authenticationWants}},
})

// healthPaths are those that load balancers and kubelets ask without a credential.
var healthPaths = []string{"/livez", "/readyz", "/healthz"}

func authenticationWants(seen *bailey.Component, version bailey.Version) []settings.Want {
	off := settings.Flag("anonymous-auth", "false", "Strangers are answered nowhere (CIS 1.2.1).")
	tokens := settings.Want{Setting: bailey.Setting{Flag: "token-auth-file",
		Why:  "Static tokens never end, and cannot be taken back without a restart (CIS 1.2.2).",
		Note: "take --token-auth-file away, once nobody uses its tokens"},
		Holds: func(c *bailey.Component) bool { return c.Flags["token-auth-file"] == "" }}
	if !version.IsZero() && !version.AtLeast(1, 32) {
		off.Note = "kubelets must then probe the API server with a credential, and kubeadm join needs a CA hash or a file for discovery"
		return []settings.Want{off, tokens}
	}
	apiVersion := "apiserver.config.k8s.io/v1"
	if !version.IsZero() && !version.AtLeast(1, 34) {
		apiVersion = "apiserver.config.k8s.io/v1beta1"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: AuthenticationConfiguration\nanonymous:\n  enabled: true\n  conditions:\n", apiVersion)
	for _, path := range healthPaths {
		fmt.Fprintf(&b, "  - path: %s\n", path)
	}
	note := ""
	replaces := []string{"anonymous-auth"}
	switch {
	case seen != nil && seen.Flags["authentication-config"] != "":
		note = "the file that " + seen.Flags["authentication-config"] + " holds was not seen: take its jwt authenticators over, and use this one's anonymous part"
	case seen != nil && seen.Flags["oidc-issuer-url"] != "":
		b.WriteString(jwtOf(seen.Flags))
		if ca := seen.Flags["oidc-ca-file"]; ca != "" {
			note = "put the certificates of " + ca + " under issuer.certificateAuthority"
		}
		for _, name := range []string{"issuer-url", "client-id", "ca-file", "username-claim", "username-prefix", "groups-claim", "groups-prefix", "required-claim", "signing-algs"} {
			if seen.Flags["oidc-"+name] != "" {
				replaces = append(replaces, "oidc-"+name)
			}
		}
	default:
		if seen == nil {
			note = "the API server's flags were not seen: an issuer that --oidc-* flags name becomes an entry of jwt"
		}
		b.WriteString("jwt: []\n")
	}
	return []settings.Want{{
		Setting: bailey.Setting{Flag: "authentication-config", Value: bailey.SettingsFolder + "/authentication.yaml",
			File:     &bailey.SettingFile{Name: "authentication.yaml", Text: b.String()},
			Replaces: replaces, Note: note,
			Why: "Strangers are answered on health paths only (CIS 1.2.1)."},
		Holds: func(c *bailey.Component) bool { return c.Flags["anonymous-auth"] == "false" },
	}, tokens}
}

// jwtOf is the authenticator that the flags of OIDC stand for.
func jwtOf(flags map[string]string) string {
	q := strconv.Quote // JSON strings are YAML
	var b strings.Builder
	fmt.Fprintf(&b, "jwt:\n- issuer:\n    url: %s\n    audiences: [%s]\n", q(flags["oidc-issuer-url"]), q(flags["oidc-client-id"]))
	if flags["oidc-ca-file"] != "" {
		fmt.Fprintf(&b, "    # certificateAuthority: |   the content of %s\n", flags["oidc-ca-file"])
	}
	if claims := flags["oidc-required-claim"]; claims != "" {
		b.WriteString("  claimValidationRules:\n")
		for claim := range strings.SplitSeq(claims, ",") {
			name, value, _ := strings.Cut(claim, "=")
			fmt.Fprintf(&b, "  - {claim: %s, requiredValue: %s}\n", q(name), q(value))
		}
	}
	claim := flags["oidc-username-claim"]
	if claim == "" {
		claim = "sub"
	}
	// Without a prefix of its own a name is prefixed by the issuer, but for an email
	// address; "-" stands for none.
	prefix, given := flags["oidc-username-prefix"]
	switch {
	case prefix == "-" || !given && claim == "email":
		prefix = ""
	case !given:
		prefix = flags["oidc-issuer-url"] + "#"
	}
	fmt.Fprintf(&b, "  claimMappings:\n    username: {claim: %s, prefix: %s}\n", q(claim), q(prefix))
	if groups := flags["oidc-groups-claim"]; groups != "" {
		fmt.Fprintf(&b, "    groups: {claim: %s, prefix: %s}\n", q(groups), q(flags["oidc-groups-prefix"]))
	}
	return b.String()
}
