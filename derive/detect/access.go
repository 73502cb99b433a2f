package detect

import "github.com/baileyhq/bailey"

var (
	changes  = []string{"create", "update", "patch"}
	roles    = []string{"roles", "clusterroles"}
	bindings = []string{"rolebindings", "clusterrolebindings"}
)

const (
	groupRBAC         = "rbac.authorization.k8s.io"
	groupCertificates = "certificates.k8s.io"
)

var accessDetections = []*Detection{
	{
		Name: "admin-role", Title: "A role that may do everything, or give itself everything, was written",
		Doc: `A role with every verb on every resource, or with escalate, bind or impersonate, is an administrator under another name.

Charts of some operators bring such a role: that is told too, and true.`,
		Unseen:    "A role that adds up to an administrator by many small rights, or by a label of an aggregated role. What a server-side apply leaves out.",
		Technique: "T1098.006", Matrix: "Cluster-admin binding", Severity: bailey.SeverityHigh,
		On: []Requests{{groupRBAC, roles, changes}}, Level: LevelRequest,
		Expr: `!component && object.rules.exists(r,
  r.verbs.exists(v, v in ["escalate", "bind", "impersonate", "?"]) || "?" in r.resources
  || r.groups.exists(g, g in ["*", ""]) && "*" in r.verbs && "*" in r.resources
  || !object.whole && ("*" in r.verbs && (size(r.resources) == 0 || "*" in r.resources) || "*" in r.resources && size(r.verbs) == 0))`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"helper"},"requestObject":{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"helper"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"helper"},"requestObject":[{"op":"add","path":"/rules/0/verbs/-","value":"escalate"}]}`,
			`{"verb":"update","user":{"username":"jane"},"objectRef":{"resource":"roles","apiGroup":"rbac.authorization.k8s.io","namespace":"shop","name":"helper"},"requestObject":{"kind":"Role","rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]},{"verbs":["impersonate"],"apiGroups":[""],"resources":["users"]}]}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"helper"},"requestObject":[{"op":"replace","path":"/rules/0/verbs/0","value":"*"}]}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"helper"},"requestObject":[{"op":"copy","from":"/rules/0/resources/0","path":"/rules/0/verbs/0"}]}`,
		},
		Good: []string{
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"reader"},"requestObject":[{"op":"move","from":"/rules/0/verbs/1","path":"/metadata/annotations/x"}]}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"reader"},"requestObject":{"kind":"ClusterRole","rules":[{"verbs":["get","list","watch"],"apiGroups":["*"],"resources":["*"]},{"verbs":["*"],"apiGroups":["apps"],"resources":["*"]}]}}`,
			`{"verb":"create","user":{"username":"system:apiserver","groups":["system:masters"]},"objectRef":{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"cluster-admin"},"requestObject":{"kind":"ClusterRole","rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}}`,
			`{"verb":"delete","user":{"username":"jane"},"objectRef":{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"helper"}}`,
		},
	},
	{
		Name: "cluster-admin-binding", Title: "Somebody was bound to cluster-admin",
		Doc:       "A binding to the role cluster-admin, in the whole cluster or in one namespace, or a change of who is in the binding of that name.",
		Unseen:    "A patch that adds a subject to a binding of another name without saying its role.",
		Technique: "T1098.006", Matrix: "Cluster-admin binding", Severity: bailey.SeverityHigh,
		On: []Requests{{groupRBAC, bindings, changes}}, Level: LevelRequest,
		Expr: `!component && (object.role == "ClusterRole/cluster-admin" || resource == "clusterrolebindings" && name == "cluster-admin")`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"clusterrolebindings","apiGroup":"rbac.authorization.k8s.io","name":"x"},"requestObject":{"kind":"ClusterRoleBinding","roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"joe"}]}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"clusterrolebindings","apiGroup":"rbac.authorization.k8s.io","name":"cluster-admin"},"requestObject":{"subjects":[{"kind":"User","name":"joe"}]}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io","namespace":"shop","name":"x"},"requestObject":{"kind":"RoleBinding","roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"User","name":"joe"}]}}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io","namespace":"shop","name":"x"},"requestObject":{"kind":"RoleBinding","roleRef":{"kind":"Role","name":"cluster-admin"}}}`,
		},
	},
	{
		Name: "anonymous-binding", Title: "A right was given to everybody without a credential",
		Doc: `A binding that names system:anonymous or system:unauthenticated opens a door to whoever reaches the API server.

