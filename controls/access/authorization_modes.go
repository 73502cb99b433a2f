package access

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var authorizationModes = []*bailey.Rule{allowsAll, withoutRBAC, withoutNode}

// authorizers are those that the API server asks, in order. Without a word it is AlwaysAllow;
// nil means a configuration file that was not read.
func authorizers(c *bailey.Component) []string {
	if c.Flags["authorization-config"] != "" {
		list, _ := settings.Field(c.Files["authorization-config"], "authorizers").([]any)
		var all []string
		for _, one := range list {
			m, _ := one.(map[string]any)
			if kind, ok := m["type"].(string); ok {
				all = append(all, kind)
			}
		}
		return all
	}
	if modes := c.Flags["authorization-mode"]; modes != "" {
		return strings.Split(modes, ",")
	}
	return []string{"AlwaysAllow"}
}

var allowsAll = settings.Reading("authorization-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "always-allow",
	Title: "The API server lets everybody do everything",
	Doc: `AlwaysAllow, which is also what holds where --authorization-mode is not set, asks nothing: every token of every pod is
an administrator's. An authorizer before it can still deny, and none of the built-in ones does.`,
	Severity: bailey.SeverityCritical,
	Refs: []bailey.Reference{ref.CIS("1.2.6", "The authorizer is not AlwaysAllow"),
		ref.Kubernetes("reference/access-authn-authz/authorization/", "Authorization"), ref.ATTACK("T1078")},
}, func(c *bailey.Component) []settings.Fault {
	if !slices.Contains(authorizers(c), "AlwaysAllow") {
		return nil
	}
	if c.Flags["authorization-mode"] == "" {
		return settings.One("--authorization-mode", " names no authorizer, and so lets everybody do everything")
	}
	return settings.One("--authorization-mode", " has the authorizer AlwaysAllow: everybody may do everything")
}, "flags: {authorization-mode: AlwaysAllow}", "flags: {secure-port: '6443'}"))

var withoutRBAC = settings.Reading("authorization-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "no-rbac",
	Title: "The API server does not ask RBAC",
	Doc: `Without the authorizer RBAC the cluster's Roles mean nothing. A webhook alone can be sound, where somebody reviews what
it decides: waive the rule there, with that reason. ABAC reads a file that changes by a restart only.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.CIS("1.2.8", "RBAC is one of the authorizers")},
}, func(c *bailey.Component) []settings.Fault {
	all := authorizers(c)
	if len(all) == 0 || slices.Contains(all, "RBAC") || slices.Contains(all, "AlwaysAllow") {
		return nil // the last is another rule's
	}
	return settings.One("--authorization-mode", " asks "+strings.Join(all, ", ")+" and not RBAC: Roles and bindings mean nothing")
}, "flags: {authorization-mode: 'Node,ABAC'}"))

var withoutNode = settings.Reading("authorization-config", settings.Rule(bailey.KindAPIServer, bailey.Rule{
	Name:  "no-node-authorizer",
	Title: "Kubelets are not limited to their own node",
	Doc: `The authorizer Node lets a kubelet read the Secrets and ConfigMaps of pods that are bound to its node and no others.
Where it is missing kubelets need a Role, which gives one stolen node every Secret of the cluster.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.CIS("1.2.7", "Node is one of the authorizers"),
		ref.Kubernetes("reference/access-authn-authz/node/", "Using Node Authorization")},
}, func(c *bailey.Component) []settings.Fault {
	all := authorizers(c)
	if len(all) == 0 || slices.Contains(all, "Node") || slices.Contains(all, "AlwaysAllow") {
		return nil
	}
	return settings.One("--authorization-mode", " asks "+strings.Join(all, ", ")+" and not Node: a kubelet needs rights beyond its own node")
}, "flags: {authorization-mode: RBAC}"))
