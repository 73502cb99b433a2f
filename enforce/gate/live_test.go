package gate

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// clientFor gives a client that acts as the user.
func clientFor(t testing.TB, kubeconfig, as string) *kubernetes.Clientset {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	if as != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: as, Groups: []string{"system:authenticated"}}
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// live is a gate of this process beside a control plane of the test's own.
type live struct {
	cluster *devcluster.Cluster
	admin   *kubernetes.Clientset
	gate    *Gate
	book    *book
	records sync.Map // ID -> data
	config  imagegate.Config
}

// newLive installs a gate from its own manifests, acting as its own ServiceAccount.
func newLive(t testing.TB, options func(*Options)) *live {
	cluster := devclustertest.Own(t)
	l := &live{cluster: cluster, admin: clientFor(t, cluster.Kubeconfig, ""), book: &book{good: map[string]bool{}, tags: map[string]string{}}}
	webhooks, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	health, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.config = imagegate.Config{Namespace: "bailey", URL: "https://" + webhooks.Addr().String()}
	objects, err := (&Install{Config: l.config}).Objects()
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := YAML(objects)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "gate.yaml")
	if err := os.WriteFile(file, manifests, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := cluster.Kubectl(t.Context(), "apply", "-f", file); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, manifests)
	}
	client := clientFor(t, cluster.Kubeconfig, "system:serviceaccount:bailey:"+imagegate.Name)
	recorder := NewRecorder("test", discard, func(_ context.Context, records []Record) error {
		for _, r := range records {
			l.records.Store(r.ID, string(r.Data))
		}
		return nil
	})
	o := Options{Trust: l.book.trust("1"), Namespace: "bailey", Log: discard, Record: recorder, Grants: ClusterGrants(client, nil), RefusedFor: 1, TagFor: 1}
	if options != nil {
		options(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Running{Options: o, Client: client, Config: l.config, Webhooks: webhooks, Health: health,
			CheckEvery: 200 * time.Millisecond, Drain: -1}, func(g *Gate) { l.gate = g })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the gate ended: %v", err)
		}
	})
	// It is in place when the API server trusts its certificate: a refusal is then its own.
	l.ready(t)
	return l
}

func (l *live) ready(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := l.pod(t.Context(), "default", "probe", bad+digest("0"))
		if err != nil && strings.Contains(err.Error(), `"`+imagegate.ImagesWebhook+`" denied the request`) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the gate does not answer: %v", err)
		}
	}
}

// pod creates a pod, as a dry-run, and gives what the API server says.
func (l *live) pod(ctx context.Context, namespace, name, image string) error {
	_, err := l.admin.CoreV1().Pods(namespace).Create(ctx, newPod(name, image), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

func newPod(name, image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: image}}}}
}

