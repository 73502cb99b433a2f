package develop

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// aliasName is the name that a Service is an alias of, and what of it is within the
// cluster; inward is of services-contained.
var (
	aliasName = []admissionv1.Variable{
		{Name: "alias", Expression: "object.spec.?type.orValue('') == 'ExternalName' && (request.operation != 'UPDATE' || " +
			"object.spec.?externalName.orValue('') != oldObject.spec.?externalName.orValue('')) ? object.spec.?externalName.orValue('').lowerAscii() : ''"},
		{Name: "name", Expression: "variables.alias.endsWith('.') ? variables.alias.substring(0, size(variables.alias) - 1) : variables.alias"},
		{Name: "inward", Expression: "variables.name in ['localhost', 'localhost.localdomain', 'metadata.google.internal', 'metadata.goog', 'instance-data.ec2.internal', '100.100.100.200', 'fd00:ec2::254'] || " +
			"variables.name.endsWith('.localhost') || (isIP(variables.name) && (ip(variables.name).isLoopback() || ip(variables.name).isLinkLocalUnicast() || ip(variables.name).isUnspecified() || " +
			"ip(variables.name) == ip('fd00:ec2::254')))"},
	}
	aliasOf = []admissionv1.Variable{
		{Name: "base", Expression: "variables.name.endsWith('.cluster.local') ? variables.name.substring(0, size(variables.name) - size('.cluster.local')) : variables.name"},
		{Name: "parts", Expression: "variables.base.endsWith('.svc') ? variables.base.split('.') : []"},
		{Name: "into", Expression: "size(variables.parts) < 3 ? '' : variables.parts[size(variables.parts) - 2]"},
	}
)

var aliasesContained = vap.Guard(vap.Policy{
	Control: appDesign, Name: "aliases-contained",
	Title: "Services are no aliases of addresses, nor of other namespaces' Services",
	Doc: `A ValidatingAdmissionPolicy refuses Services of type ExternalName that name an address, or a Service of another
namespace by its name in the cluster. An update that leaves the name as it was passes. Where an alias is used to put a
Service of another namespace behind an Ingress, route by a Gateway and a ReferenceGrant, or put the Ingress beside it.`,
	Covers:    []*bailey.Rule{serviceAliasAround},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("", "services")},
	Variables: append(append([]admissionv1.Variable{}, aliasName...), aliasOf...),
	Checks: []vap.Check{
		{Expression: "variables.inward || !isIP(variables.name)", MessageExpression: "'an alias of the address ' + variables.name + ': name a host, or use a Service without a selector and an EndpointSlice'"},
		{Expression: "variables.inward || variables.into in ['', string(object.metadata.namespace)]", MessageExpression: "'an alias of ' + variables.name + ' reaches into namespace ' + variables.into"},
	},
})
