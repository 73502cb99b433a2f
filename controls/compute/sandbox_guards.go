package compute

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var sandboxGuards = []*bailey.Guard{untrustedSandboxed}

const sandboxID = "compute/sandbox"

// untrustedVariable is markedUntrusted in CEL, of a policy about PodBearing requests.
var untrustedVariable = admissionv1.Variable{Name: "untrusted", Expression: "variables.template.?metadata.?labels[?'" + trustLabel + "'].orValue('') == '" + untrusted + "' || " +
	"object.metadata.?labels[?'" + trustLabel + "'].orValue('') == '" + untrusted + "' || namespaceObject.metadata.?labels[?'" + trustLabel + "'].orValue('') == '" + untrusted + "'"}

var untrustedSandboxed = vap.Guard(vap.Policy{
	Control: sandboxID, Name: "untrusted-sandboxed",
	Title: "Untrusted workloads are admitted only with a sandbox",
	Doc: `ValidatingAdmissionPolicies refuse pods, and everything that makes pods, that are untrusted (by the label
bailey.dev/trust: untrusted of their own or of their namespace) and name no RuntimeClass, or one whose handler shares
the node's kernel. The classes are the second policy's parameters: it sees those that are there when it is asked.`,
	Covers:    []*bailey.Rule{untrustedWithoutSandbox},
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables, untrustedVariable),
	Checks: []vap.Check{vap.Pods("!variables.untrusted || variables.spec.?runtimeClassName.orValue('') != ''",
		"'what is marked as untrusted needs a RuntimeClass with a kernel of its own'")},
	With: []vap.Policy{{
		Name:      "untrusted-sandboxed-class",
		Param:     &vap.Param{APIVersion: "node.k8s.io/v1", Kind: bailey.KindRuntimeClass},
		Resources: vap.PodBearing,
		Variables: append(vap.PodVariables, untrustedVariable),
		Checks: []vap.Check{vap.Pods("!variables.untrusted || variables.spec.?runtimeClassName.orValue('') != params.metadata.name || !(params.handler in ['"+
			strings.Join(plainRuntimes, "', '")+"'])", "'what is marked as untrusted needs a kernel of its own: the handler of RuntimeClass ' + params.metadata.name + ' shares the node\\'s'")},
	}},
})
