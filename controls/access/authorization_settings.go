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
out. Flags that say the same are as good.`,
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: authorizationWants}},
})

func authorizationWants(seen *bailey.Component, version bailey.Version) []settings.Want {
	holds := func(c *bailey.Component) bool {
		modes := settings.List(c, "authorization-mode")
		return c.Flags["authorization-config"] == "" && slices.Contains(modes, "Node") && slices.Contains(modes, "RBAC") &&
			!slices.Contains(modes, "AlwaysAllow") && !slices.Contains(modes, "ABAC")
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
		note = "the API server's flags were not seen: a webhook that it asks becomes an authorizer behind RBAC"
	case seen.Flags["authorization-config"] != "":
		note = "the file that " + seen.Flags["authorization-config"] + " names was not seen: keep the webhooks that it lists"
	}
	return []settings.Want{{
		Setting: bailey.Setting{Flag: "authorization-config", Value: bailey.SettingsFolder + "/authorization.yaml",
			File:     &bailey.SettingFile{Name: "authorization.yaml", Text: b.String()},
			Replaces: replaces, Note: note, Why: why},
		Holds: holds,
	}}
}
