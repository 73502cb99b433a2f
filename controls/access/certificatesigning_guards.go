package access

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

var certificateSigningGuards = []*bailey.Guard{requestsContained, approvalsByOthers}

const (
	certificateSigning = "access/certificate-signing"

	// requestVerb on a signer is what who asks it for a certificate must hold.
	requestVerb = "request"
	// approveOwnVerb on a signer lets one approve what one asked for.
	approveOwnVerb = "approve-own"
)

// holdsSigner is whether who asks holds a verb on the request's signer.
func holdsSigner(verb string) string {
	return "authorizer.group('" + certificatesGroup + "').resource('signers').name(object.spec.signerName).check('" + verb + "').allowed()"
}

var requestsContained = vap.Guard(vap.Policy{
	Control: certificateSigning, Name: "certificate-requests-contained",
	Title: "Only who holds the signer can ask Kubernetes' signers for a certificate, and not for longer than a day",
	Doc: `ValidatingAdmissionPolicies refuse CertificateSigningRequests to the signers of Kubernetes by whom the authorizer does
not allow the verb request on the signer (group certificates.k8s.io, resource signers, by name). Without it, nodes and
those that join by a bootstrap token may ask for the kubelet's client certificate, and nodes for its serving
certificate. Requests to kube-apiserver-client must state expirationSeconds of a day at most: what was signed cannot be
taken back. Signers that are not Kubernetes' own are left to those who run them.

PodCertificateRequests are for kubelets: nobody else may make one without that verb.`,
	Tried:       []*bailey.Experiment{requestsGranted},
	ClusterWide: true,
	Resources: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule: admissionv1.Rule{APIGroups: []string{certificatesGroup}, APIVersions: []string{"v1"}, Resources: []string{"certificatesigningrequests"}}}}},
	Variables: []admissionv1.Variable{
		{Name: "groups", Expression: "request.userInfo.?groups.orValue([])"},
		{Name: "own", Expression: "object.spec.signerName.startsWith('kubernetes.io/')"},
		{Name: "ofNodes", Expression: "object.spec.signerName in ['kubernetes.io/kube-apiserver-client-kubelet', 'kubernetes.io/kubelet-serving'] && ('system:nodes' in variables.groups || " +
			"(object.spec.signerName == 'kubernetes.io/kube-apiserver-client-kubelet' && 'system:bootstrappers' in variables.groups))"},
	},
	Checks: []vap.Check{
		{Expression: "!variables.own || variables.ofNodes || " + holdsSigner(requestVerb),
			MessageExpression: "'to ask ' + object.spec.signerName + ' for a certificate takes the verb request on that signer'"},
		{Expression: "object.spec.signerName != '" + clientSigner + "' || (object.spec.?expirationSeconds.orValue(0) > 0 && object.spec.expirationSeconds <= 86400)",
			Message: "a client certificate cannot be taken back: set expirationSeconds to a day (86400) at most"},
	},
	With: []vap.Policy{{
		Name: "pod-certificate-requests-of-nodes",
		Resources: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{APIGroups: []string{certificatesGroup}, APIVersions: []string{"*"}, Resources: []string{"podcertificaterequests"}}}}},
		Checks: []vap.Check{{Expression: "'system:nodes' in request.userInfo.?groups.orValue([]) || " + holdsSigner(requestVerb),
			Message: "the kubelet asks for the certificates of its pods; for anybody else it takes the verb request on the signer"}},
	}},
})

var approvalsByOthers = vap.Guard(vap.Policy{
	Control: certificateSigning, Name: "approvals-by-others",
	Title: "Nobody approves the certificate that they asked for",
	Doc: `A ValidatingAdmissionPolicy refuses that a CertificateSigningRequest is approved by the user who made it, unless the
authorizer allows them the verb approve-own on the signer. Kubernetes itself asks for the verb approve on the signer,
and lets one user be both. The controller manager approves what kubelets ask for, and is not concerned.`,
	Tried:       []*bailey.Experiment{requestsGranted},
	ClusterWide: true,
	Resources: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Update},
		Rule: admissionv1.Rule{APIGroups: []string{certificatesGroup}, APIVersions: []string{"v1"}, Resources: []string{"certificatesigningrequests/approval"}}}}},
	Variables: []admissionv1.Variable{
		{Name: "approved", Expression: "object.?status.?conditions.orValue([]).exists(c, c.type == 'Approved') && !oldObject.?status.?conditions.orValue([]).exists(c, c.type == 'Approved')"},
	},
	Checks: []vap.Check{{Expression: "!variables.approved || object.spec.?username.orValue('') != request.userInfo.username || " + holdsSigner(approveOwnVerb),
		Message: "who asked for a certificate does not approve it: let somebody else"}},
})
