package deploy

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// admissionGuards restrict what can be deployed. Those of other controls do too, and
// are tried by this control's experiment all the same.
var admissionGuards = []*bailey.Guard{registriesAllowed, servicesListed, enteringGranted, policiesAsFiles}

const admissionID = "deploy/admission"

// imagesVariable is imagesOf in CEL.
var imagesVariable = admissionv1.Variable{Name: "images", Expression: "variables.containers.filter(c, object.kind == 'Pod' || c.name != 'istio-proxy' || c.?image.orValue('') != 'auto').map(c, c.?image.orValue('')) + " +
	"variables.spec.?volumes.orValue([]).filter(v, has(v.image)).map(v, v.image.?reference.orValue(''))"}

// hostedCEL is whether the first component of the name n is a registry.
const hostedCEL = "n.contains('/') && (n.split('/')[0].matches('[.:A-Z]') || n.startsWith('localhost/'))"

var registriesAllowed = vap.Guard(vap.Policy{
	Control: admissionID, Name: "registries-allowed",
	Title: "Images are admitted only from allowed registries",
	Doc: `A ValidatingAdmissionPolicy refuses pods, and everything that makes pods, with an image of a registry that the
ConfigMap kube-system/bailey-registries does not list: of containers, init containers, sidecars, ephemeral containers
and image volumes. The plan lists the registries that are in use. While the list is missing, no pod is admitted outside
of Kubernetes' own namespaces; a policy beside it refuses to delete the list.

More than 500 images, and references of over 700 characters, are refused: the API server bounds what an expression may
cost. What can be no reference at all (empty, or with a variable in it) passes.`,
	Covers:    []*bailey.Rule{foreignRegistry},
	Resources: vap.PodBearing,
	Param: &vap.Param{APIVersion: "v1", Kind: bailey.KindConfigMap, Namespace: vap.ParamNamespace, Name: bailey.RegistriesParam,
		Needs: bailey.PodBearing, Object: registriesInUse},
	Variables: append(vap.PodVariables, imagesVariable,
		admissionv1.Variable{Name: "allowed", Expression: "params.?data[?'" + registriesKey + "'].orValue('').split('\\n').map(l, l.trim()).filter(l, l != '' && !l.startsWith('#'))" +
			".map(l, l.endsWith('/') ? l : l + '/')"},
		admissionv1.Variable{Name: "judged", Expression: "variables.images.filter(i, size(i) <= 700 && i != '' && !i.matches('[$<{%]'))"},
		admissionv1.Variable{Name: "untagged", Expression: "variables.judged.map(i, i.split('@')[0]).map(n, n.lastIndexOf(':') > n.lastIndexOf('/') ? n.substring(0, n.lastIndexOf(':')) : n)"},
		admissionv1.Variable{Name: "hosted", Expression: "variables.untagged.map(n, " + hostedCEL + " ? (n.startsWith('index.docker.io/') ? n.substring(6) : n) : 'docker.io/' + n)"},
		admissionv1.Variable{Name: "names", Expression: "variables.hosted.map(n, n.startsWith('docker.io/') && !n.substring(10).contains('/') ? 'docker.io/library/' + n.substring(10) : n)"},
		admissionv1.Variable{Name: "foreign", Expression: "size(variables.images) > 500 ? ['more than 500 images'] : variables.images.filter(i, size(i) > 700) + " +
			"variables.names.filter(n, !variables.allowed.exists(a, (n + '/').startsWith(a)))"},
	),
	Checks: []vap.Check{vap.Pods("size(variables.foreign) == 0", "'not of an allowed registry (ConfigMap kube-system/"+bailey.RegistriesParam+"): ' + variables.foreign.join(', ')")},
})

