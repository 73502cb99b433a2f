package controltest

import (
	"slices"
	"testing"

	"github.com/baileyhq/bailey"
)

// wellKept is a workload in which the rules of controls that look at single
// workloads find nothing, with the things that they look at.
const wellKept = `apiVersion: v1
kind: Pod
metadata: {name: good, namespace: shop}
spec:
  serviceAccountName: app
  automountServiceAccountToken: false
  initContainers:
  - name: proxy
    image: registry.example.com/proxy@sha256:e1707a334a2d6595ba024078816c638ea2cc1216dd71bd32fd8ecefe12635d83
    restartPolicy: Always
    resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 16Mi}}
    securityContext: {readOnlyRootFilesystem: true}
  containers:
  - name: app
    image: registry.example.com/app:2.4.1@sha256:65249418e00cc972bb8231475526e99132aecc736c9df5b9bc92258935b3a6c3
    args: [--config=/etc/app.yaml, --verbose]
    env: [{name: PORT, value: "8443"}, {name: LOG_LEVEL, value: info}, {name: PASSWORD_FILE, value: /run/secrets/password}]
    ports: [{containerPort: 8443}]
    livenessProbe: {httpGet: {port: 8443, path: /live}}
    readinessProbe: {exec: {command: [app, --check]}}
    resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 16Mi}}
    securityContext: {readOnlyRootFilesystem: true}
  volumes:
  - name: token
    projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: shop}
`

// AllocatesNothing holds the control's rules to no allocation on a well-kept
// workload: a hundred thousand objects are judged at a time, most of them in
// order, and judging those must cost nothing but time.
func AllocatesNothing(t *testing.T, c *bailey.Control) {
	t.Helper()
	b := bailey.NewBuilder(bailey.Meta{})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	facts := Facts(t, []byte(wellKept))
	b.Add(facts...)
	v := bailey.NewView(b.Snapshot())
	judged := 0
	for _, r := range c.Rules {
		for _, f := range facts {
			if !slices.Contains(r.On, f.Kind) {
				continue
			}
			judged++
			if n := testing.AllocsPerRun(20, func() {
				v.Allow(r.On, r.Needs, r.Derives)
				if found := r.Check(v, f); len(found) > 0 {
					t.Errorf("%s: %+v", r.Name, found)
				}
			}); n != 0 {
				t.Errorf("rule %s makes %v allocations on %s", r.Name, n, f.Ref)
			}
		}
	}
	if judged == 0 {
		t.Errorf("no rule of %s judges the workload", c.ID)
	}
}
