package posture

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/manifests"
)

// read gives the snapshot of documents.
func read(t *testing.T, documents ...string) *bailey.Snapshot {
	t.Helper()
	return readWhole(t, nil, documents...)
}

func readWhole(t *testing.T, whole func(apiVersion, kind string, object any), documents ...string) *bailey.Snapshot {
	t.Helper()
	s, err := manifests.Collect(t.Context(), []string{"-"}, manifests.Options{Whole: whole, Stdin: strings.NewReader(strings.Join(documents, "\n---\n"))})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range s.Meta.Targets {
		for _, skip := range target.Skipped {
			t.Fatalf("%+v", skip)
		}
	}
	return s
}

const podForm = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n}\nspec: {%s}"

// pod is a hardened pod with one thing added to the pod and the container.
func pod(more, container string) string {
	return fmt.Sprintf(podForm, strings.TrimPrefix(more+", ", ", ")+"containers: [{name: c, image: 'r.example/i:1', securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, "+
		"readOnlyRootFilesystem: true, seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}}"+container+"}]")
}

func service(spec string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: {" + spec + "}"
}

func policy(spec string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np, namespace: n}\nspec: {" + spec + "}"
}

func role(rules string) string {
	return "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules: [" + rules + "]"
}

func vapBinding(actions string) string {
	return "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: b}\nspec: {policyName: p, validationActions: [" + actions + "]}"
}

// boundFor is a binding that denies, with what it matches.
func boundFor(match string) string {
	return strings.Replace(vapBinding("Deny"), "policyName: p", "policyName: p, matchResources: {"+match+"}", 1)
}

// balancer is a Service of type LoadBalancer with annotations.
func balancer(notes, spec string) string {
	return strings.Replace(service("type: LoadBalancer, ports: [{port: 80}]"+spec), "namespace: n", "namespace: n, annotations: {"+notes+"}", 1)
}

func deployment(name, labels string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + ", namespace: n}\nspec: {selector: {matchLabels: {" + labels + "}}, template: {metadata: {labels: {" + labels +
		"}}, spec: {containers: [{name: c, image: 'r.example/i:1'}]}}}"
}

func ingress(notes string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: n, annotations: {" + notes + "}}\n" +
		"spec: {tls: [{hosts: [a.example]}], rules: [{host: a.example, http: {paths: [{path: /x, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}"
}

// webhooks is a configuration with one webhook, w, and what more it says.
func webhooks(kind, more string) string {
	return "apiVersion: admissionregistration.k8s.io/v1\nkind: " + kind + "\nmetadata: {name: g}\nwebhooks: [" + webhook("w", more) + "]"
}

func webhook(name, more string) string {
	text := "{name: " + name + ", sideEffects: None, admissionReviewVersions: [v1], clientConfig: {service: {name: s, namespace: n}}"
	if !strings.Contains(more, "rules:") {
		text += ", rules: [" + podRules + "]"
	}
	return text + more + "}"
}

const podRules = "{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}"

func vap(spec string) string {
	return "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: p}\nspec: {validations: [{expression: 'false'}], " + spec + "}"
}

const (
	boundHere = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b, namespace: n}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}\n" +
		"subjects: [{kind: ServiceAccount, name: a, namespace: n}]"
	boundEverywhere = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}\n" +
		"subjects: [{kind: ServiceAccount, name: a, namespace: n}]"
)

