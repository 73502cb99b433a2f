package develop

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// publicCEL is public in CEL.
var publicCEL = strings.Join([]string{
	"(size(object.spec.?loadBalancerSourceRanges.orValue([])) == 0 || object.spec.loadBalancerSourceRanges.exists(r, r.trim().endsWith('/0')))",
	"!(object.spec.?loadBalancerClass.orValue('') == 'tailscale' || object.spec.?loadBalancerClass.orValue('').startsWith('internal'))",
	"!variables.notes.exists(k, k in ['networking.gke.io/load-balancer-type', 'cloud.google.com/load-balancer-type'] && variables.notes[k].lowerAscii() == 'internal')",
	"!variables.notes.exists(k, k in ['service.beta.kubernetes.io/azure-load-balancer-internal', 'service.beta.kubernetes.io/openstack-internal-load-balancer', " +
		"'service.beta.kubernetes.io/oci-load-balancer-internal', 'service.beta.kubernetes.io/cce-load-balancer-internal-vpc', 'tailscale.com/expose'] && variables.notes[k].lowerAscii() == 'true')",
	"variables.notes[?'service.beta.kubernetes.io/aws-load-balancer-internal'].orValue('').lowerAscii() in ['', 'false']",
	"variables.notes[?'service.beta.kubernetes.io/aws-load-balancer-scheme'].orValue('') != 'internal'",
	"variables.notes[?'service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type'].orValue('') != 'private'",
	"variables.notes[?'service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type'].orValue('') != 'intranet'",
	"!('service.kubernetes.io/qcloud-loadbalancer-internal-subnetid' in variables.notes)",
	"(variables.notes[?'service.beta.kubernetes.io/load-balancer-source-ranges'].orValue('') == '' || " +
		"variables.notes['service.beta.kubernetes.io/load-balancer-source-ranges'].split(',').exists(r, r.trim().endsWith('/0')))",
}, " && ")

// numbersCEL and namesCEL are lists of CEL.
var (
	numbersCEL = strings.ReplaceAll(fmt.Sprint(slices.Sorted(maps.Keys(sensitiveNumbers))), " ", ", ")
	namesCEL   = "['" + strings.Join(slices.Sorted(maps.Keys(sensitiveNames)), "', '") + "']"
)

var sensitivePortsKept = vap.Guard(vap.Policy{
	Control: appDesign, Name: "sensitive-ports-kept",
	Title: "Services publish no database, debug or administration port",
	Doc: `A ValidatingAdmissionPolicy refuses Services of type NodePort, and of type LoadBalancer that are open to everywhere,
with a port that should not be published, by number, target or name. An update that leaves type, ports, annotations and
source ranges as they were passes.`,
	Covers:    []*bailey.Rule{serviceSensitivePort},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("", "services")},
	Variables: []admissionv1.Variable{
		{Name: "unchanged", Expression: "request.operation == 'UPDATE' && object.spec.?type == oldObject.spec.?type && object.spec.?ports == oldObject.spec.?ports && " +
			"object.spec.?loadBalancerSourceRanges == oldObject.spec.?loadBalancerSourceRanges && object.metadata.?annotations == oldObject.metadata.?annotations"},
		{Name: "notes", Expression: "object.metadata.?annotations.orValue({})"},
		{Name: "published", Expression: "object.spec.?type.orValue('') == 'NodePort' || (object.spec.?type.orValue('') == 'LoadBalancer' && " + publicCEL + ")"},
		{Name: "sensitive", Expression: "object.spec.?ports.orValue([]).filter(p, p.?protocol.orValue('TCP') != 'UDP' && (p.port in " + numbersCEL + " || p.?name.orValue('') in " + namesCEL +
			" || (has(p.targetPort) && (type(p.targetPort) == string ? p.targetPort in " + namesCEL + " : p.targetPort in " + numbersCEL + ")))).map(p, string(p.port))"},
	},
	Checks: []vap.Check{{Expression: "variables.unchanged || !variables.published || size(variables.sensitive) == 0",
		MessageExpression: "'keep these ports inside (type: ClusterIP, or loadBalancerSourceRanges): ' + variables.sensitive.join(', ')"}},
})
