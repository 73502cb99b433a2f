package detect

import "github.com/baileyhq/bailey"

// admissionResources decide what every later request may do.
var admissionResources = []string{
	"validatingwebhookconfigurations", "mutatingwebhookconfigurations",
	"validatingadmissionpolicies", "validatingadmissionpolicybindings",
	"mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
}

const groupAdmission = "admissionregistration.k8s.io"

var admissionDetections = []*Detection{
	{
		Name: "admission-change", Title: "An admission webhook or policy was created or changed",
		Doc: `A webhook sees the whole of every request that it is called for, Secrets too, and a mutating one rewrites them. A policy may be emptied with its name kept.

Quiet: ServiceAccounts that keep webhooks pointing to Services of their own namespace (Kyverno, Gatekeeper, Istio), and cert-manager's injector of CA bundles.`,
		Unseen:    "A webhook's server that was taken over behind an unchanged configuration. Extensions other than admission: aggregated APIs, authentication and authorization webhooks, which are files and flags of the API server.",
		Technique: "T1562.001", Matrix: "Malicious admission controller", Severity: bailey.SeverityMedium,
		On: []Requests{{groupAdmission, admissionResources, changes}}, Level: LevelRequest,
		Expr: `!component
  && !(serviceAccount && !object.known && !forbidden)
  && !(serviceAccount && size(object.namespaces) > 0 && size(object.urls) == 0 && object.namespaces.all(n, n == accountNamespace))
  && !(user == "system:serviceaccount:cert-manager:cert-manager-cainjector" && verb != "create")`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"mutatingwebhookconfigurations","apiGroup":"admissionregistration.k8s.io","name":"x"},"requestObject":{"kind":"MutatingWebhookConfiguration","webhooks":[{"name":"a.example.com","clientConfig":{"url":"https://evil.example.com/"}}]}}`,
			`{"verb":"patch","user":{"username":"system:serviceaccount:ci:runner"},"objectRef":{"resource":"validatingwebhookconfigurations","apiGroup":"admissionregistration.k8s.io","name":"x"},"requestObject":[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]}`,
			`{"verb":"update","user":{"username":"jane"},"objectRef":{"resource":"validatingadmissionpolicybindings","apiGroup":"admissionregistration.k8s.io","name":"x"},"requestObject":{"kind":"ValidatingAdmissionPolicyBinding","spec":{"policyName":"p","validationActions":["Audit"]}}}`,
			`{"verb":"update","user":{"username":"system:serviceaccount:kyverno:admission"},"objectRef":{"resource":"mutatingwebhookconfigurations","apiGroup":"admissionregistration.k8s.io","name":"x"},"requestObject":{"kind":"MutatingWebhookConfiguration","webhooks":[{"name":"a","clientConfig":{"service":{"namespace":"kyverno","name":"svc"}}},{"name":"b","clientConfig":{"url":"https://evil.example.com/"}}]}}`,
		},
		Good: []string{
			`{"verb":"update","user":{"username":"system:serviceaccount:kyverno:admission"},"objectRef":{"resource":"mutatingwebhookconfigurations","apiGroup":"admissionregistration.k8s.io","name":"x"},"requestObject":{"kind":"MutatingWebhookConfiguration","webhooks":[{"name":"a","clientConfig":{"service":{"namespace":"kyverno","name":"svc"}}}]}}`,
			`{"verb":"update","user":{"username":"system:serviceaccount:kube-system:validatingadmissionpolicy-status-controller"},"objectRef":{"resource":"validatingadmissionpolicies","subresource":"status","apiGroup":"admissionregistration.k8s.io","name":"x"}}`,
			`{"verb":"list","user":{"username":"jane"},"objectRef":{"resource":"validatingadmissionpolicies","apiGroup":"admissionregistration.k8s.io"}}`,
		},
	},
	{
		Name: "admission-removed", Title: "An admission webhook or policy was deleted",
		Doc: `What refused bad workloads refuses them no more.

