package detect

import "github.com/baileyhq/bailey"

// podBearing are the resources that are pods or make them.
var podBearing = []Requests{
	{"", []string{"pods", "replicationcontrollers", "podtemplates"}, changes},
	{"apps", []string{"deployments", "daemonsets", "statefulsets", "replicasets"}, changes},
	{"batch", []string{"jobs", "cronjobs"}, changes},
}

// podTemplates are podBearing and ephemeral containers, which may be privileged too.
var podTemplates = append([]Requests{{"", []string{"pods/ephemeralcontainers"}, []string{"update", "patch"}}}, podBearing...)

const templatesUnseen = "Workloads of kinds that an operator turns into pods: what it makes is told, under its own name. What a patch does not touch. An attempt that authorization refused: its body is not recorded."

var workloadDetections = []*Detection{
	{
		Name: "privileged-container", Title: "A privileged container was asked for",
		Doc: `A privileged container (or a Windows HostProcess one) is root on its node.

Quiet: the pods that built-in controllers make from a workload which was told when it was written. Agents that need it are told once: true, and known to you.`,
		Unseen:    templatesUnseen,
		Technique: "T1611", Matrix: "Privileged container", Severity: bailey.SeverityHigh,
		On: podTemplates, Level: LevelRequest,
		Expr: `!component && object.privileged && !("kubernetes.io/config.mirror" in object.annotations)`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"pods","namespace":"shop","name":"x"},"requestObject":{"kind":"Pod","spec":{"containers":[{"name":"a"},{"name":"b","securityContext":{"privileged":true}}]}}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"deployments","apiGroup":"apps","namespace":"shop","name":"x"},"requestObject":[{"op":"copy","from":"/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation","path":"/spec/template/spec/containers/0/securityContext/privileged"}]}`,
			`{"verb":"create","user":{"username":"jane"},"responseStatus":{"code":403},"objectRef":{"resource":"cronjobs","apiGroup":"batch","namespace":"shop","name":"x"},"requestObject":{"kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"spec":{"initContainers":[{"name":"a","securityContext":{"privileged":true}}]}}}}}}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"deployments","apiGroup":"apps","namespace":"shop","name":"x"},"requestObject":[{"op":"replace","path":"/spec/template/spec/containers/0/securityContext","value":{"privileged":true}}]}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"system:serviceaccount:kube-system:daemon-set-controller"},"objectRef":{"resource":"pods","namespace":"kube-system","name":"x"},"requestObject":{"kind":"Pod","spec":{"containers":[{"name":"b","securityContext":{"privileged":true}}]}}}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"pods","namespace":"shop","name":"x"},"requestObject":{"kind":"Pod","spec":{"containers":[{"name":"a","securityContext":{"privileged":false,"allowPrivilegeEscalation":false}}]}}}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"configmaps","namespace":"shop","name":"x"},"requestObject":{"kind":"ConfigMap","spec":{"containers":[{"securityContext":{"privileged":true}}]}}}`,
		},
	},
	{
		Name: "host-path", Title: "A pod was to mount a folder of its node",
		Doc: `With the node's files one reads other pods' tokens, and with write access one owns the node.

Quiet: pods that built-in controllers make from a workload that was told.`,
		Unseen:    templatesUnseen + " A PersistentVolume of type hostPath.",
		Technique: "T1611", Matrix: "Writable hostPath mount", Severity: bailey.SeverityMedium,
		On: podBearing, Level: LevelRequest,
		Expr: `!component && size(object.hostPaths) > 0 && !("kubernetes.io/config.mirror" in object.annotations)`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"pods","namespace":"shop","name":"x"},"requestObject":{"kind":"Pod","spec":{"containers":[{"name":"a"}],"volumes":[{"name":"v","hostPath":{"path":"/"}}]}}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"daemonsets","apiGroup":"apps","namespace":"shop","name":"x"},"requestObject":{"spec":{"template":{"spec":{"volumes":[{"name":"v","hostPath":{"path":"/etc"}}]}}}}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"pods","namespace":"shop","name":"x"},"requestObject":{"kind":"Pod","spec":{"containers":[{"name":"a"}],"volumes":[{"name":"v","emptyDir":{}}]}}}`,
			`{"verb":"create","user":{"username":"system:serviceaccount:kube-system:replicaset-controller"},"objectRef":{"resource":"pods","namespace":"shop","name":"x"},"requestObject":{"kind":"Pod","spec":{"volumes":[{"name":"v","hostPath":{"path":"/"}}]}}}`,
		},
	},
	{
		Name: "host-namespaces", Title: "A pod was to share its node's processes, memory or network",
		Doc: `hostPID shows and signals every process of the node, hostNetwork reaches what listens on its loopback.