Quiet: the binding by which kubeadm publishes the cluster's CA.`,
		Unseen:    "A binding to system:authenticated, which on some providers is everybody with an account there.",
		Technique: "T1098.006", Matrix: "Exposed sensitive interfaces", Severity: bailey.SeverityHigh,
		On: []Requests{{groupRBAC, bindings, changes}}, Level: LevelRequest,
		Expr: `!component && object.subjects.exists(s, s in ["User/system:anonymous", "Group/system:unauthenticated"] || s.endsWith("/?"))
  && !(ns == "kube-public" && object.role == "Role/kubeadm:bootstrap-signer-clusterinfo")`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"clusterrolebindings","apiGroup":"rbac.authorization.k8s.io","name":"x"},"requestObject":{"kind":"ClusterRoleBinding","roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"User","name":"joe"},{"kind":"Group","name":"system:unauthenticated"}]}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io","namespace":"shop","name":"x"},"requestObject":[{"op":"add","path":"/subjects/-","value":{"kind":"User","name":"system:anonymous"}}]}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"kubernetes-admin"},"objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io","namespace":"kube-public","name":"kubeadm:bootstrap-signer-clusterinfo"},"requestObject":{"kind":"RoleBinding","roleRef":{"kind":"Role","name":"kubeadm:bootstrap-signer-clusterinfo"},"subjects":[{"kind":"User","name":"system:anonymous"}]}}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io","namespace":"shop","name":"x"},"requestObject":{"kind":"RoleBinding","roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"Group","name":"system:authenticated"}]}}`,
		},
	},
	{
		Name: "controller-account", Title: "A ServiceAccount was made under the name of a controller",
		Doc: `What the control plane's controllers do raises few alerts, and they are known by their names in kube-system. Somebody made an account of such a name: in a cluster that does not run that controller it is free to take.

