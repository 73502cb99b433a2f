package observe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
	"github.com/baileyhq/bailey/derive/detect"
)

// policyOf gives the audit policy that an API server's file holds; nil where it was not read.
func policyOf(c *bailey.Component) *auditv1.Policy {
	text, err := json.Marshal(c.Files["audit-policy-file"])
	if err != nil {
		return nil
	}
	policy, err := detect.DecodePolicy(text)
	if err != nil {
		return nil
	}
	return policy
}

// policyJudged is what an API server's audit policy leaves out and writes down.
type policyJudged struct {
	blind []string // detections that it records nothing for
	held  []string // confidential resources of which it records bodies
}

// judgedPolicies are those of the API servers whose policy was read, by their components.
var judgedPolicies = &bailey.Derivation{
	Name:  "audit policies",
	Needs: []bailey.Kind{bailey.KindAPIServer},
	Compute: func(v *bailey.View) any {
		all := map[*bailey.Component]policyJudged{}
		for _, f := range v.Known(bailey.KindAPIServer, "") {
			c, ok := bailey.As[*bailey.Component](f)
			if !ok {
				continue
			}
			policy := policyOf(c)
			if policy == nil {
				continue
			}
			var judged policyJudged
			for _, b := range detect.Blind(policy, atMetadata()) {
				if b.Has == detect.LevelNone && !b.Partly {
					judged.blind = append(judged.blind, b.Detection)
				}
			}
			for _, r := range confidential {
				if bodies(policy, r.group, r.resource) {
					judged.held = append(judged.held, r.resource)
				}
			}
			all[c] = judged
		}
		return all
	},
}

// judgedPolicy is what is wrong with the policy of an API server; nothing of one that was not read.
func judgedPolicy(v *bailey.View, c *bailey.Component) policyJudged {
	all, _ := v.Derived(judgedPolicies).(map[*bailey.Component]policyJudged)
	return all[c]
}

// atMetadata are the detections that need no more than that a request was made.
func atMetadata() []*detect.Detection {
	return slices.DeleteFunc(slices.Clone(detect.All()), func(d *detect.Detection) bool {
		return d.Level != detect.LevelMetadata || d.Severity < bailey.SeverityMedium
	})
}

var blindPolicy = settings.Reading("audit-policy-file", settings.RuleSeeing([]bailey.Kind{bailey.KindAPIServer}, bailey.Rule{
	Name:  "audit-policy-blind",
	Title: "The audit policy leaves attacks unrecorded",
	Doc: `Follows the policy's rules for the requests of Bailey's own detections that need no more than metadata: reads of
Secrets, exec, port-forward, tokens, changes of admission. What it records nothing of leaves no trace for anybody.
What a policy leaves out for single users, the control plane's for one, is no finding; nor are bodies, which some
leave out for good reason: bailey detect --policy says which detections want them.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{ref.CIS("3.2.2", "The audit policy covers what matters"), auditing, ref.NIST("AU-2")},
	Derives:  []*bailey.Derivation{judgedPolicies},
}, func(v *bailey.View, c *bailey.Component) []settings.Fault {
	blind := judgedPolicy(v, c).blind
	if len(blind) == 0 {
		return nil
	}
	return settings.One("--audit-policy-file", fmt.Sprintf(" records nothing of what %d detections look at: %s", len(blind), strings.Join(blind, ", ")))
}, "flags: {audit-policy-file: /x, audit-log-path: /y}\nfiles: {audit-policy-file: {apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None}]}}"))

// confidential are the resources whose bodies are credentials.
var confidential = []struct{ group, resource string }{
	{"", "secrets"}, {"", "serviceaccounts/token"}, {"authentication.k8s.io", "tokenreviews"},
}

// bodies reports whether a policy records bodies with credentials of requests for a resource: the
// first rule that is about it decides, and one for some users, namespaces, verbs or names may or may not.
func bodies(policy *auditv1.Policy, group, resource string) bool {
	for i := range policy.Rules {
		r := &policy.Rules[i]
		if !detect.CoversResource(r, group, resource) {
			continue
		}
		if holdsCredentials(r, resource) {
			return true
		}
		named := slices.ContainsFunc(r.Resources, func(g auditv1.GroupResources) bool { return len(g.ResourceNames) > 0 })
		if len(r.Users)+len(r.UserGroups)+len(r.Namespaces)+len(r.Verbs) == 0 && !named {
			return false
		}
	}
	return false
}

// holdsCredentials reports whether what a rule records of a confidential resource has a credential
// in it: answers have, and of requests those that write a Secret or ask about a token. What asks
// for a ServiceAccount's token does not hold it yet, nor does what reads or deletes a Secret.
func holdsCredentials(r *auditv1.PolicyRule, resource string) bool {
	switch r.Level {
	case auditv1.LevelRequestResponse:
		return true
	case auditv1.LevelRequest:
		return resource != "serviceaccounts/token" &&
			(len(r.Verbs) == 0 || slices.ContainsFunc(r.Verbs, func(v string) bool { return v == "create" || v == "update" || v == "patch" }))
	}
	return false
}

var auditedSecrets = settings.Reading("audit-policy-file", settings.RuleSeeing([]bailey.Kind{bailey.KindAPIServer}, bailey.Rule{
	Name:  "audit-holds-secrets",
	Title: "The audit log holds Secrets and tokens",
	Doc: `Follows the policy's rules for Secrets, ServiceAccounts' tokens and token reviews. At level Request or RequestResponse
their bodies are in the log, in plain text: encryption at rest is for nothing, and whoever reads logs reads them.
Metadata says who read which.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{auditing, ref.CIS("3.2.2", "The audit policy covers what matters"), ref.CNCF(215, "Secrets are masked in logs, audit records and dumps"), ref.ATTACK("T1552.001")},
	Derives:  []*bailey.Derivation{judgedPolicies},
}, func(v *bailey.View, c *bailey.Component) []settings.Fault {
	held := judgedPolicy(v, c).held
	if len(held) == 0 {
		return nil
	}
	return settings.One("--audit-policy-file", " writes the content of "+strings.Join(held, ", ")+" into its log")
}, "flags: {audit-policy-file: /x, audit-log-path: /y}\nfiles: {audit-policy-file: {apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: RequestResponse}]}}"))
