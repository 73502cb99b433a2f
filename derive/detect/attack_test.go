package detect_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// attack is one technique, done for real, and the alerts that it must raise.
type attack struct {
	name string
	do   func(t *testing.T)
	want []string
}

// TestAttacks performs every technique against a real control plane, and wants
// exactly the right alert from the audit log.
func TestAttacks(t *testing.T) {
	l := startLive(t)
	a := &attacker{live: l, node: l.newNode(t)}
	a.prepare(t)
	l.alerts(t) // what preparing raised

	covered := map[string]bool{}
	for _, x := range slices.Concat(a.credentials(), a.access(), a.workloads(), a.admission(), a.origin(), a.discovery()) {
		t.Run(x.name, func(t *testing.T) {
			x.do(t)
			alerts := l.alerts(t)
			if got := told(alerts); !slices.Equal(got, x.want) {
				t.Errorf("told %v, want %v\n%s", got, x.want, show(alerts))
			}
			for _, name := range x.want {
				covered[name] = true
			}
		})
	}
	for _, d := range detectAll() {
		if !covered[d] {
			t.Errorf("%s was not tried", d)
		}
	}
}

type attacker struct {
	*live
	node string
	// token is bound to the pod bound in the namespace target.
	token string
}

const target = "target"

// kube runs kubectl as the administrator. What is refused on purpose is refused
// in the log too: the alert tells.
func (a *attacker) kube(t *testing.T, args ...string) {
	if err := a.kubectl(t, "", args...); err != nil {
		t.Log(err)
	}
}

func (a *attacker) prepare(t *testing.T) {
	for _, args := range [][]string{
		{"create", "namespace", target},
		{"create", "namespace", "guarded"},
		{"label", "namespace", "guarded", "pod-security.kubernetes.io/enforce=restricted"},
		{"create", "deployment", "web", "-n", target, "--image=example.com/web:1", "--replicas=0"},
		{"create", "clusterrolebinding", "jane-view", "--clusterrole=view", "--user=jane"},
	} {
		must(t, a.kubectl(t, "", args...))
	}
	pod := fmt.Sprintf(`{"metadata":{"name":"bound"},"spec":{"nodeName":%q,"containers":[{"name":"a","image":"example.com/a:1"}]}}`, a.node)
	if code := a.send(t, request{user: "root", groups: "system:masters", method: http.MethodPost, path: "/api/v1/namespaces/" + target + "/pods", body: pod}); code != 201 {
		t.Fatalf("the pod gave %d", code)
	}
	token, err := a.Kubectl(t.Context(), "create", "token", "default", "-n", target, "--bound-object-kind=Pod", "--bound-object-name=bound")
	must(t, err)
	a.token = strings.TrimSpace(string(token))
}

// apply writes a manifest and applies it with these arguments.
func (a *attacker) apply(manifest string, args ...string) func(t *testing.T) {
	return func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "manifest.yaml")
		must(t, os.WriteFile(file, []byte(manifest), 0o600))
		a.kube(t, append([]string{"apply", "-f", file}, args...)...)
	}
}

func (a *attacker) run(args ...string) func(t *testing.T) {
	return func(t *testing.T) { a.kube(t, args...) }
}

func (a *attacker) as(user string, args ...string) func(t *testing.T) {
	return func(t *testing.T) { _ = a.kubectl(t, user, args...) }
}

