package controls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/internal/controltest"
	"github.com/baileyhq/bailey/prove"
)

// techniques are those that every cluster must be able to notice, with the detections of each.
var techniques = map[string][]string{
	"dump Secrets":                    {"secrets-dump", "secrets-cached", "secrets-sweep", "secrets-read-many", "secrets-collection-deleted"},
	"steal a ServiceAccount token":    {"token-theft", "credential-replay"},
	"create an admin role":            {"admin-role", "cluster-admin-binding"},
	"mint a client certificate":       {"client-certificate"},
	"mint tokens":                     {"token-mint", "token-mint-kube-system"},
	"hostPath":                        {"host-path"},
	"privileged pod":                  {"privileged-container"},
	"nodes/proxy":                     {"node-proxy", "kubelet-api"},
	"exec":                            {"exec", "attach"},
	"ephemeral containers":            {"ephemeral-container"},
	"approve a certificate request":   {"csr-approval"},
	"take over a webhook":             {"admission-change", "admission-removed"},
	"lower the labels of a namespace": {"pod-security-lowered"},
	"anonymous access":                {"anonymous-access", "anonymous-refused"},
	"static pods":                     {"static-pod"},
}

func TestTechniquesHaveDetections(t *testing.T) {
	for technique, names := range techniques {
		for _, name := range names {
			if !slices.ContainsFunc(detect.All(), func(d *detect.Detection) bool { return d.Name == name }) {
				t.Errorf("%s: there is no detection %s", technique, name)
			}
		}
	}
}

// tried is a platform on which every experiment over the API server has something to try.
const tried = `
apiVersion: v1
kind: Node
metadata: {name: n1, uid: u1}
---
apiVersion: v1
kind: Node
metadata: {name: n2, uid: u2}
---
apiVersion: v1
kind: Namespace
metadata: {name: level, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: level, uid: u4}
spec:
  nodeName: n1
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers: [{name: c, image: registry.example/app, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
status: {phase: Running}
---
apiVersion: v1
kind: Namespace
metadata: {name: gated}
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: gated, uid: u3}
spec: {nodeName: n1, containers: [{name: c, image: "registry.example/app:1@sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}]}
status: {phase: Running}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: gate}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/ephemeralcontainers]}]
  matchConditions: [{name: spared, expression: "request.userInfo.username != 'jane'"}]
  validations: [{expression: "object.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: gate}
spec: {policyName: gate, validationActions: [Deny], matchResources: {namespaceSelector: {}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: maker}
rules: [{apiGroups: [""], resources: [pods], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: maker}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: maker}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}
- {kind: ServiceAccount, namespace: kube-system, name: replicaset-controller}
`

// triedBeside is what a test's API server is not given: Bailey's gate, which would refuse every
// pod, since nobody answers, and what is no object of the API.
const triedBeside = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: bailey-gate}
webhooks:
- name: images.gate.bailey.dev
  admissionReviewVersions: [v1]
  sideEffects: NoneOnDryRun
  clientConfig: {service: {namespace: bailey, name: bailey-gate}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/ephemeralcontainers], scope: Namespaced}]
