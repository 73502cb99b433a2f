package deploy

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// admissionGuards restrict what can be deployed. Those of other controls do too, and
// are tried by this control's experiment all the same.
var admissionGuards = []*bailey.Guard{registriesAllowed}

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
of Kubernetes' own namespaces.

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