func (a *attacker) credentials() []attack {
	return []attack{
		{"dump secrets", a.run("get", "secrets", "-A"), []string{"secrets-dump"}},
		{"dump secrets: refused", a.as("jane", "get", "secrets", "-A"), []string{"secrets-dump"}},
		{"dump secrets as a ServiceAccount", func(t *testing.T) {
			a.send(t, request{token: a.token, path: "/api/v1/secrets"})
		}, []string{"secrets-dump"}},
		{"one secret", a.run("get", "secret", "x", "-n", target), nil},
		{"imitate a cache", func(t *testing.T) {
			a.send(t, request{token: a.token, path: "/api/v1/secrets?limit=500&resourceVersion=0"})
		}, []string{"secrets-cached"}},
		{"sweep the namespaces", func(t *testing.T) {
			for n := range 5 {
				a.send(t, request{user: "jane", path: fmt.Sprintf("/api/v1/namespaces/n%d/secrets", n)})
			}
		}, []string{"secrets-sweep"}},
		{"read a hundred", func(t *testing.T) {
			for n := range 100 {
				a.send(t, request{user: "jane", path: fmt.Sprintf("/api/v1/namespaces/a/secrets/s%d", n)})
			}
		}, []string{"secrets-read-many"}},
		{"delete secrets for their content: dry run", func(t *testing.T) {
			a.send(t, request{user: "root", groups: "system:masters", method: http.MethodDelete, path: "/api/v1/namespaces/" + target + "/secrets?dryRun=All"})
		}, []string{"secrets-collection-deleted"}},
		{"delete secrets for their content: refused", func(t *testing.T) {
			a.send(t, request{user: "jane", method: http.MethodDelete, path: "/api/v1/namespaces/" + target + "/secrets"})
		}, []string{"secrets-collection-deleted"}},
		{"read a pod's token", a.run("exec", "-n", target, "bound", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"), []string{"token-theft"}},
		{"mint a token", a.run("create", "token", "default", "-n", target), []string{"token-mint"}},
		{"mint a token: refused", a.as("jane", "create", "token", "default", "-n", target), []string{"token-mint"}},
		{"mint a controller's token", a.run("create", "token", "clusterrole-aggregation-controller", "-n", "kube-system"), []string{"token-mint-kube-system"}},
	}
}

func (a *attacker) access() []attack {
	csr := func(user, signer, name string, organizations ...string) func(t *testing.T) {
		return func(t *testing.T) {
			who := request{user: user, groups: "system:masters"}
			if user == "jane" {
				who.groups = ""
			}
			who.method, who.path = http.MethodPost, "/apis/certificates.k8s.io/v1/certificatesigningrequests"
			who.body = map[string]any{"metadata": map[string]any{"name": "csr-" + strings.ToLower(strings.NewReplacer(":", "-", " ", "-", "/", "-").Replace(name+signer))},
				"spec": map[string]any{"signerName": signer, "usages": []string{"client auth"}, "request": newCSR(t, name, organizations...)}}
			a.send(t, who)
		}
	}
	const client, kubelet = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"
	return []attack{
		{"an admin role", a.run("create", "clusterrole", "all", "--verb=*", "--resource=*.*"), []string{"admin-role"}},
		{"an admin role: dry run", a.run("create", "clusterrole", "all-dry", "--verb=*", "--resource=*.*", "--dry-run=server"), []string{"admin-role"}},
		{"escalate by a JSON patch", func(t *testing.T) {
			a.kube(t, "create", "clusterrole", "harmless", "--verb=get", "--resource=pods")
			a.kube(t, "patch", "clusterrole", "harmless", "--type=json", `-p=[{"op":"add","path":"/rules/0/verbs/-","value":"escalate"}]`)
		}, []string{"admin-role"}},
		{"bind to cluster-admin", a.run("create", "clusterrolebinding", "x", "--clusterrole=cluster-admin", "--user=joe"), []string{"cluster-admin-binding"}},
		{"bind to cluster-admin in a namespace", a.run("create", "rolebinding", "x", "-n", target, "--clusterrole=cluster-admin", "--user=joe"), []string{"cluster-admin-binding"}},
		{"bind strangers", a.run("create", "clusterrolebinding", "open", "--clusterrole=view", "--group=system:unauthenticated"), []string{"anonymous-binding"}},
		{"an account with the name of a controller", a.run("create", "serviceaccount", "route-controller", "-n", "kube-system"), []string{"controller-account"}},
		{"dump secrets under its name, in a pod", func(t *testing.T) {
			const account = "system:serviceaccount:kube-system:route-controller"
			a.kube(t, "create", "clusterrolebinding", "route", "--clusterrole=view", "--user="+account)
			pod := fmt.Sprintf(`{"metadata":{"name":"route"},"spec":{"serviceAccountName":"route-controller","nodeName":%q,"containers":[{"name":"a","image":"example.com/a:1"}]}}`, a.node)
			if code := a.send(t, request{user: "root", groups: "system:masters", method: http.MethodPost, path: "/api/v1/namespaces/kube-system/pods", body: pod}); code != 201 {
				t.Fatalf("the pod gave %d", code)
			}
			token, err := a.Kubectl(t.Context(), "create", "token", "route-controller", "-n", "kube-system", "--bound-object-kind=Pod", "--bound-object-name=route")
			must(t, err)
			a.send(t, request{token: strings.TrimSpace(string(token)), path: "/api/v1/secrets"})
		}, []string{"secrets-dump", "token-mint-kube-system"}},
		{"certificate of a controller", csr("root", client, "system:kube-controller-manager"), []string{"client-certificate"}},
		{"certificate of a master: refused by admission", csr("root", client, "joe", "system:masters"), []string{"client-certificate"}},
		{"certificate of another node", csr("root", kubelet, "system:node:elsewhere", "system:nodes"), []string{"client-certificate"}},
		{"certificate of jane", csr("root", client, "jane", "shop"), nil},
		{"approve by hand", a.run("certificate", "approve", "csr-janekubernetes.io-kube-apiserver-client"), []string{"csr-approval"}},
		{"approve: refused", func(t *testing.T) {
			a.send(t, request{user: "jane", method: http.MethodPut, path: "/apis/certificates.k8s.io/v1/certificatesigningrequests/x/approval", body: `{}`})
		}, []string{"csr-approval"}},
	}
}

func (a *attacker) workloads() []attack {
	pod := func(spec string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","namespace":"` + target + `"},"spec":{` + spec + `}}`
	}
	const container = `"containers":[{"name":"a","image":"example.com/a:1"}]`
	const privileged = `"containers":[{"name":"a","image":"example.com/a:1","securityContext":{"privileged":true}}]`
	mirror := func(t *testing.T) {
		var node struct{ Metadata struct{ UID string } }
		must(t, a.Do(t.Context(), http.MethodGet, "/api/v1/nodes/"+a.node, nil, &node))
		a.send(t, request{user: "system:node:" + a.node, groups: "system:nodes", agent: "kubelet/v1.37.2", method: http.MethodPost, path: "/api/v1/namespaces/default/pods",
			body: fmt.Sprintf(`{"metadata":{"name":"backdoor-%s","annotations":{"kubernetes.io/config.mirror":"4f"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":%q,"uid":%q,"controller":true}]},"spec":{"nodeName":%q,%s}}`,
				a.node, a.node, node.Metadata.UID, a.node, privileged)})
	}
	return []attack{
		{"privileged pod: dry run", a.apply(pod(privileged), "--dry-run=server"), []string{"privileged-container"}},
		{"privileged pod: refused by Pod Security", a.apply(strings.Replace(pod(privileged), target, "guarded", 1)), []string{"privileged-container"}},
		{"privileged pod by server-side apply", a.apply(pod(privileged), "--server-side", "--dry-run=server"), []string{"privileged-container"}},
		{"privileged Deployment by a patch", a.run("patch", "deployment", "web", "-n", target, "--type=json", `-p=[{"op":"add","path":"/spec/template/spec/containers/0/securityContext","value":{"privileged":true}}]`), []string{"privileged-container"}},
		{"hostPath", a.apply(pod(container+`,"volumes":[{"name":"v","hostPath":{"path":"/"}}]`), "--dry-run=server"), []string{"host-path"}},
		{"hostPID", a.apply(pod(container+`,"hostPID":true`), "--dry-run=server"), []string{"host-namespaces"}},
		{"a clean pod", a.apply(pod(container), "--dry-run=server"), nil},
		{"static pod", mirror, []string{"static-pod"}},
		{"exec", a.run("exec", "-n", target, "bound", "--", "id"), []string{"exec"}},
		{"exec: refused", a.as("jane", "exec", "-n", target, "bound", "--", "id"), []string{"exec"}},
		{"attach", a.run("attach", "-n", target, "bound"), []string{"attach"}},
		{"ephemeral container", a.run("debug", "-n", target, "bound", "--image=example.com/tools:1", "--attach=false"), []string{"ephemeral-container"}},
		{"port-forward", a.run("port-forward", "-n", target, "pod/bound", "0:80"), nil}, // kubectl itself sees that the pod does not run
		{"port-forward: sent", func(t *testing.T) {
			a.send(t, request{user: "jane", method: http.MethodPost, path: "/api/v1/namespaces/" + target + "/pods/bound/portforward"})
		}, []string{"port-forward"}},
		{"nodes/proxy", func(t *testing.T) {
			a.send(t, request{user: "root", groups: "system:masters", path: "/api/v1/nodes/" + a.node + "/proxy/pods"})
		}, []string{"node-proxy"}},
		{"a kubelet is asked by a stranger", func(t *testing.T) { // what a kubelet sends then
			a.send(t, request{user: "system:node:" + a.node, groups: "system:nodes", agent: "kubelet/v1.37.2", method: http.MethodPost, path: "/apis/authorization.k8s.io/v1/subjectaccessreviews",
				body: `{"spec":{"user":"jane","resourceAttributes":{"verb":"create","resource":"nodes","subresource":"proxy","name":"` + a.node + `"}}}`})
		}, []string{"kubelet-api"}},
	}
}

func (a *attacker) admission() []attack {
	const policy = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"p"},"spec":{"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"],"operations":["DELETE"]}]},"validations":[{"expression":"true"}]}}`
	const webhook = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"w"},"webhooks":[{"name":"a.example.com","clientConfig":{"url":"https://example.com/"},"sideEffects":"None","admissionReviewVersions":["v1"],"failurePolicy":"Ignore","rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["secrets"],"operations":["CREATE"]}]}]}`
	return []attack{
		{"take over by a webhook: dry run", a.apply(webhook, "--dry-run=server"), []string{"admission-change"}},
		{"a policy", a.apply(policy), []string{"admission-change"}},
		{"empty a policy", a.run("patch", "validatingadmissionpolicy", "p", "--type=json", `-p=[{"op":"replace","path":"/spec/validations/0/expression","value":"1 == 1"}]`), []string{"admission-change"}},
		{"remove a policy", a.run("delete", "validatingadmissionpolicy", "p"), []string{"admission-removed"}},
		{"lower Pod Security", a.run("label", "namespace", "guarded", "--overwrite", "pod-security.kubernetes.io/enforce=privileged"), []string{"pod-security-lowered"}},
		{"remove Pod Security", a.run("label", "namespace", target, "--overwrite", "pod-security.kubernetes.io/enforce=baseline"), nil},
		{"lower it by server-side apply", a.apply(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+target+`","labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`, "--server-side", "--force-conflicts"), []string{"pod-security-lowered"}},
		{"delete events", func(t *testing.T) {
			a.send(t, request{user: "root", groups: "system:masters", method: http.MethodDelete, path: "/api/v1/namespaces/" + target + "/events"})
		}, []string{"events-deleted"}},
	}
}