// TestLive tries the gate behind an API server: what it refuses, pins and leaves alone.
func TestLive(t *testing.T) {
	l := newLive(t, nil)
	ctx := t.Context()
	namespace := devclustertest.NamespaceIn(t, l.cluster, nil)
	l.book.set(func() {
		l.book.good[digest("a")] = true
		l.book.tags["registry.example.com/shop/web:1"] = digest("a")
		l.book.tags["registry.example.com/shop/evil:1"] = digest("b")
	})
	pods := l.admin.CoreV1().Pods(namespace)
	pod, err := pods.Create(ctx, newPod("web", "registry.example.com/shop/web:1"), metav1.CreateOptions{})
	if err != nil || pod.Spec.Containers[0].Image != "registry.example.com/shop/web:1@"+digest("a") {
		t.Fatalf("%v: %+v", err, pod)
	}
	t.Run("updates", func(t *testing.T) {
		before := decisions(l, "")
		pod.ResourceVersion = "" // the scheduler writes into its status meanwhile
		pod.Labels = map[string]string{"a": "b"}
		if pod, err = pods.Update(ctx, pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if after := decisions(l, ""); after != before {
			t.Errorf("an update that changes no image asked the gate %v times", after-before)
		}
		wrong := pod.DeepCopy()
		wrong.ResourceVersion = ""
		wrong.Spec.Containers[0].Image = "registry.example.com/shop/evil:1"
		if _, err := pods.Update(ctx, wrong, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "registry.example.com/shop/evil:1@"+digest("b")) {
			t.Errorf("%v", err)
		}
		latest := func() *corev1.Pod { // the scheduler writes into it
			p, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p.ResourceVersion = ""
			return p
		}
		debug := latest()
		debug.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "registry.example.com/shop/evil:1", TerminationMessagePolicy: "File", ImagePullPolicy: "Always"}}}
		if _, err := pods.UpdateEphemeralContainers(ctx, pod.Name, debug, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("an ephemeral container: %v", err)
		}
		right := latest()
		right.Spec.EphemeralContainers = debug.Spec.EphemeralContainers
		right.Spec.EphemeralContainers[0].Image = "registry.example.com/shop/web:1"
		got, err := pods.UpdateEphemeralContainers(ctx, pod.Name, right, metav1.UpdateOptions{})
		if err != nil || got.Spec.EphemeralContainers[0].Image != "registry.example.com/shop/web:1@"+digest("a") {
			t.Errorf("an ephemeral container that is vouched for: %v: %+v", err, got.Spec.EphemeralContainers)
		}
	})
	t.Run("every kind", func(t *testing.T) { l.everyKind(t, namespace) })
	t.Run("exempt", func(t *testing.T) {
		for _, namespace := range []string{"kube-system", "bailey"} {
			if err := l.pod(ctx, namespace, "x", bad+digest("b")); err != nil && strings.Contains(err.Error(), "gate.bailey.dev") {
				t.Errorf("%s is not exempt: %v", namespace, err)
			}
		}
	})
	t.Run("breakglass", func(t *testing.T) { l.breakglass(t, namespace) })
	t.Run("scope", func(t *testing.T) { l.scope(t) })
	t.Run("CA", func(t *testing.T) { l.newCA(t, namespace) })
}