---
apiVersion: bailey.dev/v1
kind: Image
metadata: {name: "registry.example/app:1@sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a", namespace: gated}
repository: registry.example/app
digest: sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
verified: true
evidence: [{rule: app, kind: signature, authority: release, signer: key}]
---
apiVersion: bailey.dev/v1
kind: ImageToTry
metadata: {name: "registry.example/unsigned:1", namespace: gated}
repository: registry.example/unsigned
tag: "1"
digest: sha256:0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
refusals: [{rule: app, kind: signature, reason: missing, message: it bears nothing}]
`

// TestExperimentsAwaitDetections judges, as an audit event, each request that an experiment
// must be refused: what a detection tells of, the experiment must await, and what it awaits must be
// told of.
func TestExperimentsAwaitDetections(t *testing.T) {
	set, err := detect.Compile()
	if err != nil {
		t.Fatal(err)
	}
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion, At: time.Now()})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	b.Add(controltest.Facts(t, []byte(tried))...)
	b.Add(controltest.Facts(t, []byte(triedBeside))...)
	p := prove.Plan(b.Snapshot(), controls.All(), prove.Choice{Worst: bailey.DangerDisruptive, Places: []bailey.Place{bailey.PlaceNode, bailey.PlaceEtcd, bailey.PlaceAuditLog}})
	met := map[*bailey.Experiment]map[string]bool{}
	for i := range p.Units {
		u := &p.Units[i]
		if met[u.Experiment] == nil {
			met[u.Experiment] = map[string]bool{}
		}
		for k := range u.Probes {
			probe := &u.Probes[k]
			if probe.Try.Request == nil || probe.Admits {
				continue
			}
			awaited := probe.Detections
			if awaited == nil {
				awaited = u.Experiment.Detections
			}
			told := tell(t, set.Fresh(), &probe.Try)
			for _, name := range told {
				met[u.Experiment][name] = true
				if !slices.Contains(awaited, name) || !slices.Contains(u.Experiment.Detections, name) {
					t.Errorf("%s: %s (%s): nobody awaits %s", u.Experiment.Name, probe.Name, probe.Path, name)
				}
			}
			if len(awaited) > 0 && len(told) == 0 && !slices.ContainsFunc(awaited, isBurst) {
				t.Errorf("%s: %s (%s): awaits %v, and nothing tells of it", u.Experiment.Name, probe.Name, probe.Path, awaited)
			}
		}
	}
	for _, c := range controls.All() {
		for _, x := range c.Experiments {
			for _, name := range x.Detections {
				switch {
				case !slices.ContainsFunc(detect.All(), func(d *detect.Detection) bool { return d.Name == name }):
					t.Errorf("%s awaits %s, which there is none of", x.Name, name)
				case !isBurst(name) && name != "anonymous-access" && !met[x][name]: // that one tells when the control is broken
					t.Errorf("%s awaits %s, and no try of it is told so", x.Name, name)
				}
			}
		}
	}
}

// isBurst tells a detection that one request alone does not raise.
func isBurst(name string) bool {
	return slices.ContainsFunc(detect.All(), func(d *detect.Detection) bool { return d.Name == name && d.Burst != nil })
}

// tell gives the detections of the audit event of a request that its expected refuser turned down.
func tell(t *testing.T, set *detect.Set, step *bailey.Step) []string {
	t.Helper()
	r := step.Request
	user := map[string]any{"username": "bailey", "groups": []string{"system:authenticated"}}
	uri := r.Path
	if uri == "" {
		uri = "/api/v1/" + r.Resource
	}
	query := "?dryRun=All"
	if r.Verb == "get" || r.Verb == "list" {
		query = ""
	}
	group, _, grouped := strings.Cut(r.APIVersion, "/")
	if !grouped {
		group = ""
	}
	event := map[string]any{"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": "a", "stage": "ResponseComplete",
		"requestURI": uri + query, "verb": r.Verb, "sourceIPs": []string{"192.0.2.1"}, "userAgent": "bailey-prober/1 (run x-001)",
		"requestReceivedTimestamp": "2026-11-26T00:00:00.000000Z", "stageTimestamp": "2026-11-26T00:00:00.000000Z"}
	if r.Path == "" {
		event["objectRef"] = map[string]any{"resource": r.Resource, "subresource": r.Subresource, "namespace": r.Namespace, "name": r.Name, "apiGroup": group}
	}
	status, decision := map[string]any{"code": 403}, "allow"
	if slices.Contains(step.Refusers[:1], bailey.RefuserAuthorization) || r.As.Anonymous || r.As.Proxied {
		decision = "forbid"
	} else if r.Object != nil {
		event["requestObject"] = r.Object
	}
	switch who := r.As; {
	case who.Anonymous, who.Proxied: // headers of a proxy without its certificate are ignored
		user = map[string]any{"username": "system:anonymous", "groups": []string{"system:unauthenticated"}}
	case slices.Contains(step.Refusers[:1], bailey.RefuserAuthentication):
		user, decision = nil, ""
		status = map[string]any{"code": 401, "message": "Unauthorized"}
	case who.Token != "":
		home := bailey.ProbePrefix + "${run}-other"
		if strings.HasPrefix(r.Namespace, bailey.ProbePrefix) {
			home = r.Namespace
		}
		user = map[string]any{"username": "system:serviceaccount:" + home + ":ordinary", "groups": []string{"system:serviceaccounts"}}
		if who.User != "" {
			status["message"] = fmt.Sprintf("users %q is forbidden: cannot impersonate", who.User)
		}
	case who.User != "":
		event["impersonatedUser"] = map[string]any{"username": who.User, "groups": who.Groups}
	}
	event["user"], event["responseStatus"] = user, status
	event["annotations"] = map[string]string{"authorization.k8s.io/decision": decision}
	data, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "${powerful}", signingRequest(t, "system:masters"))
	e, err := detect.Decode([]byte(strings.ReplaceAll(text, "${ordinary}", signingRequest(t, "bailey-probe"))), detect.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range set.Match(e) {
		names = append(names, a.Detection)
	}
	return names
}

// signingRequest is a request for a certificate in a group, as it stands in an object.
func signingRequest(t *testing.T, group string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x", Organization: []string{group}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
