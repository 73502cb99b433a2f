package access

import (
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var authenticationRules = []*bailey.Rule{anonymousAccess, staticTokens, unendingTokens, lostTokens, mastersCertificate, longClientCertificate,
	sharedTokenKey, openProxyHeaders, noProvider, bootstrappersBound}

// anonymousPaths are the paths that an AuthenticationConfiguration answers strangers on, and
// whether the file was read.
func anonymousPaths(c *bailey.Component) (paths []string, limited bool) {
	document := c.Files["authentication-config"]
	anonymous, _ := settings.Field(document, "anonymous").(map[string]any)
	if anonymous == nil {
		return nil, false
	}
	if anonymous["enabled"] == false {
		return nil, true
	}
	conditions, _ := anonymous["conditions"].([]any)
	for _, condition := range conditions {
		m, _ := condition.(map[string]any)
		if path, ok := m["path"].(string); ok {
			paths = append(paths, path)
		}
	}
	return paths, len(paths) > 0
}

// harmless reports whether strangers may be answered on a path.
func harmless(path string) bool { return path == "/version" || slices.Contains(healthPaths, path) }

var anonymousAccess = settings.Reading("authentication-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "anonymous-requests",
	Title: "The API server answers requests without a credential",
	Doc: `A request without a credential becomes system:anonymous, unless --anonymous-auth=false or an
AuthenticationConfiguration turns that off or limits it to paths. Health paths are sound: load balancers ask them. What
a stranger gets beyond them is up to RBAC, and one careless binding to system:anonymous or system:unauthenticated
gives it to the world (CVE-2018-1002105 needed no more). With the authorizer AlwaysAllow a stranger is administrator.
What a configuration file says that was not read is unknown.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.CIS("1.2.1", "The API server answers no anonymous request"),
		ref.Kubernetes("reference/access-authn-authz/authentication/", "Authenticating"), ref.ATTACK("T1133")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["anonymous-auth"] == "false" {
		return nil
	}
	setting := "--anonymous-auth"
	if paths, limited := anonymousPaths(c); limited {
		for _, path := range paths {
			if !harmless(path) {
				return settings.One("--authentication-config", " answers strangers at "+path)
			}
		}
		return nil
	}
	if slices.Contains(authorizers(c), "AlwaysAllow") {
		return []settings.Fault{{Setting: setting, Message: " answers strangers, and its authorizer AlwaysAllow lets them do anything", Severity: bailey.SeverityCritical}}
	}
	return settings.One(setting, " answers strangers on every path that RBAC opens to them")
}, "flags: {authorization-mode: 'Node,RBAC'}", "flags: {authorization-mode: AlwaysAllow}",
	"flags: {authentication-config: /x}\nfiles: {authentication-config: {anonymous: {enabled: true, conditions: [{path: /api}]}}}"))

var staticTokens = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "static-tokens",
	Title: "The API server takes tokens from a file",
	Doc: `Tokens of --token-auth-file never end, stand in plain text on the machine, and are taken back only by a restart of
the API server.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.2.2", "There is no static token file"), ref.ATTACK("T1078")},
}, func(c *bailey.Component) []settings.Fault {
	for _, flag := range []string{"token-auth-file", "basic-auth-file"} {
		if c.Flags[flag] != "" {
			return settings.One("--"+flag, " takes credentials from "+c.Flags[flag]+", which never end")
		}
	}
	return nil
}, "flags: {token-auth-file: /etc/kubernetes/tokens.csv}")

var unendingTokens = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "tokens-extended",
	Title: "ServiceAccount tokens are accepted a year longer than they say",
	Doc: `Unless --service-account-extend-token-expiration=false, the API server gives tokens that pods mount a validity of a
year, so that old clients which read theirs once go on working. A stolen one stays good as long as its pod lives. The
metric serviceaccount_stale_tokens_total says whether any client still needs it.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.CIS("1.2.30", "ServiceAccount tokens end when they say"),
		ref.Kubernetes("reference/access-authn-authz/service-accounts-admin/", "Managing Service Accounts")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["service-account-extend-token-expiration"] == "false" {
		return nil
	}
	return settings.One("--service-account-extend-token-expiration", " accepts the tokens of pods for a year, where they say an hour")
}, "flags: {secure-port: '6443'}")

var lostTokens = settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "tokens-not-looked-up",
	Title: "Tokens of deleted ServiceAccounts are accepted",
	Doc: `With --service-account-lookup=false the API server believes a token's signature and does not ask whether its
ServiceAccount, and the Secret that it came from, are still there: deleting them takes nothing back.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.2.21", "Tokens are looked up"), ref.ATTACK("T1528")},
}, func(c *bailey.Component) []settings.Fault {
	if c.Flags["service-account-lookup"] == "false" {
		return settings.One("--service-account-lookup", " accepts tokens of ServiceAccounts that were deleted")
	}
	return nil
}, "flags: {service-account-lookup: 'false'}")