Quiet: pods that built-in controllers make from a workload that was told.`,
		Unseen:    templatesUnseen,
		Technique: "T1611", Matrix: "Privileged container", Severity: bailey.SeverityMedium,
		On: podBearing, Level: LevelRequest,
		Expr: `!component && size(object.hostNamespaces) > 0 && !("kubernetes.io/config.mirror" in object.annotations)`,
		Bad: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"jobs","apiGroup":"batch","namespace":"shop","name":"x"},"requestObject":{"kind":"Job","spec":{"template":{"spec":{"hostPID":true}}}}}`,
			`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"deployments","apiGroup":"apps","namespace":"shop","name":"x"},"requestObject":[{"op":"add","path":"/spec/template/spec/hostNetwork","value":true}]}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"pods","namespace":"shop","name":"x"},"requestObject":{"kind":"Pod","spec":{"hostPID":false,"hostUsers":false,"containers":[{"name":"a"}]}}}`,
		},
	},
	{
		Name: "static-pod", Title: "A pod appeared that a file on a node started",
		Doc: `A static pod passes no admission: whoever can write into the kubelet's folder runs what they like. The kubelet shows it as a mirror pod.

Quiet: in kube-system, the pods of the control plane itself and of the load balancers commonly put before it.`,
		Unseen:    "A static pod whose mirror the API server refuses (its namespace does not exist) or that is named like a part of the control plane; a kubelet that stands alone.",
		Technique: "T1610", Matrix: "Static pods", Severity: bailey.SeverityHigh,
		On: []Requests{{"", []string{"pods"}, []string{"create"}}}, Level: LevelRequest,
		Expr: `"kubernetes.io/config.mirror" in object.annotations
  && !(ns == "kube-system" && name.matches("^(etcd|kube-apiserver|kube-controller-manager|kube-scheduler|cloud-controller-manager|kube-proxy|kube-vip|haproxy|keepalived)-"))`,
		Bad: []string{
			`{"verb":"create","user":{"username":"system:node:n1","groups":["system:nodes"]},"objectRef":{"resource":"pods","namespace":"default","name":"backdoor-n1"},"requestObject":{"kind":"Pod","metadata":{"name":"backdoor-n1","annotations":{"kubernetes.io/config.mirror":"4f"}},"spec":{"containers":[{"name":"a"}]}}}`,
			`{"verb":"create","user":{"username":"system:node:n1","groups":["system:nodes"]},"objectRef":{"resource":"pods","namespace":"kube-system","name":"updater-n1"},"requestObject":{"kind":"Pod","metadata":{"annotations":{"kubernetes.io/config.mirror":"4f"}},"spec":{"hostNetwork":true,"containers":[{"name":"a","securityContext":{"privileged":true}}]}}}`,
		},
		Good: []string{
			`{"verb":"create","user":{"username":"system:node:n1","groups":["system:nodes"]},"objectRef":{"resource":"pods","namespace":"kube-system","name":"etcd-n1"},"requestObject":{"kind":"Pod","metadata":{"annotations":{"kubernetes.io/config.mirror":"4f"}},"spec":{"hostNetwork":true,"volumes":[{"name":"v","hostPath":{"path":"/var/lib/etcd"}}]}}}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"pods","namespace":"default","name":"x"},"requestObject":{"kind":"Pod","spec":{"containers":[{"name":"a"}]}}}`,
		},
	},
	{
		Name: "exec", Title: "A command was run in a container",
		Doc:       "Exec is how an intruder with a credential becomes one inside. Some teams work that way every day: then their detection of it is by who and where.",
		Unseen:    "What is typed into a shell that it opened. Exec at the kubelet itself: see kubelet-api.",
		Technique: "T1609", Matrix: "Exec into container", Severity: bailey.SeverityMedium,
		On: []Requests{{"", []string{"pods/exec"}, []string{"create", "get"}}}, Level: LevelMetadata,
		Expr: `!(` + readsToken + `)`,
		Bad: []string{
			`{"verb":"get","stage":"ResponseStarted","responseStatus":{"code":101},"user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true&tty=true","objectRef":{"resource":"pods","subresource":"exec","namespace":"shop","name":"web"}}`,
			`{"verb":"create","user":{"username":"system:serviceaccount:ci:runner"},"responseStatus":{"code":403},"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=id","objectRef":{"resource":"pods","subresource":"exec","namespace":"shop","name":"web"}}`,
		},
		Good: []string{
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web/log?follow=true","objectRef":{"resource":"pods","subresource":"log","namespace":"shop","name":"web"}}`,
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/exec","objectRef":{"resource":"pods","namespace":"shop","name":"exec"}}`,
		},
	},
	{
		Name: "attach", Title: "Somebody attached to a running container",
		Doc:       "Attach gives the input and output of the container's first process: a shell, where that is one.",
		Unseen:    "What was typed.",
		Technique: "T1609", Matrix: "Exec into container", Severity: bailey.SeverityMedium,
		On: []Requests{{"", []string{"pods/attach"}, []string{"create", "get"}}}, Level: LevelMetadata,
		Expr: `true`,
		Bad:  []string{`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web/attach?stdin=true","objectRef":{"resource":"pods","subresource":"attach","namespace":"shop","name":"web"}}`},
		Good: []string{`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web","objectRef":{"resource":"pods","namespace":"shop","name":"web"}}`},
	},
	{
		Name: "ephemeral-container", Title: "A container was put into a running pod",
		Doc:       "kubectl debug does this. The new container shares the pod's network and volumes, and runs whatever image was named.",
		Unseen:    "What it does there.",
		Technique: "T1610", Matrix: "Sidecar injection", Severity: bailey.SeverityMedium,
		On: []Requests{{"", []string{"pods/ephemeralcontainers"}, []string{"update", "patch"}}}, Level: LevelMetadata,
		Expr: `true`,
		Bad: []string{
			`{"verb":"patch","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web/ephemeralcontainers","objectRef":{"resource":"pods","subresource":"ephemeralcontainers","namespace":"shop","name":"web"}}`,
			`{"verb":"update","user":{"username":"jane"},"responseStatus":{"code":403},"requestURI":"/api/v1/namespaces/shop/pods/web/ephemeralcontainers?dryRun=All","objectRef":{"resource":"pods","subresource":"ephemeralcontainers","namespace":"shop","name":"web"}}`,
		},
		Good: []string{
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/web/ephemeralcontainers","objectRef":{"resource":"pods","subresource":"ephemeralcontainers","namespace":"shop","name":"web"}}`,
			`{"verb":"patch","user":{"username":"system:node:n1"},"requestURI":"/api/v1/namespaces/shop/pods/web/status","objectRef":{"resource":"pods","subresource":"status","namespace":"shop","name":"web"}}`,
		},
	},
	{
		Name: "port-forward", Title: "A tunnel through the API server into the cluster was opened",
		Doc:       "Port-forward and the proxies of pods and Services reach what no network policy would let in. Developers do it daily, so that the alert is a low one. (The technique is one of the Enterprise matrix.)",
		Unseen:    "What went through it.",
		Technique: "T1572", Matrix: "Cluster internal networking", Severity: bailey.SeverityLow,
		On: []Requests{{"", []string{"pods/portforward", "pods/proxy", "services/proxy"}, nil}}, Level: LevelMetadata,
		Expr: `!component`,
		Bad: []string{
			`{"verb":"get","stage":"ResponseStarted","responseStatus":{"code":101},"user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/pods/db/portforward","objectRef":{"resource":"pods","subresource":"portforward","namespace":"shop","name":"db"}}`,
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/services/db/proxy/","objectRef":{"resource":"services","subresource":"proxy","namespace":"shop","name":"db"}}`,
		},
		Good: []string{`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/namespaces/shop/services/db","objectRef":{"resource":"services","namespace":"shop","name":"db"}}`},
	},
	{
		Name: "node-proxy", Title: "A kubelet was reached through the API server",
		Doc: `nodes/proxy is the kubelet's own API: it runs commands in every container of the node, and admission and the audit log never see them.

Quiet: reading the kubelet's metrics, statistics and health.`,
		Unseen:    "What the kubelet was asked to do inside a request that was upgraded to a stream.",
		Technique: "T1609", Matrix: "Access Kubelet API", Severity: bailey.SeverityHigh,
		On: []Requests{{"", []string{"nodes/proxy"}, nil}}, Level: LevelMetadata,
		Expr: `!(verb == "get" && path.matches("^/api/v1/nodes/[^/]+/proxy/(metrics|metrics/cadvisor|metrics/probes|metrics/resource|stats/summary|healthz)$"))`,
		Bad: []string{
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/nodes/n1/proxy/pods","objectRef":{"resource":"nodes","subresource":"proxy","name":"n1"}}`,
			`{"verb":"create","user":{"username":"jane"},"requestURI":"/api/v1/nodes/n1/proxy/run/shop/web/app?cmd=id","objectRef":{"resource":"nodes","subresource":"proxy","name":"n1"}}`,
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/nodes/n1/proxy/metrics/../exec/shop/web/app","objectRef":{"resource":"nodes","subresource":"proxy","name":"n1"}}`,
		},
		Good: []string{
			`{"verb":"get","user":{"username":"system:serviceaccount:monitoring:prometheus"},"requestURI":"/api/v1/nodes/n1/proxy/metrics/cadvisor","objectRef":{"resource":"nodes","subresource":"proxy","name":"n1"}}`,
			`{"verb":"get","user":{"username":"jane"},"requestURI":"/api/v1/nodes/n1","objectRef":{"resource":"nodes","name":"n1"}}`,
		},
	},
	{
		Name: "kubelet-api", Title: "A kubelet was asked directly to do something on its node",
		Doc: `A kubelet asks the API server whether a stranger may use nodes/proxy, with the verb create for a request that does something (run, exec).

Quiet: the API server's own requests.`,
		Unseen:    "Requests whose answer the kubelet had in its cache, administrators whom it knows without asking, and exec over a WebSocket, for which it asks the verb get, as for harmless reads.",
		Technique: "T1609", Matrix: "Access Kubelet API", Severity: bailey.SeverityMedium,
		On: []Requests{{"authorization.k8s.io", []string{"subjectaccessreviews"}, []string{"create"}}}, Level: LevelRequest,
		Expr: `node && object.reviewResource == "nodes/proxy" && object.reviewVerb == "create" && !object.reviewUser.contains("kube-apiserver")`,
		Bad:  []string{`{"verb":"create","user":{"username":"system:node:n1"},"objectRef":{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io"},"requestObject":{"kind":"SubjectAccessReview","spec":{"user":"system:serviceaccount:ci:runner","resourceAttributes":{"verb":"create","resource":"nodes","subresource":"proxy","name":"n1"}}}}`},
		Good: []string{
			`{"verb":"create","user":{"username":"system:node:n1"},"objectRef":{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io"},"requestObject":{"kind":"SubjectAccessReview","spec":{"user":"kube-apiserver-kubelet-client","resourceAttributes":{"verb":"create","resource":"nodes","subresource":"proxy","name":"n1"}}}}`,
			`{"verb":"create","user":{"username":"system:node:n1"},"objectRef":{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io"},"requestObject":{"kind":"SubjectAccessReview","spec":{"user":"system:serviceaccount:monitoring:prometheus","resourceAttributes":{"verb":"get","resource":"nodes","subresource":"metrics","name":"n1"}}}}`,
			`{"verb":"create","user":{"username":"jane"},"objectRef":{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io"},"requestObject":{"kind":"SubjectAccessReview","spec":{"user":"joe","resourceAttributes":{"verb":"create","resource":"nodes","subresource":"proxy"}}}}`,
		},
	},
}