Quiet: a ServiceAccount that deletes what is named after its own namespace, as policy engines do when they shut down.`,
		Unseen:    "A guard whose server was scaled to nothing while its configuration fails open.",
		Technique: "T1562.001", Severity: bailey.SeverityMedium,
		On: []Requests{{groupAdmission, admissionResources, []string{"delete", "deletecollection"}}}, Level: LevelMetadata,
		Expr: `!component && !(serviceAccount && name.startsWith(accountNamespace))`,
		Bad: []string{
			`{"verb":"delete","user":{"username":"jane"},"objectRef":{"resource":"validatingadmissionpolicybindings","apiGroup":"admissionregistration.k8s.io","name":"x"}}`,
			`{"verb":"deletecollection","user":{"username":"system:serviceaccount:ci:runner"},"objectRef":{"resource":"validatingwebhookconfigurations","apiGroup":"admissionregistration.k8s.io"}}`,
		},
		Good: []string{
			`{"verb":"delete","user":{"username":"system:serviceaccount:kyverno:kyverno-admission-controller"},"objectRef":{"resource":"validatingwebhookconfigurations","apiGroup":"admissionregistration.k8s.io","name":"kyverno-policy-validating-webhook-cfg"}}`,
			`{"verb":"delete","user":{"username":"jane"},"objectRef":{"resource":"configmaps","namespace":"shop","name":"x"}}`,
		},
	},
	{
		Name: "pod-security-lowered", Title: "A namespace was to enforce a lower Pod Security level",
		Doc: `The label of the namespace decides what its pods may be. Told when a patch sets it to privileged or removes it, and when a namespace that was seen at a level gets a lower one.

Quiet: namespaces that are created privileged, and the same label applied again.`,
		Unseen:    "A lower level in a whole object (kubectl replace, server-side apply) for a namespace whose level was not seen before; a label that a server-side apply leaves out; older versions of a level; exemptions in the API server's files.",
		Technique: "T1562.001", Severity: bailey.SeverityHigh,
		On: []Requests{{"", []string{"namespaces"}, []string{"update", "patch"}}}, Level: LevelRequest,
		Expr: `!component && (
  !object.whole && enforced != "privileged" && (object.labels[?"` + LabelEnforce + `"].orValue("") in ["privileged", "?"] || "` + LabelEnforce + `" in object.removedLabels)
  || verb == "update" && object.whole && enforced in ["baseline", "restricted"] && !("` + LabelEnforce + `" in object.labels)
  || enforced == "baseline" && object.labels[?"` + LabelEnforce + `"].orValue("") == "privileged"
  || enforced == "restricted" && object.labels[?"` + LabelEnforce + `"].orValue("") in ["privileged", "baseline"])`,
		Bad: []string{
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"namespaces","namespace":"shop","name":"shop"},"requestObject":{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"namespaces","namespace":"shop","name":"shop"},"requestObject":{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":null}}}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"namespaces","namespace":"shop","name":"shop"},"requestObject":[{"op":"remove","path":"/metadata/labels/pod-security.kubernetes.io~1enforce"}]}`,
		},
		Good: []string{
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"namespaces","namespace":"shop","name":"shop"},"requestObject":{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted","team":null}}}}`,
			`{"verb":"patch","user":{"username":"system:serviceaccount:flux-system:kustomize-controller"},"objectRef":{"resource":"namespaces","namespace":"monitoring","name":"monitoring"},"requestObject":{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"monitoring","labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"namespaces","namespace":"storage","name":"storage"},"requestObject":{"kind":"Namespace","metadata":{"name":"storage","labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}}`,
		},
	},
	{
		Name: "events-deleted", Title: "Events of the cluster were deleted",
		Doc: `Events tell what happened to pods; they go by themselves after an hour. Whoever deletes them earlier may have something to hide.

Quiet: the control plane, which deletes those of a namespace with it.`,
		Unseen:    "Logs that are deleted on a node, in the log store, or by whoever runs the API server.",
		Technique: "T1070", Matrix: "Delete Kubernetes events", Severity: bailey.SeverityMedium,
		On: []Requests{
			{"", []string{"events"}, []string{"delete", "deletecollection"}},
			{"events.k8s.io", []string{"events"}, []string{"delete", "deletecollection"}},
		}, Level: LevelMetadata,
		Expr: `!component`,
		Bad: []string{
			`{"verb":"deletecollection","user":{"username":"jane"},"objectRef":{"resource":"events","namespace":"shop"}}`,
			`{"verb":"delete","user":{"username":"jane"},"objectRef":{"resource":"events","apiGroup":"events.k8s.io","namespace":"shop","name":"x"}}`,
		},
		Good: []string{
			`{"verb":"deletecollection","user":{"username":"system:serviceaccount:kube-system:namespace-controller"},"objectRef":{"resource":"events","namespace":"shop"}}`,
			`{"verb":"create","user":{"username":"system:node:n1"},"objectRef":{"resource":"events","namespace":"shop","name":"x"}}`,
		},
	},
}