func (a *attacker) origin() []attack {
	return []attack{
		{"a stranger: let in by an earlier attack", func(t *testing.T) { a.send(t, request{path: "/api/v1/namespaces/default/pods"}) }, []string{"anonymous-access"}},
		{"a stranger: refused", func(t *testing.T) { a.send(t, request{path: "/api/v1/namespaces/default/secrets/x"}) }, []string{"anonymous-refused"}},
		{"impersonate a master", a.run("get", "pods", "--as=joe", "--as-group=system:masters"), []string{"impersonation-privileged"}},
		{"impersonate jane", a.run("get", "pods", "-n", target, "--as=jane"), []string{"impersonation"}},
		{"impersonate: refused", a.as("jane", "get", "--raw=/api/v1/namespaces/default/pods", "--as=joe"), []string{"impersonation"}},
		{"a node's certificate with kubectl", a.as("system:node:"+a.node+"|system:nodes", "get", "--raw=/api/v1/nodes/"+a.node), []string{"system-credential"}},
		{"a pod's token from two places", func(t *testing.T) {
			for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
				a.send(t, request{token: a.token, from: from, path: "/api/v1/namespaces/" + target + "/pods"})
			}
		}, []string{"credential-replay"}},
	}
}

func (a *attacker) discovery() []attack {
	return []attack{
		{"ask fifty times", func(t *testing.T) {
			for n := range 50 {
				a.send(t, request{token: a.token, method: http.MethodPost, path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
					body: fmt.Sprintf(`{"spec":{"resourceAttributes":{"verb":"get","resource":"r%d"}}}`, n)})
			}
		}, []string{"permission-probe"}},
		{"try twenty doors", func(t *testing.T) {
			for n := range 20 {
				a.send(t, request{token: a.token, path: fmt.Sprintf("/apis/example.com/v1/things%d", n)})
			}
		}, []string{"forbidden-burst"}},
	}
}
