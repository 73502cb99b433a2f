package detect

import (
	"time"

	"github.com/baileyhq/bailey"
)

// published is what an API server tells everybody by default: its health and
// version, the keys of its tokens, and kubeadm's note for new nodes.
const published = `path.matches("^/(healthz|livez|readyz)(/.*)?$") || path in ["/", "/version", "/version/", "/.well-known/openid-configuration", "/openid/v1/jwks", "/api/v1/namespaces/kube-public/configmaps/cluster-info"]`

// harmless is what kubectl auth can-i asks as somebody else: the question
// itself, and before it which resources there are.
const harmless = `resource in ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"]
  || resource == "" && verb == "get" && path.matches("^/(api|apis|openapi|version)(/.*)?$")`

const powerful = `impersonatedGroups.exists(g, g in ["system:masters", "kubeadm:cluster-admins"])
  || impersonated.startsWith("system:") && impersonated != "system:anonymous" && (!impersonated.startsWith("system:serviceaccount:") || impersonated.startsWith("system:serviceaccount:kube-system:"))`

var originDetections = []*Detection{
	{
		Name: "anonymous-access", Title: "Somebody without a credential was let in",
		Doc: `The API server let a request of system:anonymous pass.

Quiet: what it tells everybody: health, version, the keys of its tokens, and kubeadm's cluster-info.`,
		Unseen:    "Requests without a credential at kubelets, etcd and other ports.",
		Technique: "T1133", Matrix: "Exposed sensitive interfaces", Severity: bailey.SeverityHigh,
		Level: LevelMetadata,
		Expr:  `user == "system:anonymous" && authorized && !(` + published + `)`,
		Bad: []string{
			`{"verb":"list","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"requestURI":"/api/v1/namespaces/shop/pods","responseStatus":{"code":200},"objectRef":{"resource":"pods","namespace":"shop"}}`,
			`{"verb":"get","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"requestURI":"/metrics","annotations":{"authorization.k8s.io/decision":"allow"},"responseStatus":{"code":200}}`,
			`{"verb":"get","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"requestURI":"/api/v1/namespaces/a/pods/b","annotations":{"authorization.k8s.io/decision":"allow"},"responseStatus":{"code":404},"objectRef":{"resource":"pods","namespace":"a","name":"b"}}`,
		},
		Good: []string{
			`{"verb":"get","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"requestURI":"/readyz?verbose","responseStatus":{"code":200}}`,
			`{"verb":"get","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"requestURI":"/api/v1/namespaces/kube-public/configmaps/cluster-info?timeout=10s","responseStatus":{"code":200},"objectRef":{"resource":"configmaps","namespace":"kube-public","name":"cluster-info"}}`,
			`{"verb":"list","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"requestURI":"/api/v1/pods","annotations":{"authorization.k8s.io/decision":"forbid"},"responseStatus":{"code":403},"objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/pods","responseStatus":{"code":200},"objectRef":{"resource":"pods"}}`,
		},
	},
	{
		Name: "anonymous-refused", Title: "Somebody without a credential was turned away",
		Doc:       "Where the API server can be reached from the internet this is told all day long, and is a reason to close it off; elsewhere it is somebody inside who looks around.",
		Unseen:    "Requests without a credential at kubelets, etcd and other ports. Where anonymous authentication is off, those for paths that are no resource: the audit log then says the same of a credential that is not known.",
		Technique: "T1133", Matrix: "Exposed sensitive interfaces", Severity: bailey.SeverityLow,
		Level: LevelMetadata,
		Expr:  `(user == "system:anonymous" && !authorized && code in [401, 403] || user == "" && code == 401 && message == "Authentication failed, no credentials provided") && !(` + published + `)`,
		Bad: []string{
			`{"verb":"list","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"requestURI":"/api/v1/pods","annotations":{"authorization.k8s.io/decision":"forbid"},"responseStatus":{"code":403},"objectRef":{"resource":"pods"}}`,
			`{"verb":"list","stage":"ResponseStarted","user":{},"requestURI":"/api/v1/pods","responseStatus":{"code":401,"message":"Authentication failed, no credentials provided"},"objectRef":{"resource":"pods"}}`,
		},
		Good: []string{
			`{"verb":"list","stage":"ResponseStarted","user":{},"requestURI":"/api/v1/pods","responseStatus":{"code":401,"message":"Authentication failed, attempted: bearer"},"objectRef":{"resource":"pods"}}`,
			`{"verb":"get","user":{},"stage":"ResponseStarted","requestURI":"/readyz","responseStatus":{"code":401,"message":"Authentication failed, no credentials provided"}}`,
			`{"verb":"list","user":{"username":"jane"},"requestURI":"/api/v1/pods","responseStatus":{"code":403},"objectRef":{"resource":"pods"}}`,
		},
	},
	{
		Name: "impersonation-privileged", Title: "Somebody acted as a part of the system or as an administrator",
		Doc: `Impersonation of system:masters, of a control plane component, a node or a ServiceAccount of kube-system.

Quiet: asking what one may do (kubectl auth can-i --as).`,
		Unseen:    "A powerful user with an ordinary name: that is impersonation.",
		Technique: "T1078", Severity: bailey.SeverityHigh,
		Level: LevelMetadata,
		Expr:  `impersonated != "" && !(` + harmless + `) && (` + powerful + `)`,
		Bad: []string{
			`{"verb":"list","user":{"username":"jane"},"impersonatedUser":{"username":"joe","groups":["system:masters","system:authenticated"]},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"jane"},"impersonatedUser":{"username":"system:serviceaccount:kube-system:namespace-controller"},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"get","user":{"username":"jane"},"impersonatedUser":{"username":"system:node:n1","groups":["system:nodes"]},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"jane"},"impersonatedUser":{"username":"system:node:n1"},"requestURI":"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews","objectRef":{"resource":"selfsubjectaccessreviews","apiGroup":"authorization.k8s.io"}}`,
			`{"verb":"get","user":{"username":"jane"},"impersonatedUser":{"username":"system:node:n1"},"requestURI":"/apis/apps/v1?timeout=32s"}`,
			`{"verb":"list","user":{"username":"jane"},"impersonatedUser":{"username":"system:serviceaccount:shop:web"},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"jane"},"impersonatedUser":{"username":"system:anonymous"},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"system:kube-scheduler"},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
		},
	},
	{
		Name: "impersonation", Title: "Somebody acted, or tried to act, as somebody else",
		Doc: `Gateways (Teleport, Rancher, Pinniped) and GitOps controllers do this with each request, so that the alert is a low one. An attempt that was refused is told here, whoever it was for.

Quiet: asking what one may do.`,
		Unseen:    "For a refused attempt, whom it was for, other than in the API server's message.",
		Technique: "T1078", Severity: bailey.SeverityLow,
		Level: LevelMetadata,
		Expr: `(impersonated != "" && !(` + powerful + `) || impersonated == "" && code == 403 && message.contains("cannot impersonate"))
  && !(` + harmless + `)`,
		Bad: []string{
			`{"verb":"list","user":{"username":"jane"},"impersonatedUser":{"username":"joe"},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"jane"},"responseStatus":{"code":403,"message":"users \"admin\" is forbidden: User \"jane\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"jane"},"impersonatedUser":{"username":"joe"},"requestURI":"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews","objectRef":{"resource":"selfsubjectaccessreviews","apiGroup":"authorization.k8s.io"}}`,
			`{"verb":"list","user":{"username":"jane"},"responseStatus":{"code":403,"message":"pods is forbidden: User \"jane\" cannot list resource \"pods\""},"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
		},
	},
	{
		Name: "system-credential", Title: "The credential of a node or controller was used by another program",
		Doc:       "The identity is that of a node, or of a part of the control plane, and the client says that it is kubectl, curl or a script: somebody took the key from where it lies.",
		Unseen:    "A client that calls itself a kubelet.",
		Technique: "T1078", Severity: bailey.SeverityHigh,
		Level: LevelMetadata,
		Expr:  `(node || component) && tool`,
		Bad: []string{
			`{"verb":"list","user":{"username":"system:node:n1","groups":["system:nodes"]},"userAgent":"kubectl/v1.37.2 (linux/amd64) kubernetes/8f1","requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"system:serviceaccount:kube-system:clusterrole-aggregation-controller"},"userAgent":"curl/8.5.0","requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
		},
		Good: []string{
			`{"verb":"list","user":{"username":"system:node:n1","groups":["system:nodes"]},"userAgent":"kubelet/v1.37.2 (linux/amd64) kubernetes/8f1","requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"system:node:n1","groups":["system:nodes"]},"userAgent":"kubeadm/v1.37.2 (linux/amd64) kubernetes/8f1","requestURI":"/api/v1/nodes/n1","objectRef":{"resource":"nodes","name":"n1"}}`,
			`{"verb":"list","user":{"username":"jane"},"userAgent":"kubectl/v1.37.2","requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
		},
	},
	{
		Name: "credential-replay", Title: "The credential of a pod or node was used from two places",
		Doc: `A token that is bound to a pod, or a node's certificate, came from two addresses of one IP family within ten minutes. A pod and a node have one.

Quiet: loopback, behind which a control plane node may reach its own API server, and addresses from which three nodes or more come within ten minutes: load balancers that hide their clients.`,
		Unseen:    "A thief on the same node, or behind the same proxy or NAT, or such a load balancer; a place from which alone the credential is used. Tokens that are bound to no pod.",
		Technique: "T1550.001", Matrix: "Container service account", Severity: bailey.SeverityMedium,
		Level: LevelMetadata,
		Expr:  `(podCredential != "" || node) && !(address in ["", "127.0.0.1", "::1"]) && !shared`,
		Burst: &Burst{2, 10 * time.Minute, `(node ? user : podCredential) + (address.contains(":") ? "/6" : "/4")`, `address`},
		Bad: []string{
			`{"verb":"list","user":{"username":"system:node:n1"},"userAgent":"kubelet/v1.37.2","sourceIPs":["10.0.0.{n}"],"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"system:serviceaccount:shop:web","extra":{"authentication.kubernetes.io/credential-id":["JTI=1"],"authentication.kubernetes.io/pod-name":["web-1"]}},"userAgent":"web/1.0","sourceIPs":["10.0.0.9","10.0.0.{n}"],"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
		},
		Good: []string{
			`{"verb":"list","user":{"username":"system:node:n1"},"userAgent":"kubelet/v1.37.2","sourceIPs":["10.0.0.{n}","10.0.0.7"],"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"system:serviceaccount:shop:web","extra":{"authentication.kubernetes.io/credential-id":["JTI={n}"],"authentication.kubernetes.io/pod-name":["web-1"]}},"userAgent":"web/1.0","sourceIPs":["10.0.0.{n}"],"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
			`{"verb":"list","user":{"username":"jane"},"sourceIPs":["10.0.0.{n}"],"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`,
		},
	},
}