// TestCompare: each thing that comes is told once, with its worth; the way back takes the
// same away; and what is the same is not told.
func TestCompare(t *testing.T) {
	plain, none := pod("", ""), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: n}"
	clear := func(from, to string) string { return strings.Replace(plain, from, to, 1) }
	for name, c := range map[string]struct {
		base, head []string
		want       []string // "severity class text", what weakens only
	}{
		"the same":         {[]string{plain}, []string{plain}, nil},
		"hostPID":          {[]string{plain}, []string{pod("hostPID: true", "")}, []string{"critical privilege shares the node's namespace: hostPID"}},
		"hostNetwork":      {[]string{plain}, []string{pod("hostNetwork: true", "")}, []string{"high privilege shares the node's namespace: hostNetwork"}},
		"another account":  {[]string{plain}, []string{pod("serviceAccountName: x", "")}, []string{"low privilege runs as ServiceAccount x"}},
		"a node's folder":  {[]string{plain}, []string{pod("volumes: [{name: v, hostPath: {path: /var/lib/kubelet/pods}}]", ", volumeMounts: [{name: v, mountPath: /v}]")}, []string{"critical privilege mounts the node's /var/lib/kubelet/pods, writable"}},
		"another, to read": {[]string{plain}, []string{pod("volumes: [{name: v, hostPath: {path: /data}}]", ", volumeMounts: [{name: v, mountPath: /v, readOnly: true}]")}, []string{"medium privilege mounts the node's /data, read-only"}},
		"a capability":     {[]string{plain}, []string{clear("drop: [ALL]", "drop: [ALL], add: [CAP_SYS_ADMIN, NET_BIND_SERVICE]")}, []string{"critical privilege container c: capability SYS_ADMIN", "low privilege container c: capability NET_BIND_SERVICE"}},
		"privileged":       {[]string{plain}, []string{clear("readOnly", "privileged: true, readOnly")}, []string{"critical privilege container c: privileged"}},
		"root":             {[]string{plain}, []string{clear("runAsNonRoot: true", "runAsUser: 0")}, []string{"medium privilege container c: runs as root"}},
		"no profile":       {[]string{plain}, []string{clear("RuntimeDefault", "Unconfined")}, []string{"medium privilege container c: runs without a seccomp profile"}},
		"a host port":      {[]string{plain}, []string{pod("", ", ports: [{containerPort: 80, hostPort: 80}]")}, []string{"medium exposure container c: port 80 of every node that runs it"}},
		"another version":  {[]string{plain}, []string{clear("i:1", "i:2")}, []string{"info image container c: runs r.example/i:2, and ran r.example/i:1"}},
		"another image":    {[]string{plain}, []string{clear("r.example/i", "other.example/i")}, []string{"medium image container c: runs other.example/i:1, and ran r.example/i:1: another repository"}},
		"no RuntimeClass":  {[]string{pod("runtimeClassName: gvisor", "")}, []string{plain}, []string{"medium protection no longer runs in RuntimeClass gvisor"}},

		"a load balancer":  {[]string{service("ports: [{port: 80}]")}, []string{service("type: LoadBalancer, ports: [{port: 80}]")}, []string{"high exposure port 80/TCP is reached through a load balancer, from anybody"}},
		"one more port":    {[]string{service("type: NodePort, ports: [{port: 80}]")}, []string{service("type: NodePort, ports: [{name: a, port: 80}, {name: b, port: 81}]")}, []string{"medium exposure port 81/TCP is reached through every node, from anybody"}},
		"a port inside":    {[]string{service("ports: [{port: 80}]")}, []string{service("ports: [{port: 81}]")}, nil},
		"no source ranges": {[]string{service("type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]")}, []string{service("type: LoadBalancer, ports: [{port: 80}]")}, []string{"high exposure port 80/TCP is reached through a load balancer, from anybody"}},
		"an external IP":   {[]string{service("ports: [{port: 80}]")}, []string{service("externalIPs: [192.0.2.1], ports: [{port: 80}]")}, []string{"high exposure takes traffic to 192.0.2.1 (externalIPs)"}},
		"an Ingress":       {[]string{none}, []string{"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: n}\nspec: {tls: [{hosts: [a.example]}], rules: [{host: a.example, http: {paths: [{path: /x, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}"}, []string{"medium exposure routes a.example/x from outside to Service s"}},
		"a route":          {[]string{none}, []string{"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: i, namespace: n}\nspec: {hostnames: [a.example], rules: [{matches: [{path: {value: /x}}], backendRefs: [{name: s, port: 80}]}]}"}, []string{"medium exposure routes a.example/x from outside to s"}},
		"a listener":       {[]string{none}, []string{"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: n}\nspec: {gatewayClassName: c, listeners: [{name: l, port: 80, protocol: HTTP}]}"}, []string{"medium exposure listens on HTTP port 80"}},
		"a policy that goes with its pods": {[]string{policy("podSelector: {}, policyTypes: [Ingress]"), plain}, []string{none},
			[]string{"low protection no longer isolates the ingress of all pods; its namespace has no workload any more"}},
		"a policy that goes": {[]string{policy("podSelector: {}, policyTypes: [Ingress]")}, []string{none}, []string{"high protection no longer isolates the ingress of all pods"}},
		"a rule in a policy": {[]string{policy("podSelector: {}, policyTypes: [Ingress]")}, []string{policy("podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80, protocol: TCP}]}]")}, []string{"medium exposure lets through ingress from anywhere, ports 80/TCP"}},
		"a new policy":       {[]string{none}, []string{policy("podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]")}, nil},
		"a lower level": {[]string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: n, labels: {pod-security.kubernetes.io/enforce: restricted}}"},
			[]string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: n, labels: {pod-security.kubernetes.io/enforce: baseline}}"}, []string{"high protection enforces Pod Security baseline, and enforced restricted"}},
		"a higher level": {[]string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: n, labels: {pod-security.kubernetes.io/enforce: baseline}}"},
			[]string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: n, labels: {pod-security.kubernetes.io/enforce: restricted}}"}, nil},

		"a grant":                     {[]string{role(""), boundHere}, []string{role("{apiGroups: [''], resources: [secrets], verbs: [get, list]}"), boundHere}, []string{"high grant may get, list secrets in namespace n"}},
		"everywhere":                  {[]string{role(""), boundEverywhere}, []string{role("{apiGroups: [''], resources: [secrets], verbs: [get]}"), boundEverywhere}, []string{"critical grant may get secrets everywhere"}},
		"one that is held":            {[]string{role("{apiGroups: ['*'], resources: ['*'], verbs: ['*']}"), boundEverywhere}, []string{role("{apiGroups: ['*'], resources: ['*'], verbs: ['*']}, {apiGroups: [''], resources: [secrets], verbs: [get]}"), boundEverywhere}, nil},
		"one verb more":               {[]string{role("{apiGroups: [apps], resources: [deployments], verbs: [get]}"), boundHere}, []string{role("{apiGroups: [apps], resources: [deployments], verbs: [get, patch]}"), boundHere}, []string{"high grant may patch deployments.apps in namespace n"}},
		"escalate":                    {[]string{role(""), boundHere}, []string{role("{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate]}"), boundHere}, []string{"critical grant may escalate roles.rbac.authorization.k8s.io in namespace n"}},
		"harmless":                    {[]string{role(""), boundHere}, []string{role("{apiGroups: [''], resources: [configmaps], resourceNames: [x], verbs: [get]}"), boundHere}, []string{"low grant may get configmaps x in namespace n"}},
		"wider":                       {[]string{role("{apiGroups: [''], resources: [pods], verbs: [get]}"), boundHere}, []string{role("{apiGroups: [''], resources: [pods], verbs: [get]}"), boundEverywhere}, []string{"low grant may get pods everywhere"}},
		"beside every URL":            {[]string{role("{nonResourceURLs: ['*'], verbs: [get]}"), boundEverywhere}, []string{role("{nonResourceURLs: ['*'], verbs: [get]}, {apiGroups: [''], resources: [secrets], verbs: [get]}"), boundEverywhere}, []string{"critical grant may get secrets everywhere"}},
		"a name with a dot":           {[]string{role("{apiGroups: [apps], resources: ['*'], verbs: [get]}"), boundHere}, []string{role("{apiGroups: [apps], resources: ['*'], verbs: [get]}, {apiGroups: [''], resources: [secrets], resourceNames: [prod.apps], verbs: [get]}"), boundHere}, []string{"high grant may get secrets prod.apps in namespace n"}},
		"one that is named":           {[]string{role("{apiGroups: [''], resources: [secrets], verbs: [get]}"), boundHere}, []string{role("{apiGroups: [''], resources: [secrets], verbs: [get]}, {apiGroups: [''], resources: [secrets], resourceNames: [x.y], verbs: [get]}"), boundHere}, nil},
		"a URL below":                 {[]string{role("{nonResourceURLs: ['/healthz*'], verbs: [get]}"), boundEverywhere}, []string{role("{nonResourceURLs: ['/healthz*', /healthz/etcd, /metrics], verbs: [get]}"), boundEverywhere}, []string{"low grant may get the URL /metrics"}},
		"every verb on users":         {[]string{role(""), boundEverywhere}, []string{role("{apiGroups: [''], resources: [users, groups], verbs: ['*']}"), boundEverywhere}, []string{"critical grant may * groups everywhere", "critical grant may * users everywhere"}},
		"users of another":            {[]string{role(""), boundHere}, []string{role("{apiGroups: [app.example], resources: [users], verbs: ['*']}"), boundHere}, []string{"medium grant may * users.app.example in namespace n"}},
		"only audited":                {[]string{vapBinding("Deny")}, []string{vapBinding("Audit")}, []string{"high protection no longer refuses anything, and did"}},
		"refused still":               {[]string{vapBinding("Deny")}, []string{vapBinding("Deny, Audit")}, []string{"medium protection says something else than before: see whether it still holds back what it did"}},
		"internal made public":        {[]string{balancer("networking.gke.io/load-balancer-type: Internal", "")}, []string{balancer("", "")}, []string{"high exposure port 80/TCP is reached through a load balancer, from anybody"}},
		"public made internal":        {[]string{balancer("", "")}, []string{balancer("service.beta.kubernetes.io/azure-load-balancer-internal: 'true'", "")}, []string{"medium exposure port 80/TCP is reached through a load balancer, from the cloud's own network"}},
		"ranges by annotation":        {[]string{balancer("service.beta.kubernetes.io/load-balancer-source-ranges: '10.0.0.0/8, 192.0.2.0/24'", "")}, []string{balancer("", "")}, []string{"high exposure port 80/TCP is reached through a load balancer, from anybody"}},
		"the same in another place":   {[]string{balancer("service.beta.kubernetes.io/load-balancer-source-ranges: '192.0.2.0/24, 10.0.0.0/8'", "")}, []string{balancer("", ", loadBalancerSourceRanges: [10.0.0.0/8, 192.0.2.0/24]")}, nil},
		"another selector":            {[]string{balancer("", ", selector: {app: a}"), deployment("a", "app: a"), deployment("b", "app: b")}, []string{balancer("", ", selector: {app: b}"), deployment("a", "app: a"), deployment("b", "app: b")}, []string{"high exposure leads to Deployment b, reached through a load balancer, from anybody"}},
		"a wider selector":            {[]string{balancer("", ", selector: {app: a, tier: t}"), deployment("a", "app: a, tier: t"), deployment("b", "app: a, tier: u")}, []string{balancer("", ", selector: {app: a}"), deployment("a", "app: a, tier: t"), deployment("b", "app: a, tier: u")}, []string{"high exposure leads to Deployment b, reached through a load balancer, from anybody"}},
		"another selector inside":     {[]string{service("ports: [{port: 80}], selector: {app: a}"), deployment("b", "app: b")}, []string{service("ports: [{port: 80}], selector: {app: b}"), deployment("b", "app: b")}, nil},
		"another behind an Ingress":   {[]string{service("ports: [{port: 80}], selector: {app: a}"), deployment("b", "app: b"), ingress("")}, []string{service("ports: [{port: 80}], selector: {app: b}"), deployment("b", "app: b"), ingress("")}, []string{"medium exposure leads to Deployment b, reached through Ingress i"}},
		"labels that fit":             {[]string{balancer("", ", selector: {app: a}"), deployment("b", "app: b")}, []string{balancer("", ", selector: {app: a}"), deployment("b", "app: a")}, []string{"high exposure leads to Deployment b, reached through a load balancer, from anybody"}},
		"nobody asks":                 {[]string{ingress("nginx.ingress.kubernetes.io/auth-url: 'https://a.example'")}, []string{ingress("")}, []string{"high protection no longer asks who it is (nginx.ingress.kubernetes.io/auth-url)"}},
		"nobody asks, by none":        {[]string{ingress("alb.ingress.kubernetes.io/auth-type: oidc")}, []string{ingress("alb.ingress.kubernetes.io/auth-type: none")}, []string{"high protection no longer asks who it is (alb.ingress.kubernetes.io/auth-type)"}},
		"somebody else asks":          {[]string{ingress("nginx.ingress.kubernetes.io/auth-url: 'https://a.example'")}, []string{ingress("nginx.ingress.kubernetes.io/auth-url: 'https://b.example'")}, []string{"medium protection asks otherwise who it is (nginx.ingress.kubernetes.io/auth-url)"}},
		"every address":               {[]string{ingress("nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8")}, []string{ingress("nginx.ingress.kubernetes.io/whitelist-source-range: 0.0.0.0/0")}, []string{"high protection no longer lets in some addresses only (nginx.ingress.kubernetes.io/whitelist-source-range)"}},
		"no redirect":                 {[]string{ingress("")}, []string{ingress("nginx.ingress.kubernetes.io/ssl-redirect: 'false'")}, []string{"medium exposure serves plain HTTP beside HTTPS (nginx.ingress.kubernetes.io/ssl-redirect)"}},
		"a forced redirect that goes": {[]string{ingress("nginx.ingress.kubernetes.io/force-ssl-redirect: 'true'")}, []string{ingress("")}, []string{"medium protection no longer redirects plain HTTP to HTTPS (nginx.ingress.kubernetes.io/force-ssl-redirect)"}},
		"a snippet":                   {[]string{ingress("")}, []string{ingress("nginx.ingress.kubernetes.io/server-snippet: 'x y;'")}, []string{"high privilege writes into its controller's configuration (nginx.ingress.kubernetes.io/server-snippet)"}},
		"another snippet":             {[]string{ingress("nginx.ingress.kubernetes.io/server-snippet: 'x z;'")}, []string{ingress("nginx.ingress.kubernetes.io/server-snippet: 'x y;'")}, []string{"high privilege writes something else into its controller's configuration (nginx.ingress.kubernetes.io/server-snippet)"}},
		"on the internet":             {[]string{ingress("alb.ingress.kubernetes.io/scheme: internal")}, []string{ingress("alb.ingress.kubernetes.io/scheme: internet-facing")}, []string{"high exposure has an address on the internet (alb.ingress.kubernetes.io/scheme)"}},
		"out of the cloud's network":  {[]string{ingress("kubernetes.io/ingress.class: gce-internal")}, []string{ingress("kubernetes.io/ingress.class: gce")}, []string{"high protection no longer stays in the cloud's own network (class gce-internal)"}},

		"a webhook fails open":               {[]string{webhooks("ValidatingWebhookConfiguration", ", failurePolicy: Fail")}, []string{webhooks("ValidatingWebhookConfiguration", ", failurePolicy: Ignore")}, []string{"high protection webhook w lets through what it cannot judge (failurePolicy Ignore)"}},
		"one that mutates fails open":        {[]string{webhooks("MutatingWebhookConfiguration", "")}, []string{webhooks("MutatingWebhookConfiguration", ", failurePolicy: Ignore")}, []string{"high protection webhook w lets through what it cannot judge (failurePolicy Ignore)"}},
		"a webhook fails closed":             {[]string{webhooks("ValidatingWebhookConfiguration", ", failurePolicy: Ignore")}, []string{webhooks("ValidatingWebhookConfiguration", "")}, nil},
		"a webhook that goes":                {[]string{webhooks("MutatingWebhookConfiguration", "")}, []string{none}, []string{"high protection no longer is in place"}},
		"one of two goes":                    {[]string{strings.Replace(webhooks("ValidatingWebhookConfiguration", ""), "webhooks: [", "webhooks: ["+webhook("v", "")+", ", 1)}, []string{webhooks("ValidatingWebhookConfiguration", "")}, []string{"high protection webhook v has gone"}},
		"more namespaces left out":           {[]string{webhooks("ValidatingWebhookConfiguration", ", namespaceSelector: {matchExpressions: [{key: k, operator: NotIn, values: [a]}]}")}, []string{webhooks("ValidatingWebhookConfiguration", ", namespaceSelector: {matchExpressions: [{key: k, operator: NotIn, values: [a, b]}]}")}, []string{"high protection webhook w leaves out more namespaces (namespaceSelector)"}},
		"fewer namespaces left out":          {[]string{webhooks("ValidatingWebhookConfiguration", ", namespaceSelector: {matchExpressions: [{key: k, operator: NotIn, values: [a, b]}]}")}, []string{webhooks("ValidatingWebhookConfiguration", ", namespaceSelector: {matchExpressions: [{key: k, operator: NotIn, values: [a]}]}")}, nil},
		"other namespaces":                   {[]string{webhooks("ValidatingWebhookConfiguration", ", namespaceSelector: {matchLabels: {k: a}}")}, []string{webhooks("ValidatingWebhookConfiguration", ", namespaceSelector: {matchLabels: {k: b}}")}, []string{"medium protection webhook w looks at other namespaces than before (namespaceSelector)"}},
		"objects left out":                   {[]string{webhooks("ValidatingWebhookConfiguration", "")}, []string{webhooks("ValidatingWebhookConfiguration", ", objectSelector: {matchLabels: {k: a}}")}, []string{"high protection webhook w leaves out more objects (objectSelector)"}},
		"a condition":                        {[]string{webhooks("ValidatingWebhookConfiguration", "")}, []string{webhooks("ValidatingWebhookConfiguration", ", matchConditions: [{name: a, expression: 'false'}]")}, []string{"high protection webhook w leaves out more requests (matchConditions)"}},
		"fewer requests":                     {[]string{webhooks("ValidatingWebhookConfiguration", "")}, []string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "CREATE, UPDATE", "CREATE", 1)+"]")}, []string{"high protection webhook w no longer looks at UPDATE of pods"}},
		"more requests":                      {[]string{webhooks("ValidatingWebhookConfiguration", "")}, []string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "CREATE, UPDATE", "'*'", 1)+"]")}, nil},
		"not its subresources":               {[]string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "'*/*'", 1)+"]")}, []string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "'*'", 1)+"]")}, []string{"high protection webhook w no longer looks at CREATE of */*, UPDATE of */*"}},
		"every subresource of one":           {[]string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "pods/exec", 1)+"]")}, []string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "pods/*", 1)+"]")}, nil},
		"a subresource of all":               {[]string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "pods/exec", 1)+"]")}, []string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "'*/exec'", 1)+"]")}, nil},
		"pods themselves too":                {[]string{webhooks("ValidatingWebhookConfiguration", "")}, []string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "pods/*", 1)+"]")}, nil},
		"a subresource of one only":          {[]string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "'*/exec'", 1)+"]")}, []string{webhooks("ValidatingWebhookConfiguration", ", rules: ["+strings.Replace(podRules, "pods", "pods/*", 1)+"]")}, []string{"high protection webhook w no longer looks at CREATE of */exec, UPDATE of */exec"}},
		"another service is asked":           {[]string{webhooks("ValidatingWebhookConfiguration", "")}, []string{strings.Replace(webhooks("ValidatingWebhookConfiguration", ""), "service: {name: s", "service: {name: other", 1)}, []string{"medium protection webhook w says something else than before: see whether it still holds back what it did"}},
		"a policy fails open":                {[]string{vap("matchConstraints: {resourceRules: [" + podRules + "]}")}, []string{vap("failurePolicy: Ignore, matchConstraints: {resourceRules: [" + podRules + "]}")}, []string{"high protection lets through what it cannot judge (failurePolicy Ignore)"}},
		"a policy that excludes":             {[]string{vap("matchConstraints: {resourceRules: [" + podRules + "]}")}, []string{vap("matchConstraints: {resourceRules: [" + podRules + "], excludeResourceRules: [" + podRules + "]}")}, []string{"high protection leaves out more requests (excludeResourceRules)"}},
		"a policy about named ones only":     {[]string{vap("matchConstraints: {resourceRules: [" + podRules + "]}")}, []string{vap("matchConstraints: {resourceRules: [" + strings.Replace(podRules, "{", "{resourceNames: [x], ", 1) + "]}")}, []string{"high protection no longer looks at CREATE of pods, UPDATE of pods"}},
		"a policy that asks another":         {[]string{vap("matchConstraints: {resourceRules: [" + podRules + "]}")}, []string{strings.Replace(vap("matchConstraints: {resourceRules: ["+podRules+"]}"), "'false'", "'true'", 1)}, []string{"medium protection says something else than before: see whether it still holds back what it did"}},
		"a binding for fewer":                {[]string{vapBinding("Deny")}, []string{strings.Replace(vapBinding("Deny"), "policyName: p", "policyName: p, matchResources: {namespaceSelector: {matchLabels: {k: a}}}", 1)}, []string{"high protection leaves out more namespaces (namespaceSelector)"}},
		"a binding about some requests only": {[]string{vapBinding("Deny")}, []string{boundFor("resourceRules: [" + podRules + "]")}, []string{"high protection looks at some of its policy's requests only (resourceRules)"}},
		"a binding about all requests again": {[]string{boundFor("resourceRules: [" + podRules + "]")}, []string{boundFor("objectSelector: {}")}, nil},
		"a binding about fewer requests": {[]string{boundFor("resourceRules: [" + podRules + "]")}, []string{boundFor("resourceRules: [" + strings.Replace(podRules, "CREATE, UPDATE", "CREATE", 1) + "]")},
			[]string{"high protection no longer looks at UPDATE of pods"}},
		"a binding without rules, about one version": {[]string{boundFor("objectSelector: {}")}, []string{boundFor("objectSelector: {}, matchPolicy: Exact")},
			[]string{"medium protection says something else than before: see whether it still holds back what it did"}},
		"a binding that leaves out one version only": {[]string{boundFor("excludeResourceRules: [" + podRules + "]")}, []string{boundFor("excludeResourceRules: [" + podRules + "], matchPolicy: Exact")},
			[]string{"medium protection says something else than before: see whether it still holds back what it did"}},
		"a binding that leaves out every version": {[]string{boundFor("excludeResourceRules: [" + podRules + "], matchPolicy: Exact")}, []string{boundFor("excludeResourceRules: [" + podRules + "]")},
			[]string{"high protection leaves requests out in other versions of the API too (matchPolicy Equivalent)"}},
		"a binding about one version only": {[]string{boundFor("resourceRules: [" + podRules + "]")}, []string{boundFor("resourceRules: [" + podRules + "], matchPolicy: Exact")},
			[]string{"high protection no longer looks at requests in other versions of the API (matchPolicy Exact)"}},
		"a policy about one version only": {[]string{vap("matchConstraints: {matchPolicy: Equivalent, resourceRules: [" + podRules + "]}")}, []string{vap("matchConstraints: {matchPolicy: Exact, resourceRules: [" + podRules + "]}")},
			[]string{"high protection no longer looks at requests in other versions of the API (matchPolicy Exact)"}},
		"a webhook about one version only": {[]string{webhooks("ValidatingWebhookConfiguration", "")}, []string{webhooks("ValidatingWebhookConfiguration", ", matchPolicy: Exact")},
			[]string{"high protection webhook w no longer looks at requests in other versions of the API (matchPolicy Exact)"}},
		"a mutating policy that goes": {[]string{"apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicy\nmetadata: {name: p}\nspec: {failurePolicy: Fail, reinvocationPolicy: Never, mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[]'}}]}"}, []string{none}, []string{"high protection no longer is in place"}},
		"a role of elsewhere":         {[]string{none}, []string{strings.Replace(boundEverywhere, "name: r}", "name: cluster-admin}", 1)}, []string{"critical grant holds ClusterRole cluster-admin everywhere"}},
	} {
		base, head := read(t, c.base...), read(t, c.head...)
		var got []string
		for _, e := range Compare(base, head, nil) {
			if e.Weakens() {
				got = append(got, fmt.Sprintf("%s %s %s", e.Gain, e.Class, e.Text))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestMoved: what has another name, or another namespace, and is the same otherwise.
func TestMoved(t *testing.T) {
	a := pod("hostPID: true", "")
	renamed, elsewhere := strings.Replace(a, "name: p", "name: q", 1), strings.Replace(a, "namespace: n", "namespace: m", 1)
	ref := func(namespace, name string) bailey.Ref {
		return bailey.Ref{Kind: bailey.KindPod, Namespace: namespace, Name: name}
	}
	for name, c := range map[string]struct {
		base, head []string
		want       map[bailey.Ref]bailey.Ref
	}{
		"renamed":            {[]string{a}, []string{renamed}, map[bailey.Ref]bailey.Ref{ref("n", "p"): ref("n", "q")}},
		"elsewhere":          {[]string{a}, []string{elsewhere}, map[bailey.Ref]bailey.Ref{ref("n", "p"): ref("m", "p")}},
		"both are there":     {[]string{a}, []string{a, renamed}, nil},
		"one of two":         {[]string{a}, []string{renamed, elsewhere}, nil},
		"and more":           {[]string{a}, []string{strings.Replace(renamed, "hostPID", "hostIPC", 1)}, nil},
		"runs another thing": {[]string{a}, []string{strings.Replace(renamed, "name: c,", "name: c, command: [sh, -c, evil],", 1)}, nil},
		"another argument":   {[]string{strings.Replace(a, "name: c,", "name: c, command: [sh, -c, good],", 1)}, []string{strings.Replace(renamed, "name: c,", "name: c, command: [sh, -c, evil],", 1)}, nil},
		"another altogether": {[]string{a}, []string{strings.Replace(elsewhere, "name: p", "name: q", 1)}, nil},
	} {
		var was, is Specs
		base, head := readWhole(t, was.Add, c.base...), readWhole(t, is.Add, c.head...)
		got := Moved(base, head, &was, &is)
		if len(got) != len(c.want) || fmt.Sprint(got) != fmt.Sprint(c.want) && len(c.want) > 0 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if effects := Compare(base, head, got); len(c.want) > 0 && len(effects) > 0 {
			t.Errorf("%s: %+v", name, effects)
		}
	}
}
