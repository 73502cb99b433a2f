package develop

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var appDesignGuards = []*bailey.Guard{readOnlyRoot, servicesContained, aliasesContained, sensitivePortsKept, snippetsRefused}

const appDesign = "develop/app-design"

var readOnlyRoot = vap.Guard(vap.Policy{
	Control: appDesign, Name: "read-only-root",
	Title: "Containers are admitted only with a read-only root file system",
	Doc: `A ValidatingAdmissionPolicy refuses pods, and everything that makes pods, with a container, init container or
sidecar whose root file system can be written. Ephemeral containers and Windows are left out, as the rule leaves
them out.`,
	Covers:    []*bailey.Rule{writableRootFilesystem},
	Resources: vap.PodBearing,
	Variables: append(vap.PodVariables,
		admissionv1.Variable{Name: "writable", Expression: "variables.spec.?os.?name.orValue('') == 'windows' ? [] : " +
			"(variables.spec.containers + variables.spec.?initContainers.orValue([])).filter(c, !c.?securityContext.?readOnlyRootFilesystem.orValue(false)).map(c, c.name)"},
	),
	Checks: []vap.Check{vap.Pods("size(variables.writable) == 0", "'set securityContext.readOnlyRootFilesystem: true in: ' + variables.writable.join(', ')")},
})

var servicesContained = vap.Guard(vap.Policy{
	Control: appDesign, Name: "services-contained",
	Title: "Services claim no external addresses and are no aliases inward",
	Doc: `A ValidatingAdmissionPolicy refuses Services that claim external addresses (CVE-2020-8554), and those of type
ExternalName that lead to a node's own or a cloud's metadata addresses. An update that leaves both as they were
passes.`,
	Covers:    []*bailey.Rule{serviceExternalIPs, serviceAlias},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("", "services")},
	Variables: append([]admissionv1.Variable{
		{Name: "claimed", Expression: "object.spec.?externalIPs.orValue([]).filter(a, request.operation != 'UPDATE' || !(a in oldObject.spec.?externalIPs.orValue([])))"},
	}, aliasName...),
	Checks: []vap.Check{
		{Expression: "size(variables.claimed) == 0", MessageExpression: "'claims ' + variables.claimed.join(', ') + ': use a Service of type LoadBalancer'"},
		{Expression: "!variables.inward", MessageExpression: "'an alias of ' + variables.name + ' leads to the node or the cloud itself'"},
	},
})

var snippetsRefused = vap.Guard(vap.Policy{
	Control: appDesign, Name: "snippets-refused",
	Title: "Ingresses write no raw configuration into their controller",
	Doc: `A ValidatingAdmissionPolicy refuses Ingresses with an annotation that puts text into the controller's configuration
(CVE-2021-25742). An update that leaves the annotation as it was passes.`,
	Covers:    []*bailey.Rule{ingressSnippet},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("networking.k8s.io", "ingresses")},
	Variables: []admissionv1.Variable{
		{Name: "snippets", Expression: "['" + strings.Join(snippetAnnotations[:], "', '") + "'].filter(k, object.metadata.?annotations[?k].orValue('') != '' && " +
			"(request.operation != 'UPDATE' || object.metadata.?annotations[?k] != oldObject.metadata.?annotations[?k]))"},
	},
	Checks: []vap.Check{{Expression: "size(variables.snippets) == 0", MessageExpression: "'remove ' + variables.snippets.join(', ')"}},
})