// decisions counts what the gate was asked by a webhook; by all where it is "".
func decisions(l *live, webhook string) float64 {
	families, err := l.gate.metrics.registry.Gather()
	if err != nil {
		return -1
	}
	n := 0.0
	for _, f := range families {
		if f.GetName() == "bailey_gate_requests_total" {
			for _, m := range f.GetMetric() {
				asked := webhook == ""
				for _, label := range m.GetLabel() {
					asked = asked || label.GetValue() == webhook
				}
				if asked {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// collections are the paths at which objects of each kind are made.
var collections = map[string]string{
	"Pod": "/api/v1/namespaces/NS/pods", "PodTemplate": "/api/v1/namespaces/NS/podtemplates", "ReplicationController": "/api/v1/namespaces/NS/replicationcontrollers",
	"Deployment": "/apis/apps/v1/namespaces/NS/deployments", "ReplicaSet": "/apis/apps/v1/namespaces/NS/replicasets", "StatefulSet": "/apis/apps/v1/namespaces/NS/statefulsets",
	"DaemonSet": "/apis/apps/v1/namespaces/NS/daemonsets", "Job": "/apis/batch/v1/namespaces/NS/jobs", "CronJob": "/apis/batch/v1/namespaces/NS/cronjobs",
}

// everyKind sends each kind in each place, beside a twin.
func (l *live) everyKind(t *testing.T, namespace string) {
	for kind, path := range collections {
		for place := range places {
			if strings.HasPrefix(place, "a place") || place == "ephemeral container" {
				continue // the API server refuses or drops it
			}
			for image, admit := range map[string]bool{good + digest("a"): true, bad + digest("b"): false} {
				var object map[string]any
				if err := json.Unmarshal([]byte(liveObject(kind, filled(places[place], image))), &object); err != nil {
					t.Fatal(err)
				}
				asked := decisions(l, imagegate.PinWebhook)
				err := l.cluster.Do(t.Context(), http.MethodPost, strings.Replace(path, "NS", namespace, 1)+"?dryRun=All", object, nil)
				if n := decisions(l, imagegate.PinWebhook) - asked; n != 0 {
					t.Errorf("%s, %s, %s: the gate was asked %v times to pin an image that has a digest", kind, place, image, n)
				}
				if (err == nil) != admit || !admit && !strings.Contains(err.Error(), imagegate.ImagesWebhook+`\" denied the request: image `+bad) && !strings.Contains(err.Error(), imagegate.ImagesWebhook+`" denied the request: image `+bad) {
					t.Errorf("%s, %s, %s: %v", kind, place, image, err)
				}
			}
			var tagged map[string]any
			if err := json.Unmarshal([]byte(liveObject(kind, filled(places[place], "registry.example.com/shop/web:1"))), &tagged); err != nil {
				t.Fatal(err)
			}
			var made json.RawMessage
			if err := l.cluster.Do(t.Context(), http.MethodPost, strings.Replace(path, "NS", namespace, 1)+"?dryRun=All", tagged, &made); err != nil {
				t.Errorf("%s, %s, by tag: %v", kind, place, err)
			}
			if !strings.Contains(string(made), `"registry.example.com/shop/web:1@`+digest("a")) {
				t.Errorf("%s, %s: the tag was not pinned: %s", kind, place, made)
			}
		}
	}
}

// liveObject is one that the API server accepts but for its images.
func liveObject(kind, spec string) string {
	pod := `{"metadata":{"labels":{"a":"b"}},"spec":` + strings.Replace(spec, `"containers":`, `"restartPolicy":"RESTART","containers":`, 1) + `}`
	restart, meta, selector := "Always", `"metadata":{"name":"x"}`, `"selector":{"matchLabels":{"a":"b"}},`
	switch kind {
	case "Job", "CronJob":
		restart = "Never"
	}
	pod = strings.Replace(pod, "RESTART", restart, 1)
	switch kind {
	case "Pod":
		return `{"apiVersion":"v1","kind":"Pod",` + meta + `,` + pod[strings.Index(pod, `"spec"`):]
	case "PodTemplate":
		return `{"apiVersion":"v1","kind":"PodTemplate",` + meta + `,"template":` + pod + `}`
	case "ReplicationController":
		return `{"apiVersion":"v1","kind":"ReplicationController",` + meta + `,"spec":{"selector":{"a":"b"},"template":` + pod + `}}`
	case "Job":
		return `{"apiVersion":"batch/v1","kind":"Job",` + meta + `,"spec":{"template":` + pod + `}}`
	case "CronJob":
		return `{"apiVersion":"batch/v1","kind":"CronJob",` + meta + `,"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":` + pod + `}}}}`
	case "StatefulSet":
		selector += `"serviceName":"x",`
	}
	return `{"apiVersion":"apps/v1","kind":"` + kind + `",` + meta + `,"spec":{` + selector + `"template":` + pod + `}}`
}

// breakglass makes grants as people, through the API server, with real RBAC.
func (l *live) breakglass(t *testing.T, namespace string) {
	ctx := t.Context()
	for name, rules := range map[string][]rbacv1.PolicyRule{
		"leases":     {{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create", "update", "delete", "get"}}},
		"breakglass": {{APIGroups: []string{GrantGroup}, Resources: []string{GrantResource}, Verbs: []string{GrantVerb}}},
	} {
		subjects := []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "anna"}}
		if name == "leases" {
			subjects = append(subjects, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "jane"})
		}
		if _, err := l.admin.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.admin.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	lease := GrantLease("fire", digest("b"), time.Hour, "the build is down, INC-1234")
	jane, anna := clientFor(t, l.cluster.Kubeconfig, "jane"), clientFor(t, l.cluster.Kubeconfig, "anna")
	if _, err := jane.CoordinationV1().Leases(namespace).Create(ctx, lease, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "jane does not hold the verb breakglass") {
		t.Fatalf("jane, who may not: %v", err)
	}
	var granted = lease
	await(t, func() bool { // the authorizer hears of the binding
		var err error
		granted, err = anna.CoordinationV1().Leases(namespace).Create(ctx, lease, metav1.CreateOptions{})
		return err == nil
	})
	if granted.Spec.HolderIdentity == nil || *granted.Spec.HolderIdentity != "anna" || granted.Annotations[sealAnnotation] == "" {
		t.Fatalf("%+v", granted)
	}
	if _, err := l.admin.CoreV1().Pods(namespace).Create(ctx, newPod("emergency", bad+digest("b")), metav1.CreateOptions{}); err != nil {
		t.Errorf("the grant does not admit: %v", err)
	}
	uses := 0
	l.records.Range(func(_, data any) bool {
		if text := data.(string); strings.Contains(text, `"webhook":"`+imagegate.ImagesWebhook) && strings.Contains(text, "of anna until") {
			uses++
		}
		return true
	})
	if uses != 1 {
		t.Errorf("%d records of one use", uses)
	}
	longer := granted.DeepCopy()
	hours := int32(10 * 3600)
	longer.Spec.LeaseDurationSeconds = &hours
	for name, client := range map[string]*kubernetes.Clientset{"jane": jane, "anna": anna, "admin": l.admin} {
		if _, err := client.CoordinationV1().Leases(namespace).Update(ctx, longer, metav1.UpdateOptions{}); err == nil || !strings.Contains(err.Error(), "bears no seal") {
			t.Errorf("%s changes the grant: %v", name, err)
		}
	}
	// A copy, with all its annotations, in a namespace where anna holds no verb.
	other := devclustertest.NamespaceIn(t, l.cluster, nil)
	copied := granted.DeepCopy()
	copied.ResourceVersion, copied.UID, copied.Namespace = "", "", other
	if _, err := l.admin.RbacV1().RoleBindings(other).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "edit"},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "anna"}}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wide := copied.DeepCopy()
	wide.Namespace = namespace
	if _, err := jane.CoordinationV1().Leases(namespace).Create(ctx, wide, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) && (err == nil || !strings.Contains(err.Error(), "does not hold")) {
		t.Errorf("jane copies the grant: %v", err)
	}
	if err := anna.CoordinationV1().Leases(namespace).Delete(ctx, "fire", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := l.pod(ctx, namespace, "late", bad+digest("b")); !apierrors.IsForbidden(err) {
		t.Errorf("after the grant was deleted: %v", err)
	}
}

// scope widens the configuration's exemption, which the gate tells.
func (l *live) scope(t *testing.T) {
	ctx := t.Context()
	api := l.admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	await(t, func() bool { return deviations(l) == 0 })
	var whole *admissionregistrationv1.ValidatingWebhookConfiguration
	if err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the gate keeps it too
		c, err := api.Get(ctx, imagegate.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		whole = c.DeepCopy()
		e := &c.Webhooks[0].NamespaceSelector.MatchExpressions[0]
		e.Values = append(e.Values, "shop")
		_, err = api.Update(ctx, c, metav1.UpdateOptions{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return deviations(l) == 1 })
	await(t, func() (told bool) { // records are gathered, and come after the metric
		l.records.Range(func(id, data any) bool {
			told = told || strings.HasPrefix(id.(string), "gate/scope/") && strings.Contains(data.(string), "leaves out other namespaces")
			return !told
		})
		return told
	})
	if err := api.Delete(ctx, imagegate.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return deviations(l) == 1 })
	whole.ResourceVersion, whole.UID = "", ""
	if _, err := api.Create(ctx, whole, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return deviations(l) == 0 })
	l.ready(t)
}

func deviations(l *live) float64 {
	families, err := l.gate.metrics.registry.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() == "bailey_gate_scope_deviations" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

// newCA loses the keys: the gate makes others, and puts the CA where the API server looks.
func (l *live) newCA(t *testing.T, namespace string) {
	ctx := t.Context()
	secret, err := l.admin.CoreV1().Secrets("bailey").Get(ctx, SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(secret.Data[caKey]) == 0 || len(secret.Data[grantsKey]) == 0 {
		t.Fatalf("the Secret holds no keys: %d entries", len(secret.Data))
	}
	secret.Data = nil
	secret.ResourceVersion = ""
	if _, err := l.admin.CoreV1().Secrets("bailey").Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		s, err := l.admin.CoreV1().Secrets("bailey").Get(ctx, SecretName, metav1.GetOptions{})
		return err == nil && len(s.Data[tlsCert]) > 0
	})
	await(t, func() bool { return l.pod(ctx, namespace, "x", good+digest("a")) == nil })
	if err := l.pod(ctx, namespace, "x", bad+digest("b")); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