Quiet: the controller manager, and a cloud's, which make these accounts themselves.`,
		Unseen:    "Who uses an account that is there already, with a token that the audit log does not show being made: a Secret of type kubernetes.io/service-account-token.",
		Technique: "T1036.010", Severity: bailey.SeverityHigh,
		On: []Requests{{"", []string{"serviceaccounts"}, []string{"create"}}}, Level: LevelMetadata,
		Expr: `ns == "kube-system" && controllerName && !component && user != "system:serviceaccount:kube-system:cloud-controller-manager" && user != "system:cloud-controller-manager"`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/kube-system/serviceaccounts","objectRef":{"resource":"serviceaccounts","namespace":"kube-system","name":"route-controller"}}`,
			`{"verb":"create","user":{"username":"system:serviceaccount:kube-system:job-controller","extra":{"authentication.kubernetes.io/credential-id":["JTI=1"],"authentication.kubernetes.io/pod-name":["x"]}},"requestURI":"/api/v1/namespaces/kube-system/serviceaccounts","objectRef":{"resource":"serviceaccounts","namespace":"kube-system","name":"service-controller"}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"system:kube-controller-manager"},"requestURI":"/api/v1/namespaces/kube-system/serviceaccounts","objectRef":{"resource":"serviceaccounts","namespace":"kube-system","name":"route-controller"}}`,
			`{"verb":"create","user":{"username":"system:serviceaccount:kube-system:cloud-controller-manager"},"requestURI":"/api/v1/namespaces/kube-system/serviceaccounts","objectRef":{"resource":"serviceaccounts","namespace":"kube-system","name":"service-controller"}}`,
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/serviceaccounts","objectRef":{"resource":"serviceaccounts","namespace":"shop","name":"route-controller"}}`,
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/kube-system/serviceaccounts","objectRef":{"resource":"serviceaccounts","namespace":"kube-system","name":"coredns"}}`,
		},
	},
	{
		Name: "client-certificate", Title: "A client certificate was asked for in the name of a part of the system",
		Doc: `A certificate outlives every change of passwords and tokens, and Kubernetes cannot revoke it. Here it names a system user or group, or a node other than the one that asks.

Quiet: nodes that ask for their own, and bootstrap credentials that ask for a new node's. A certificate for an ordinary name is told when it is approved by hand.`,
		Unseen:    "A certificate that is signed with a stolen key of the CA: no request passes the API server.",
		Technique: "T1098", Severity: bailey.SeverityHigh,
		On: []Requests{{groupCertificates, []string{"certificatesigningrequests"}, []string{"create"}}}, Level: LevelRequest,
		Expr: `object.signer == "kubernetes.io/kube-apiserver-client" && (object.commonName.startsWith("system:") || object.organizations.exists(o, o.startsWith("system:") || o == "kubeadm:cluster-admins"))
  || object.signer == "kubernetes.io/kube-apiserver-client-kubelet" && object.commonName != user && !groups.exists(g, g.startsWith("system:bootstrappers")) && !user.startsWith("system:bootstrap:") && !user.endsWith(":node-bootstrapper")`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"certificatesigningrequests","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kube-apiserver-client","request":"` + csrController + `"}}}`,
			`{"verb":"create","user":{"username":"jane"},"responseStatus":{"code":403},"objectRef":{"resource":"certificatesigningrequests","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kube-apiserver-client","request":"` + csrMasters + `"}}}`,
			`{"verb":"create","user":{"username":"system:node:n2","groups":["system:nodes"]},"objectRef":{"resource":"certificatesigningrequests","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kube-apiserver-client-kubelet","request":"` + csrNode + `"}}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"certificatesigningrequests","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kube-apiserver-client","request":"` + csrJane + `"}}}`,
			`{"verb":"create","user":{"username":"system:node:n1","groups":["system:nodes"]},"objectRef":{"resource":"certificatesigningrequests","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kube-apiserver-client-kubelet","request":"` + csrNode + `"}}}`,
			`{"verb":"create","user":{"username":"system:bootstrap:abcdef","groups":["system:bootstrappers"]},"objectRef":{"resource":"certificatesigningrequests","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kube-apiserver-client-kubelet","request":"` + csrNode + `"}}}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"certificatesigningrequests","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"example.com/mesh","request":"` + csrController + `"}}}`,
		},
	},
	{
		Name: "csr-approval", Title: "A certificate signing request was approved by hand",
		Doc: `Whoever approves a request for the signer of client certificates decides who is somebody.

Quiet: the controller manager's own approver, and ServiceAccounts that approve the serving certificates of kubelets.`,
		Unseen:    "Whom the certificate names, where the approval is a patch.",
		Technique: "T1098", Severity: bailey.SeverityMedium,
		On: []Requests{{groupCertificates, []string{"certificatesigningrequests/approval"}, []string{"update", "patch"}}}, Level: LevelRequest,
		Expr: `!component && (!serviceAccount || object.known && object.signer != "kubernetes.io/kubelet-serving" || forbidden)`,
		Bad: []string{
			`{"verb":"update","user":{"username":"jane"},"objectRef":{"resource":"certificatesigningrequests","subresource":"approval","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kube-apiserver-client","request":"` + csrJane + `"}}}`,
			`{"verb":"patch","user":{"username":"system:serviceaccount:ci:runner"},"annotations":{"authorization.k8s.io/decision":"forbid"},"responseStatus":{"code":403},"objectRef":{"resource":"certificatesigningrequests","subresource":"approval","apiGroup":"certificates.k8s.io","name":"x"}}`,
		},
		Good: []string{
			`{"verb":"update","user":{"username":"system:serviceaccount:kube-system:certificate-controller"},"objectRef":{"resource":"certificatesigningrequests","subresource":"approval","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kube-apiserver-client-kubelet","request":"` + csrNode + `"}}}`,
			`{"verb":"update","user":{"username":"system:serviceaccount:kube-system:kubelet-csr-approver"},"objectRef":{"resource":"certificatesigningrequests","subresource":"approval","apiGroup":"certificates.k8s.io","name":"x"},"requestObject":{"kind":"CertificateSigningRequest","spec":{"signerName":"kubernetes.io/kubelet-serving","request":"` + csrNode + `"}}}`,
			`{"verb":"update","user":{"username":"jane"},"objectRef":{"resource":"certificatesigningrequests","subresource":"status","apiGroup":"certificates.k8s.io","name":"x"}}`,
		},
	},
}

