package compute

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// statesCEL is whether the resources in CEL state a request for the amount, or a limit,
// which is a request too.
func statesCEL(resources, amount string) string {
	return "(" + resources + ".?requests[?'" + amount + "'].hasValue() || " + limitsCEL(resources, amount) + ")"
}

// limitsCEL is whether they state a limit for it that is more than nothing.
func limitsCEL(resources, amount string) string {
	limit := resources + ".?limits[?'" + amount + "']"
	return "(" + limit + ".hasValue() && quantity(string(" + limit + ".value())).isGreaterThan(quantity('0')))"
}

var needsStated = vap.Guard(vap.Policy{
	Control: "compute/quotas", Name: "needs-stated",
	Title: "Pods are admitted only if they state what they need",
	Doc: `A ValidatingAdmissionPolicy refuses pods with a container, init container or sidecar that requests no CPU or no memory,
or has no memory limit, by itself or by what the pod states as a whole. It looks at pods and not at what makes them,
after the namespace's LimitRange has filled in what it gives: a Deployment is admitted, and its pods are refused.
Ephemeral containers can state nothing. An update that leaves the containers as they were passes. More than 500
containers are refused: the API server bounds what an expression may cost.`,
	Covers:    []*bailey.Rule{noRequests, noMemoryLimit},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("", "pods", "pods/resize", "pods/ephemeralcontainers")},
	Variables: []admissionv1.Variable{
		{Name: "unchanged", Expression: "request.operation == 'UPDATE' && object.spec.containers == oldObject.spec.containers && object.spec.?initContainers == oldObject.spec.?initContainers && " +
			"object.spec.?resources == oldObject.spec.?resources"},
		{Name: "many", Expression: "size(object.spec.containers) + size(object.spec.?initContainers.orValue([])) > 500"},
		{Name: "judged", Expression: "variables.many ? [] : object.spec.containers + object.spec.?initContainers.orValue([])"},
		{Name: "cpu", Expression: statesCEL("object.spec.?resources", "cpu") + " ? [] : variables.judged.filter(c, !" + statesCEL("c.?resources", "cpu") + ").map(c, c.name)"},
		{Name: "memory", Expression: statesCEL("object.spec.?resources", "memory") + " ? [] : variables.judged.filter(c, !" + statesCEL("c.?resources", "memory") + ").map(c, c.name)"},
		{Name: "unlimited", Expression: limitsCEL("object.spec.?resources", "memory") + " ? [] : variables.judged.filter(c, !" + limitsCEL("c.?resources", "memory") + ").map(c, c.name)"},
	},
	Checks: []vap.Check{
		{Expression: "variables.unchanged || !variables.many", Message: "more than 500 containers"},
		{Expression: "variables.unchanged || size(variables.cpu) == 0", MessageExpression: "'set resources.requests.cpu in: ' + variables.cpu.join(', ')"},
		{Expression: "variables.unchanged || size(variables.memory) == 0", MessageExpression: "'set resources.requests.memory in: ' + variables.memory.join(', ')"},
		{Expression: "variables.unchanged || size(variables.unlimited) == 0", MessageExpression: "'set resources.limits.memory in: ' + variables.unlimited.join(', ')"},
	},
})
