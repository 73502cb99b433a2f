package access

import (
	"fmt"
	"slices"
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
Anonymous access that is off altogether is as good. Where the API server has such a file, all of it but what it says of
strangers is kept, if a scan of the machine has read it; else nothing is planned in its place.`,
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: authenticationWants}},
})

// healthPaths are those that load balancers and kubelets ask without a credential.
var healthPaths = []string{"/livez", "/readyz", "/healthz"}

// clusterInfo is read without a credential by `kubeadm join` with a token.
const clusterInfo = "/api/v1/namespaces/kube-public/configmaps/cluster-info"

// joining says what to do where nodes join by a token, for whom strangers are refused.
const joining = "`kubeadm join --token` reads " + clusterInfo + " as a stranger: join with --discovery-file"

func authenticationWants(seen *bailey.Component, version bailey.Version) []settings.Want {
	off := settings.Flag("anonymous-auth", "false", "Strangers are answered nowhere (CIS 1.2.1).")
	tokens := settings.Want{Setting: bailey.Setting{Flag: "token-auth-file",
		Why:  "Static tokens never end, and cannot be taken back without a restart (CIS 1.2.2).",
		Note: "take --token-auth-file away, once nobody uses its tokens"},
		Holds: func(c *bailey.Component) bool { return c.Flags["token-auth-file"] == "" }}
	if !version.IsZero() && !version.AtLeast(1, 32) {
		off.Note = "kubelets must then probe the API server with a credential; " + joining
		return []settings.Want{off, tokens}
	}
	const why = "Strangers are answered on health paths only (CIS 1.2.1)."
	there := settings.DocumentOf(seen, "authentication-config")
	if there.Path != "" && !there.Whole {
		w := there.LookAt("authentication-config", why, "set its anonymous part to {enabled: true, conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]} and leave its jwt part as it is, and take --anonymous-auth away, beside which the API server does not start then; "+joining)
		w.Holds = strangersOnHealthPaths
		return []settings.Want{w, tokens}
	}
	text, replaces, notes, err := authenticationFile(seen, there, version)
	if err != nil {
		w := there.NotWritten("authentication-config", why, err)
		w.Holds = strangersOnHealthPaths
		return []settings.Want{w, tokens}
	}
	notes = append(notes, joining+", or add that path to the conditions as long as nodes join")
	return []settings.Want{{
		Setting: bailey.Setting{Flag: "authentication-config", Value: bailey.SettingsFolder + "/authentication.yaml",
			File:     &bailey.SettingFile{Name: "authentication.yaml", Text: text},
			Replaces: replaces, Note: strings.Join(notes, "; "), Why: why},
		Holds: strangersOnHealthPaths,
	}, tokens}
}

// strangersOnHealthPaths reports whether the API server answers strangers on health paths at
// most.
func strangersOnHealthPaths(c *bailey.Component) bool {
	if c.Flags["anonymous-auth"] == "false" {
		return true
	}
	paths, limited := anonymousPaths(c)
	return limited && !slices.ContainsFunc(paths, func(path string) bool { return !harmless(path) })
}

// authenticationFile is the AuthenticationConfiguration: the one that is there with another
// anonymous part, or one of the issuer that the flags name.
func authenticationFile(seen *bailey.Component, there settings.Document, version bailey.Version) (text string, replaces, notes []string, err error) {
	replaces = []string{"anonymous-auth"}
	if there.Path != "" {
		var conditions []any
		for _, path := range healthPaths {
			conditions = append(conditions, map[string]any{"path": path})
		}
		text, err = there.With("anonymous", map[string]any{"enabled": true, "conditions": conditions})
		return text, replaces, []string{"it is " + there.Path + " as it was read, with another anonymous part: compare"}, err
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
	switch {
	case seen != nil && seen.Flags["oidc-issuer-url"] != "":
		b.WriteString(jwtOf(seen.Flags))
		if ca := seen.Flags["oidc-ca-file"]; ca != "" {
			notes = append(notes, "put the certificates of "+ca+" under issuer.certificateAuthority")
		}
		for _, name := range []string{"issuer-url", "client-id", "ca-file", "username-claim", "username-prefix", "groups-claim", "groups-prefix", "required-claim", "signing-algs"} {
			if seen.Flags["oidc-"+name] != "" {
				replaces = append(replaces, "oidc-"+name)
			}
		}
	default:
		if seen == nil {
			notes = append(notes, "the API server's flags were not seen: where --authentication-config names a file already, change that one's anonymous part alone; an issuer that --oidc-* flags name becomes an entry of jwt")
		}
		b.WriteString("jwt: []\n")
	}
	return b.String(), replaces, notes, nil
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