var servicesListed = vap.Guard(vap.Policy{
	Control: admissionID, Name: "published-services-listed",
	Title: "Only listed namespaces publish Services",
	Doc: `A ValidatingAdmissionPolicy refuses Services of type NodePort and LoadBalancer in namespaces that the ConfigMap
kube-system/bailey-published-services does not list for the type. The plan lists what is in use. An update that leaves
the type as it was passes. While the list is missing, no Service is admitted outside of Kubernetes' own namespaces, nor
updated; a policy beside it refuses to delete the list.

External addresses and aliases of a node's own addresses are services-contained's (develop/app-design).`,
	Covers:    []*bailey.Rule{unlistedService},
	Resources: []admissionv1.NamedRuleWithOperations{vap.Resource("", "services")},
	Param: &vap.Param{APIVersion: "v1", Kind: bailey.KindConfigMap, Namespace: vap.ParamNamespace, Name: bailey.PublishedParam,
		Needs: []bailey.Kind{bailey.KindService}, Object: publishedInUse},
	Variables: []admissionv1.Variable{
		{Name: "published", Expression: "object.spec.?type.orValue('') in ['NodePort', 'LoadBalancer'] && (request.operation != 'UPDATE' || object.spec.?type != oldObject.spec.?type)"},
		{Name: "listed", Expression: "params.?data[?'" + publishedKey + "'].orValue('').split('\\n').exists(l, l.trim() == object.metadata.namespace + ' ' + object.spec.?type.orValue(''))"},
	},
	Checks: []vap.Check{{Expression: "!variables.published || variables.listed",
		MessageExpression: "'namespace ' + object.metadata.namespace + ' may publish no Service of type ' + object.spec.type + ' (ConfigMap kube-system/" + bailey.PublishedParam + ")'"}},
})

// enterVerb on a pod, a Service or a node lets one enter it.
const enterVerb = "enter"

// entered is the name of what a request enters. A request to a proxy may put a scheme
// before the name, and a port after it, with colons.
var entered = admissionv1.Variable{Name: "entered", Expression: "size(request.name.split(':')) == 3 ? request.name.split(':')[1] : request.name.split(':')[0]"}

// mayEnter is the CEL of whether the authorizer lets one enter what is entered.
func mayEnter(resource string) string {
	return "authorizer.group('').resource('" + resource + "').namespace(request.?namespace.orValue('')).name(variables.entered).check('" + enterVerb + "').allowed()"
}

func connects(resources ...string) []admissionv1.NamedRuleWithOperations {
	return []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Connect},
		Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: resources}}}}
}

var enteringGranted = vap.Guard(vap.Policy{
	Control: admissionID, Name: "entering-granted",
	Title: "Only who was granted it enters a pod",
	Doc: `ValidatingAdmissionPolicies refuse exec, attach and port-forward, ephemeral containers, and the API server's proxy to
pods, by whom the authorizer does not allow the verb enter on the pod; the proxy to Services and to nodes by whom it
does not allow that verb on the Service or the node. The roles edit and admin hold rights to nearly all of these beside
those that are needed every day; the verb is granted to those who are on call, for the time that they are. cluster-admin
holds it. What reads metrics of kubelets through the proxy of nodes takes the verb too, or reads them at the kubelet.

What comes past the API server is access/api-bypass's.`,
	Tried:     []*bailey.Experiment{enteringRefused},
	Resources: connects("pods/exec", "pods/attach", "pods/portforward", "pods/proxy"),
	Variables: []admissionv1.Variable{entered},
	Checks:    []vap.Check{{Expression: mayEnter("pods"), Message: "to enter a pod takes the verb enter on it (a Role: resources [pods], verbs [enter])"}},
	With: []vap.Policy{{
		Name: "ephemeral-containers-granted",
		Resources: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Update},
			Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods/ephemeralcontainers"}}}}},
		Variables: []admissionv1.Variable{entered},
		Checks: []vap.Check{{Expression: "object.spec.?ephemeralContainers == oldObject.spec.?ephemeralContainers || " + mayEnter("pods"),
			Message: "to add a container to a pod takes the verb enter on it (a Role: resources [pods], verbs [enter])"}},
	}, {
		Name:      "service-proxy-granted",
		Resources: connects("services/proxy"),
		Variables: []admissionv1.Variable{entered},
		Checks: []vap.Check{{Expression: mayEnter("services"),
			Message: "to reach the pods of a Service through the API server takes the verb enter on it (a Role: resources [services], verbs [enter])"}},
	}, {
		Name:        "node-proxy-granted",
		ClusterWide: true,
		Resources:   connects("nodes/proxy"),
		Variables:   []admissionv1.Variable{entered},
		Checks: []vap.Check{{Expression: mayEnter("nodes"),
			Message: "to reach a kubelet through the API server takes the verb enter on the node (a ClusterRole: resources [nodes], verbs [enter])"}},
	}},
})