// Certificate signing requests for the examples; their keys were thrown away.
const (
	// system:kube-controller-manager
	csrController = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHb01Gd0NBUUF3S1RFbk1DVUdBMVVFQXhNZWMzbHpkR1Z0T210MVltVXRZMjl1ZEhKdmJHeGxjaTF0WVc1aApaMlZ5TUNvd0JRWURLMlZ3QXlFQWN5aTRrU1RtN0xpK1ZEOXZ4b3lHWEtpQm13YXRENGRuMzU5ZWxlaEtvRXFnCkFEQUZCZ01yWlhBRFFRRHNQaXJNUkVoOEh3eW9QaXRhSS9kK3U0a2VQczMvSGRNSTc1dmloYmlaTjJCUWRHNGkKekhiSUw5N2dNZFFNSGI5c05jelpSdzhndFJRQTQyUXlHd2NHCi0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="
	// jane system:masters
	csrMasters = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHbk1Gc0NBUUF3S0RFWE1CVUdBMVVFQ2hNT2MzbHpkR1Z0T20xaGMzUmxjbk14RFRBTEJnTlZCQU1UQkdwaApibVV3S2pBRkJnTXJaWEFESVFDU3VZdDR2dlVDRjJyN1IxLzVGZ1pzS0dpbjRNQUpUS2VBMm9HQW81b0E4NkFBCk1BVUdBeXRsY0FOQkFDVWxyYWZ2bkNMUkdIZ0VtM20vM01KbzlTSHNwUzZUUHdaRzVpeTU1K0lDczN2LzNZR08KYW9BbU1Yb0J2L3hrNjhQbUN2aTVKbDlUTFd0YW1qWThOQUU9Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="
	// jane shop
	csrJane = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHZE1GRUNBUUF3SGpFTk1Bc0dBMVVFQ2hNRWMyaHZjREVOTUFzR0ExVUVBeE1FYW1GdVpUQXFNQVVHQXl0bApjQU1oQUlaem81QlpsbjNtZUh2ZGdtTnR3NUlWT0xRYXN3V3Q0Qi9RdVhPRzZKY0VvQUF3QlFZREsyVndBMEVBClczNFBFTjVQWm5yUTdyUVl0dkhoTWo5U2JGckIvOGRsQUFrWkcyRmhod0RNTk9FZFJsYjBML2NScGtmVG1LY3kKN0ZyYXZJZnRSRlFKR2tiYUJkVXpDdz09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="
	// system:node:n1 system:nodes
	csrNode = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHdk1HTUNBUUF3TURFVk1CTUdBMVVFQ2hNTWMzbHpkR1Z0T201dlpHVnpNUmN3RlFZRFZRUURFdzV6ZVhOMApaVzA2Ym05a1pUcHVNVEFxTUFVR0F5dGxjQU1oQU9lM2hVbTlicHM5QWtOMUxqajU3WEErQTZqNlNmMS9CNDlTCis1NjZVTk9Tb0FBd0JRWURLMlZ3QTBFQWJYWUdiTlh3RU1rTitMMXN6T2xpenVHYkpYMmV0YkswNUhUTU9YckEKcS9HTS96MDZzTHE0TENkbmpCSG41bFNWT2NURFhxV2doSEwxcHhwekRvVmxEUT09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="
)
