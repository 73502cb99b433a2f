package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/devcluster"
)

const webhookConfigurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

// upGated is a cluster where up looks for its own, which runs on when up ends: what it leaves
// can be looked at.
type upGated struct {
	t       *testing.T
	state   string
	cluster *devcluster.Cluster
}

func newUpGated(t *testing.T) *upGated {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	state := t.TempDir()
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{State: filepath.Join(state, "bailey", "devcluster")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &upGated{t, state, cluster}
}

// up starts bailey up there. With gate set it returns once its gate is asked.
func (u *upGated) up(gate bool, args ...string) *servedProcess {
	u.t.Helper()
	before := u.webhook()
	p := startServed(u.t, u.state, append([]string{"up", "--controlplane", u.cluster.Binary, "--prove-every", "0"}, args...)...)
	for end := time.Now().Add(30 * time.Second); gate; time.Sleep(50 * time.Millisecond) {
		if now := u.webhook(); now != "" && now != before {
			break
		}
		if time.Now().After(end) {
			u.t.Fatal("its gate is not asked")
		}
	}
	return p
}

// webhook gives the address that is asked about pods; empty if none is. More than one is an error.
func (u *upGated) webhook() string {
	u.t.Helper()
	var list admissionv1.ValidatingWebhookConfigurationList
	if err := u.cluster.Do(u.t.Context(), http.MethodGet, webhookConfigurations, nil, &list); err != nil {
		u.t.Fatal(err)
	}
	found := ""
	for _, c := range list.Items {
		if strings.HasPrefix(c.Name, "theirs") {
			continue
		}
		if found != "" || len(c.Webhooks) != 1 || c.Webhooks[0].Name != imagegate.RulesWebhook {
			u.t.Fatalf("configurations: %+v", list.Items)
		}
		found = *c.Webhooks[0].ClientConfig.URL
	}
	return found
}

// create creates a pod by kubectl, and gives what that says to whoever sits before it.
func (u *upGated) create(name, spec string) (said string, err error) {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), u.cluster.Binary, "kubectl", "--kubeconfig", u.cluster.Kubeconfig, "create", "-f", "-")
	cmd.Stdin = strings.NewReader(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "` + name + `", "namespace": "default"}, "spec": ` + spec + `}`)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	return stderr.String(), err
}

const (
	plainPod      = `{"containers": [{"name": "c", "image": "x"}]}`
	privilegedPod = `{"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": true}}]}`
	wouldRefuse   = "Warning: Bailey would refuse this: rule compute/pod-security/privileged (high) at spec.containers[0].securityContext.privileged: "
)

// warned creates a privileged pod until kubectl warns of it as is wanted: the API server hears of
// a webhook a moment after it is there.
func (u *upGated) warned(name string, want bool) {
	u.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		said, err := u.create(name, privilegedPod)
		if err != nil {
			u.t.Fatalf("a pod is refused: %v: %s", err, said)
		}
		if err := u.cluster.Do(u.t.Context(), http.MethodDelete, "/api/v1/namespaces/default/pods/"+name, map[string]any{"gracePeriodSeconds": 0}, nil); err != nil {
			u.t.Fatal(err)
		}
		if strings.Contains(said, wouldRefuse) == want {
			return
		}
		if time.Now().After(end) {
			u.t.Fatalf("a warning is wanted: %t; kubectl says %q", want, said)
		}
	}
}

// TestUpGate: up's gate warns of what a scan would fail on and refuses nothing; Ctrl-C takes its
// webhook away; one that was killed leaves one behind that is in nobody's way, until the next up
// puts its own in the place of it. What others have installed is not touched.
func TestUpGate(t *testing.T) {
	t.Parallel()
	u := newUpGated(t)
	ignore, none, url := admissionv1.Ignore, admissionv1.SideEffectClassNone, "https://127.0.0.1:1/theirs"
	theirs := &admissionv1.ValidatingWebhookConfiguration{Webhooks: []admissionv1.ValidatingWebhook{{Name: "theirs.example.com", FailurePolicy: &ignore, SideEffects: &none,
		AdmissionReviewVersions: []string{"v1"}, ClientConfig: admissionv1.WebhookClientConfig{URL: &url}}}}
	theirs.Name = "theirs"
	if err := u.cluster.Do(t.Context(), http.MethodPost, webhookConfigurations, theirs, nil); err != nil {
		t.Fatal(err)
	}

	p := u.up(true)
	first := u.webhook()
	if _, errs, code := programIn(t, u.state, "up", "--controlplane", u.cluster.Binary, "--listen", strings.TrimPrefix(p.url, "http://")); code != exitUsage || !strings.Contains(errs, "address already in use") {
		t.Errorf("a second up beside it: exit %d, %s", code, errs)
	}
	if u.webhook() != first {
		t.Error("a second up takes away the gate of the first")
	}
	u.warned("a", true)
	if said, err := u.create("plain", plainPod); err != nil || strings.Contains(said, "Warning") {
		t.Errorf("a pod with nothing high wrong: %v: %s", err, said)
	}
	token := tokenIn(t, filepath.Join(u.state, "bailey", "server"))
	awaitText(t, p, token, "/api/v1/status", `"gate":{"mode":"warn","asked":true,"deviations":0,"judged":`)
	if _, body := p.get(t, "/metrics", ""); len(othersNames(body)) > 0 || !strings.Contains(body, "bailey_gate_attached 1\n") || !strings.Contains(body, `bailey_gate_mode_info{mode="warn"} 1`) || !strings.Contains(body, `bailey_gate_requests_total{decision="warned",webhook="rules.gate.bailey.dev"}`) {
		t.Error("the metrics say nothing of the gate")
	}
	awaitText(t, p, token, "/enforce", "A gate runs beside the server, and warns.")
	// Bailey's own webhook, which comes and goes with it, is not judged; others are.
	awaitText(t, p, token, "/api/v1/findings?control=deploy/admission", "theirs")
	if _, body := p.get(t, "/api/v1/findings?control=deploy/admission", token); strings.Contains(body, imagegate.Name) {
		t.Errorf("it judges its own gate: %s", body)
	}

	p.kill()
	if left := u.webhook(); left != first {
		t.Fatalf("one that was killed left %q, and not its own %q", left, first)
	}
	u.warned("b", false)

	p = u.up(true)
	if u.webhook() == first {
		t.Error("the gate that was killed is asked still")
	}
	u.warned("c", true)
	// Nor do detections tell of it, whoever reads the audit log: this one has three of its changes.
	awaitText(t, p, token, "/api/v1/status", `"detections":{"since"`)
	theirs.Name = "theirs-too"
	if err := u.cluster.Do(t.Context(), http.MethodPost, webhookConfigurations, theirs, nil); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, token, "/api/v1/alerts", "theirs-too") // what was before it in the log was told before
	if _, body := p.get(t, "/api/v1/alerts", token); strings.Contains(body, imagegate.Name) {
		t.Errorf("an alert tells of its gate: %s", body)
	}
	code, said := p.end(t)
	if code != exitOK || strings.Contains(said, "level=") {
		t.Errorf("exit %d: %s", code, said)
	}
	if left := u.webhook(); left != "" {
		t.Errorf("Ctrl-C left a webhook: %s", left)
	}
	if err := u.cluster.Do(t.Context(), http.MethodGet, webhookConfigurations+"/theirs", nil, nil); err != nil {
		t.Errorf("another's webhook: %v", err)
	}
}

// TestUpGateEnforces: where it is told to, the gate refuses, fails closed, and is asked again after
// somebody has deleted its webhook; --gate=off takes
// away what one left that was killed; a gate that somebody installed stays, and is alone.
func TestUpGateEnforces(t *testing.T) {
	t.Parallel()
	u := newUpGated(t)
	config := filepath.Join(u.state, "bailey.yaml")
	put(t, config, "waivers: [{rule: compute/pod-security/privileged, name: waived, reason: it must, owner: jane, expires: 2999-12-31}]\n")
	p := u.up(true, "--gate=enforce", "--config", config)
	await := func(what string, done func(said string, err error) bool, name, spec string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			said, err := u.create(name, spec)
			if done(said, err) {
				return
			}
			if err == nil {
				name += "x"
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v: %s", what, err, said)
			}
		}
	}
	await("a privileged pod is refused", func(said string, err error) bool {
		return err != nil && strings.Contains(said, `"rules.gate.bailey.dev" denied the request: rule compute/pod-security/privileged`)
	}, "a", privilegedPod)
	// Its name and annotation hide no other webhook, and it does not take the place of one that may be there.
	at, token := u.webhook(), tokenIn(t, filepath.Join(u.state, "bailey", "server"))
	var theirs admissionv1.ValidatingWebhookConfiguration
	if err := u.cluster.Do(t.Context(), http.MethodGet, webhookConfigurations+"/"+imagegate.Name, nil, &theirs); err != nil {
		t.Fatal(err)
	}
	ignore, evil := admissionv1.Ignore, "https://evil.invalid/"
	theirs.Webhooks[0].FailurePolicy, theirs.Webhooks[0].ClientConfig.URL, theirs.Webhooks[0].MatchConditions = &ignore, &evil, nil
	theirs.Webhooks[0].Rules[0].Resources = []string{"secrets"}
	if err := u.cluster.Do(t.Context(), http.MethodPut, webhookConfigurations+"/"+imagegate.Name, &theirs, nil); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, token, "/api/v1/findings?control=deploy/admission", imagegate.Name)
	awaitText(t, p, token, "/enforce", "the API server is not known to ask it.")
	if err := u.cluster.Do(t.Context(), http.MethodDelete, webhookConfigurations+"/"+imagegate.Name, nil, nil); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); u.webhook() != at; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what somebody has deleted is not written again")
		}
	}
	awaitText(t, p, token, "/enforce", "A gate runs beside the server, and refuses.")
	await("it refuses again", func(_ string, err error) bool { return err != nil }, "again", privilegedPod)
	if said, err := u.create("plain", plainPod); err != nil || said != "" {
		t.Errorf("a plain pod: %v: %s", err, said)
	}
	if _, body := p.get(t, "/api/v1/findings?control=deploy/admission", token); strings.Contains(body, imagegate.Name) {
		t.Errorf("it judges its own gate: %s", body)
	}
	if said, err := u.create("waived", privilegedPod); err != nil || !strings.Contains(said, "is waived until 2999-12-31 by jane") {
		t.Errorf("one that a waiver of the configuration takes in: %v: %s", err, said)
	}
	p.kill()
	await("nothing comes in past a gate that is gone", func(said string, err error) bool {
		return err != nil && strings.Contains(said, "failed calling webhook")
	}, "b", plainPod)

	key := filepath.Join(u.state, "bailey", "server", "hallmark.key")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 65 {
		t.Errorf("the key of the gate's requests: %+v, %v", info, err)
	}
	put(t, key, "no key")
	if _, errs, code := programIn(t, u.state, "up", "--controlplane", u.cluster.Binary, "--gate=off"); code == exitOK || !strings.Contains(errs, "hallmark.key holds no key\nhint: remove it") {
		t.Errorf("with a key that is none: exit %d, %s", code, errs)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	p = u.up(false, "--gate=off")
	if left := u.webhook(); left != "" {
		t.Errorf("--gate=off leaves %s", left)
	}
	await("a pod comes in without a gate", func(said string, err error) bool { return err == nil && said == "" }, "c", privilegedPod)
	if code, said := p.end(t); code != exitOK || !strings.Contains(said, "The cluster runs until: bailey down") {
		t.Errorf("exit %d: %s", code, said)
	}

	installed := imagegate.Config{Namespace: "bailey", URL: "https://127.0.0.1:1", Warn: true, RulesOnly: true}.Validating()
	if err := u.cluster.Do(t.Context(), http.MethodPost, webhookConfigurations, installed, nil); err != nil {
		t.Fatal(err)
	}
	p = u.up(false)
	code, said := p.end(t)
	if at := u.webhook(); code != exitOK || at != "https://127.0.0.1:1/rules" || !strings.Contains(said, "No gate is started: the cluster has another gate, as ValidatingWebhookConfiguration bailey-gate") {
		t.Errorf("exit %d, asked is %s: %s", code, at, said)
	}
}

// TestDown: down stops a cluster of which a part has died (TestUp has it stop one that is well),
// leaves no process of it, and is content where all have, or none was.
func TestDown(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	t.Parallel()
	binary, err := devcluster.Find("")
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	dir := filepath.Join(state, "bailey", "devcluster")
	down := func(want string) {
		t.Helper()
		if out, errs, code := programIn(t, state, "down"); code != exitOK || errs != "" || !strings.Contains(out, want) {
			t.Fatalf("down: exit %d, %s%s", code, out, errs)
		}
	}
	down("There is no cluster to stop.")
	t.Cleanup(func() {
		if err := devcluster.Stop(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	for _, dies := range [][]string{{devcluster.APIServer}, {devcluster.Etcd, devcluster.APIServer, devcluster.ControllerManager, devcluster.Scheduler}} {
		if _, errs, code := programIn(t, state, "up", "--detach", "--controlplane", binary); code != exitOK {
			t.Fatalf("up --detach: exit %d, %s", code, errs)
		}
		cluster, err := devcluster.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		pids := cluster.PIDs()
		for _, component := range dies {
			if err := syscall.Kill(pids[component], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		down("The cluster is stopped.")
		for component, pid := range pids {
			if runsIn(pid, dir) {
				t.Errorf("with %v dead, %s runs on", dies, component)
			}
		}
	}
	down("The cluster is stopped.")
}

// runsIn reports whether the process is there, and is one of the cluster in the folder.
func runsIn(pid int, dir string) bool {
	at, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	return err == nil && at == dir
}
