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

		"a grant":             {[]string{role(""), boundHere}, []string{role("{apiGroups: [''], resources: [secrets], verbs: [get, list]}"), boundHere}, []string{"high grant may get, list secrets in namespace n"}},
		"everywhere":          {[]string{role(""), boundEverywhere}, []string{role("{apiGroups: [''], resources: [secrets], verbs: [get]}"), boundEverywhere}, []string{"critical grant may get secrets everywhere"}},
		"one that is held":    {[]string{role("{apiGroups: ['*'], resources: ['*'], verbs: ['*']}"), boundEverywhere}, []string{role("{apiGroups: ['*'], resources: ['*'], verbs: ['*']}, {apiGroups: [''], resources: [secrets], verbs: [get]}"), boundEverywhere}, nil},
		"one verb more":       {[]string{role("{apiGroups: [apps], resources: [deployments], verbs: [get]}"), boundHere}, []string{role("{apiGroups: [apps], resources: [deployments], verbs: [get, patch]}"), boundHere}, []string{"high grant may patch deployments.apps in namespace n"}},
		"escalate":            {[]string{role(""), boundHere}, []string{role("{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate]}"), boundHere}, []string{"critical grant may escalate roles.rbac.authorization.k8s.io in namespace n"}},
		"harmless":            {[]string{role(""), boundHere}, []string{role("{apiGroups: [''], resources: [configmaps], resourceNames: [x], verbs: [get]}"), boundHere}, []string{"low grant may get configmaps x in namespace n"}},
		"wider":               {[]string{role("{apiGroups: [''], resources: [pods], verbs: [get]}"), boundHere}, []string{role("{apiGroups: [''], resources: [pods], verbs: [get]}"), boundEverywhere}, []string{"low grant may get pods everywhere"}},
		"beside every URL":    {[]string{role("{nonResourceURLs: ['*'], verbs: [get]}"), boundEverywhere}, []string{role("{nonResourceURLs: ['*'], verbs: [get]}, {apiGroups: [''], resources: [secrets], verbs: [get]}"), boundEverywhere}, []string{"critical grant may get secrets everywhere"}},
		"a name with a dot":   {[]string{role("{apiGroups: [apps], resources: ['*'], verbs: [get]}"), boundHere}, []string{role("{apiGroups: [apps], resources: ['*'], verbs: [get]}, {apiGroups: [''], resources: [secrets], resourceNames: [prod.apps], verbs: [get]}"), boundHere}, []string{"high grant may get secrets prod.apps in namespace n"}},
		"one that is named":   {[]string{role("{apiGroups: [''], resources: [secrets], verbs: [get]}"), boundHere}, []string{role("{apiGroups: [''], resources: [secrets], verbs: [get]}, {apiGroups: [''], resources: [secrets], resourceNames: [x.y], verbs: [get]}"), boundHere}, nil},
		"a URL below":         {[]string{role("{nonResourceURLs: ['/healthz*'], verbs: [get]}"), boundEverywhere}, []string{role("{nonResourceURLs: ['/healthz*', /healthz/etcd, /metrics], verbs: [get]}"), boundEverywhere}, []string{"low grant may get the URL /metrics"}},
		"every verb on users": {[]string{role(""), boundEverywhere}, []string{role("{apiGroups: [''], resources: [users, groups], verbs: ['*']}"), boundEverywhere}, []string{"critical grant may * groups everywhere", "critical grant may * users everywhere"}},
		"users of another":    {[]string{role(""), boundHere}, []string{role("{apiGroups: [app.example], resources: [users], verbs: ['*']}"), boundHere}, []string{"medium grant may * users.app.example in namespace n"}},
		"only audited":        {[]string{vapBinding("Deny")}, []string{vapBinding("Audit")}, []string{"high protection no longer refuses anything, and did"}},
		"refused still":       {[]string{vapBinding("Deny")}, []string{vapBinding("Deny, Audit")}, []string{"medium protection says something else than before: see whether it still holds back what it did"}},
		"a role of elsewhere": {[]string{none}, []string{strings.Replace(boundEverywhere, "name: r}", "name: cluster-admin}", 1)}, []string{"critical grant holds ClusterRole cluster-admin everywhere"}},
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
