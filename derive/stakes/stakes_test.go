package stakes_test

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/controls/compute"
	"github.com/baileyhq/bailey/derive/stakes"
	"github.com/baileyhq/bailey/internal/controltest"
)

const workloadText = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: registry.example/web@sha256:0000000000000000000000000000000000000000000000000000000000000000
        securityContext: {runAsNonRoot: true, runAsUser: 1000}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
`

// What the workload has around it, by what it is for.
const (
	balancer = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 443}]}`
	internalBalancer = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {networking.gke.io/load-balancer-type: Internal}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 443}]}`
	otherBalancer = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: other}, ports: [{port: 443}]}`
	routed = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: web, port: 80}]}]}`
	meshed = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mesh, namespace: shop}
spec: {parentRefs: [{group: "", kind: Service, name: web}], rules: [{backendRefs: [{name: web, port: 80}]}]}`
	privateBalancer = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8, 192.168.1.0/24], selector: {app: web}, ports: [{port: 443}]}`
	widerBalancer = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/7], selector: {app: web}, ports: [{port: 443}]}`
	impersonates = `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [""], resources: [users], verbs: [impersonate]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web}]`
	inside = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80}]}`
	readsSecrets = `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [""], resources: [secrets], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web}]`
	readsOneSecret = `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [web], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: web}]`
)

// TestWeigher judges one workload in different surroundings: the rule on
// allowPrivilegeEscalation is low anywhere.
func TestWeigher(t *testing.T) {
	for name, c := range map[string]struct {
		around string
		edit   [2]string // of the workload
		kinds  string
		want   bailey.Severity
	}{
		"nothing around it":                  {want: bailey.SeverityLow},
		"exposed":                            {around: balancer, kinds: "exposed", want: bailey.SeverityLow},
		"rights alone":                       {around: readsSecrets, kinds: "rights", want: bailey.SeverityLow},
		"exposed, rights":                    {around: balancer + readsSecrets, kinds: "exposed rights", want: bailey.SeverityMedium},
		"routed, rights":                     {around: routed + readsSecrets, kinds: "exposed rights", want: bailey.SeverityMedium},
		"a route of a mesh":                  {around: meshed + readsSecrets, kinds: "rights", want: bailey.SeverityLow},
		"private networks only":              {around: privateBalancer + readsSecrets, kinds: "rights", want: bailey.SeverityLow},
		"half of it private":                 {around: widerBalancer + readsSecrets, kinds: "exposed rights", want: bailey.SeverityMedium},
		"cluster-wide by a RoleBinding":      {around: balancer + impersonates, kinds: "exposed", want: bailey.SeverityLow},
		"SYS_PTRACE of its own processes":    {around: balancer, edit: [2]string{"securityContext: {", "securityContext: {capabilities: {add: [SYS_PTRACE]}, "}, kinds: "exposed", want: bailey.SeverityLow},
		"inside, rights":                     {around: inside + readsSecrets, kinds: "rights", want: bailey.SeverityLow},
		"another is exposed":                 {around: otherBalancer + readsSecrets, kinds: "rights", want: bailey.SeverityLow},
		"an internal load balancer":          {around: internalBalancer + readsSecrets, kinds: "rights", want: bailey.SeverityLow},
		"a right on one Secret":              {around: balancer + readsOneSecret, kinds: "exposed", want: bailey.SeverityLow},
		"rights without a token":             {around: balancer + readsSecrets, edit: [2]string{"serviceAccountName: web", "serviceAccountName: web\n      automountServiceAccountToken: false"}, kinds: "exposed", want: bailey.SeverityLow},
		"exposed, the node":                  {around: balancer, edit: [2]string{"containers:", "hostPID: true\n      containers:"}, kinds: "exposed node", want: bailey.SeverityMedium},
		"exposed, a Secret":                  {around: balancer, edit: [2]string{"image:", "envFrom: [{secretRef: {name: database}}]\n        image:"}, kinds: "exposed secrets", want: bailey.SeverityMedium},
		"exposed, the node's clock":          {around: balancer, edit: [2]string{"containers:", "volumes: [{name: zone, hostPath: {path: /etc/localtime}}]\n      containers:"}, kinds: "exposed", want: bailey.SeverityLow},
		"exposed, the node's log socket":     {around: balancer, edit: [2]string{"      containers:\n      - name: web", "      volumes: [{name: log, hostPath: {path: /dev/log}}]\n      containers:\n      - name: web\n        volumeMounts: [{name: log, mountPath: /dev/log}]"}, kinds: "exposed", want: bailey.SeverityLow},
		"exposed, the node's hosts file":     {around: balancer, edit: [2]string{"      containers:\n      - name: web", "      volumes: [{name: hosts, hostPath: {path: /etc/hosts}}]\n      containers:\n      - name: web\n        volumeMounts: [{name: hosts, mountPath: /node/hosts}]"}, kinds: "exposed node", want: bailey.SeverityMedium},
		"exposed, a directory of the node's": {around: balancer, edit: [2]string{"      containers:\n      - name: web", "      volumes: [{name: all, hostPath: {path: /}}]\n      containers:\n      - name: web\n        volumeMounts: [{name: all, mountPath: /node}]"}, kinds: "exposed node", want: bailey.SeverityMedium},
	} {
		t.Run(name, func(t *testing.T) {
			text := workloadText
			if c.edit[0] != "" {
				text = strings.Replace(text, c.edit[0], c.edit[1], 1)
			}
			b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
			for _, f := range controltest.Facts(t, []byte(text+c.around)) {
				b.Add(f)
			}
			r, err := check.Judge(t.Context(), b.Snapshot(), []*bailey.Control{compute.PodSecurity}, check.Options{Weigher: stakes.Weigher})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Findings {
				if f.Rule != "compute/pod-security/allow-privilege-escalation" {
					continue
				}
				var kinds []string
				for _, x := range f.Factors {
					kinds = append(kinds, string(x.Kind))
				}
				if got := strings.Join(kinds, " "); got != c.kinds || f.Severity != c.want || f.Base != bailey.SeverityLow {
					t.Errorf("factors %q, severity %s of %s; want %q, %s\n%v", got, f.Severity, f.Base, c.kinds, c.want, f.Factors)
				}
				return
			}
			t.Fatal("the rule found nothing")
		})
	}
}

// TestOwnCause: what a finding says itself does not weigh on it, and what else holds the node
// does.
func TestOwnCause(t *testing.T) {
	const hostPID, privileged = "compute/pod-security/host-namespaces", "compute/pod-security/privileged"
	const shares, is = "it shares the node's namespace: hostPID", "container web: privileged"
	for name, c := range map[string]struct {
		edits []string
		want  map[string]string // factors of kind node, by rule
		worse map[string]bool
	}{
		"hostPID": {edits: []string{"containers:", "hostPID: true\n      containers:"},
			want: map[string]string{hostPID: ""}, worse: map[string]bool{hostPID: false}},
		"privileged": {edits: []string{"securityContext: {", "securityContext: {privileged: true, "},
			want: map[string]string{privileged: ""}, worse: map[string]bool{privileged: false}},
		"both": {edits: []string{"containers:", "hostPID: true\n      containers:", "securityContext: {", "securityContext: {privileged: true, "},
			want: map[string]string{hostPID: is, privileged: shares}, worse: map[string]bool{hostPID: true, privileged: true}},
	} {
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
		for _, f := range controltest.Facts(t, []byte(strings.NewReplacer(c.edits...).Replace(workloadText)+balancer)) {
			b.Add(f)
		}
		r, err := check.Judge(t.Context(), b.Snapshot(), []*bailey.Control{compute.PodSecurity}, check.Options{Weigher: stakes.Weigher})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, f := range r.Findings {
			want, asked := c.want[f.Rule]
			if !asked {
				continue
			}
			found++
			var texts []string
			for _, x := range f.Factors {
				if x.Kind == bailey.FactorNode {
					texts = append(texts, x.Text)
				}
			}
			if got := strings.Join(texts, "; "); got != want || (f.Severity > f.Base) != (c.worse[f.Rule] && f.Base < bailey.SeverityCritical) {
				t.Errorf("%s: %s, %s of %s: factors %q, want %q", name, f.Rule, f.Severity, f.Base, got, want)
			}
		}
		if found != len(c.want) {
			t.Errorf("%s: %d findings of %v", name, found, c.want)
		}
	}
}

// TestWidestRight has the same right by a RoleBinding and a ClusterRoleBinding.
func TestWidestRight(t *testing.T) {
	text := workloadText + readsSecrets + `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [secrets], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: web, namespace: shop}]`
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
	b.Add(controltest.Facts(t, []byte(text))...)
	s := b.Snapshot()
	v := bailey.NewView(s)
	v.Allow(bailey.PodBearing, stakes.Weigher.Needs, stakes.Weigher.Derives)
	factors := stakes.Weigher.Factors(v, s.Get(bailey.Ref{Kind: bailey.KindDeployment, Namespace: "shop", Name: "web"}))
	if len(factors) != 1 || !strings.HasSuffix(factors[0].Text, "everywhere") {
		t.Errorf("%v", factors)
	}
}
