package access

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var authorizerChain = settings.New(settings.Guard{
	Name:  "authorizer-chain",
	Title: "Requests are authorized by Node and RBAC, and nothing is allowed to all",
	Doc: `An AuthorizationConfiguration of Node and RBAC, in this order, and behind them the webhook that the API server
has by its flags: with a short timeout, and no opinion when it fails, as it is by flags. AlwaysAllow and ABAC are left
out. Flags that say the same are as good. Where the API server has such a file its own authorizers stay, in their
order, if a scan of the machine has read it; else nothing is planned in its place.`,
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: authorizationWants}},
})

func authorizationWants(seen *bailey.Component, version bailey.Version) []settings.Want {
	holds := func(c *bailey.Component) bool {
		modes := authorizers(c)
		return slices.Contains(modes, "Node") && slices.Contains(modes, "RBAC") && !slices.ContainsFunc(modes, careless)
	}
	const why = "Each request is judged by RBAC, kubelets by what runs on their node (CIS 1.2.6, 1.2.7, 1.2.8)."
	webhook := slices.Contains(settings.List(seen, "authorization-mode"), "Webhook")
	if !version.IsZero() && !version.AtLeast(1, 30) {
		w := settings.Flag("authorization-mode", "Node,RBAC", why)
		if webhook {
			w.Value = "Node,RBAC,Webhook"
		}
		w.Holds = holds
		return []settings.Want{w}
	}
	apiVersion := "apiserver.config.k8s.io/v1"
	if !version.IsZero() && !version.AtLeast(1, 32) {
		apiVersion = "apiserver.config.k8s.io/v1beta1"
	}
	const flag = "authorization-config"
	there := settings.DocumentOf(seen, flag)
	if there.Path != "" {
		if !there.Whole {
			w := there.LookAt(flag, why, "see that it has Node and RBAC, and neither AlwaysAllow nor ABAC")
			w.Holds = holds
			return []settings.Want{w}
		}
		return []settings.Want{mergedAuthorizers(there, why, holds)}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: AuthorizationConfiguration\nauthorizers:\n- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n", apiVersion)
	replaces := []string{"authorization-mode"}
	note := ""
	if webhook {
		// The defaults are those of the flags.
		fmt.Fprintf(&b, "- type: Webhook\n  name: webhook\n  webhook:\n    connectionInfo: {type: KubeConfigFile, kubeConfigFile: %s}\n"+
			"    authorizedTTL: %s\n    unauthorizedTTL: %s\n    timeout: 3s\n    subjectAccessReviewVersion: %s\n"+
			"    matchConditionSubjectAccessReviewVersion: v1\n    # Deny is safer, and stops the cluster with the webhook.\n    failurePolicy: NoOpinion\n",
			strconv.Quote(seen.Flags["authorization-webhook-config-file"]),
			cmp.Or(seen.Flags["authorization-webhook-cache-authorized-ttl"], "5m"), cmp.Or(seen.Flags["authorization-webhook-cache-unauthorized-ttl"], "30s"),
			cmp.Or(seen.Flags["authorization-webhook-version"], "v1beta1"))
		for _, name := range []string{"config-file", "cache-authorized-ttl", "cache-unauthorized-ttl", "version"} {
			if seen.Flags["authorization-webhook-"+name] != "" {
				replaces = append(replaces, "authorization-webhook-"+name)
			}
		}
	}
	switch {
	case seen == nil:
		note = "the API server's flags were not seen: where --authorization-config names a file already, change that one; a webhook that flags name becomes an authorizer behind RBAC"
	case seen.Flags["authorization-policy-file"] != "":
		replaces = append(replaces, "authorization-policy-file")
		note = "ABAC goes: whoever has rights by " + seen.Flags["authorization-policy-file"] + " alone needs Roles first"
	}
	return []settings.Want{{
		Setting: bailey.Setting{Flag: flag, Value: bailey.SettingsFolder + "/authorization.yaml",
			File:     &bailey.SettingFile{Name: "authorization.yaml", Text: b.String()},
			Replaces: replaces, Note: note, Why: why},
		Holds: holds,
	}}
}

// careless reports whether an authorizer's type allows without asking RBAC: everything, or
// by a file that changes by a restart only.
func careless(kind string) bool { return kind == "AlwaysAllow" || kind == "ABAC" }

// mergedAuthorizers are those of a file, in their order, without the careless ones. Where
// Node or RBAC is missing it takes the place of the first of these, or comes last.
func mergedAuthorizers(there settings.Document, why string, holds func(*bailey.Component) bool) settings.Want {
	list, _ := there.Content["authorizers"].([]any)
	var kept []any
	var gone []string
	place, has, taken := -1, map[string]bool{}, map[string]bool{}
	for _, one := range list {
		kind := settings.Text(settings.Field(settings.Map(one), "type"))
		switch {
		case careless(kind):
			gone = append(gone, kind)
			if place < 0 {
				place = len(kept)
			}
			continue
		case kind == "AlwaysDeny" && place < 0, kind == "RBAC" && !has["Node"]:
			place = len(kept)
		}
		has[kind], taken[settings.Text(settings.Field(settings.Map(one), "name"))] = true, true
		kept = append(kept, one)
	}
	if place < 0 {
		place = len(kept)
	}
	var missing []any
	for _, kind := range []string{"Node", "RBAC"} {
		if has[kind] {
			continue
		}
		name := strings.ToLower(kind)
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", strings.ToLower(kind), i)
		}
		missing = append(missing, map[string]any{"type": kind, "name": name})
	}
	text, err := there.With("authorizers", slices.Insert(kept, place, missing...))
	if err != nil {
		w := there.NotWritten("authorization-config", why, err)
		w.Holds = holds
		return w
	}
	note := "it is " + there.Path + " as it was read, with other authorizers: compare"
	if len(gone) > 0 {
		note += "; whoever has rights by " + strings.Join(gone, " and ") + " alone needs Roles first"
	}
	return settings.Want{Setting: bailey.Setting{Flag: "authorization-config", Value: bailey.SettingsFolder + "/authorization.yaml",
		File: &bailey.SettingFile{Name: "authorization.yaml", Text: text}, Note: note, Why: why}, Holds: holds}
}
