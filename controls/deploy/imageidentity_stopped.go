package deploy

import (
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/minted"
	"github.com/baileyhq/bailey/controls/internal/pods"
	"github.com/baileyhq/bailey/derive/imagegate"
)

const (
	// nobody is an address at which nothing answers: port 1 of the API server's own machine.
	nobody = "https://127.0.0.1:1"
	// webhookLag is how long API servers may take to learn of a new webhook.
	webhookLag = 10 * time.Second
)

var stoppedGateRefuses = &bailey.Experiment{
	Name:  "stopped-gate-refuses",
	Title: "While nothing of the gate answers, nothing is admitted",
	Doc: `Where Bailey's gate is, its webhook that judges images is copied: the rules, match conditions, failure policy and
timeout as they are in the cluster. The copy calls an address at which nobody answers, sees one namespace of the run's
own and nothing else, and bears a name of its own. The gate itself goes on as before: nothing of the cluster's is
stopped or changed.

By dry-run a pod is created there, and an ephemeral container added to one; the API server must refuse both because
the copy does not answer. Each has its twin in another namespace of the run's own, which the copy does not see. Their
image is that of a pod that runs in the cluster: where the gate itself, which sees both, does not admit it there,
nothing is shown. The pods that are made have a scheduling gate and never run. Everything is removed.

It is disruptive because webhooks are cluster-wide: who may make one, as the prober then must, can stop the cluster, and
no admission policy limits that. The runner makes none that sees more than a namespace of its own. A gate other
than Bailey's is not tried, nor is what a call that takes too long comes to.`,
	Hypothesis: "While no replica of the gate answers, no image comes into a guarded namespace.",
	Danger:     bailey.DangerDisruptive,
	Technique:  "T1562.001",
	Detections: []string{"ephemeral-container"},
	Scope:      bailey.ScopeCluster,
	Needs:      []bailey.Kind{bailey.KindNamespace, bailey.KindPod, bailey.KindValidatingWebhookConfiguration},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
		gate, _ := bailey.As[*admissionv1.ValidatingWebhookConfiguration](v.Get(bailey.KindValidatingWebhookConfiguration, "", imagegate.Name))
		seen, unseen := minted.Namespace("stopped"), minted.Namespace("beside")
		copied := unanswered(gate, seen)
		if copied == nil {
			return nil
		}
		model := pods.Model{Image: pods.Pause}
		for _, ns := range pods.Sample(v.List(bailey.KindNamespace, ""), 1) {
			model = pods.ModelOf(v, ns.Name)
		}
		never := func(namespace string) *corev1.Pod {
			model.Namespace = namespace
			pod := pods.Restricted(model)
			pod.Name, pod.GenerateName, pod.Labels = "never", "", nil
			pod.Spec.InitContainers = nil
			pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "bailey.dev/never"}}
			return pod
		}
		made := func(namespace string) bailey.Step {
			step := pods.Create(never(namespace))
			step.Request.Real = true
			return step
		}
		create := func(namespace string, refusers ...bailey.Refuser) bailey.Step {
			pod := never(namespace)
			pod.Name = "another"
			return pods.Create(pod, refusers...)
		}
		add := func(namespace string, refusers ...bailey.Refuser) bailey.Step {
			return pods.AddEphemeral(never(namespace), pods.Ephemeral(model.Image), refusers...)
		}
		setup := []bailey.Step{minted.MakeNamespace(seen), minted.MakeNamespace(unseen), made(seen), made(unseen),
			minted.MakeReal(admissionv1.SchemeGroupVersion.String(), "validatingwebhookconfigurations", "", copied)}
		var probes []bailey.Probe
		for _, way := range []struct {
			name, path string
			step       func(string, ...bailey.Refuser) bailey.Step
		}{{"new pod", "create pods", create}, {"ephemeral container", "patch pods/ephemeralcontainers", add}} {
			try := way.step(seen, bailey.RefuserFailedCall)
			try.Within = webhookLag
			probes = append(probes, bailey.Probe{Name: way.name, Path: way.path, Setup: setup, Twin: way.step(unseen), Try: try, Detections: pods.Noticed(&try)})
		}
		return probes
	},
}

// unanswered is a copy of the gate's webhook that judges images, for one namespace, which
// nobody answers; nil if there is no such webhook.
func unanswered(gate *admissionv1.ValidatingWebhookConfiguration, namespace string) map[string]any {
	if gate == nil {
		return nil
	}
	at := slices.IndexFunc(gate.Webhooks, func(w admissionv1.ValidatingWebhook) bool { return w.Name == imagegate.ImagesWebhook })
	if at < 0 {
		return nil
	}
	w := gate.Webhooks[at].DeepCopy()
	url, namespaced := nobody+imagegate.ImagesPath, admissionv1.NamespacedScope
	w.Name = bailey.ProbePrefix + "${run}." + w.Name
	w.ClientConfig = admissionv1.WebhookClientConfig{URL: &url}
	w.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
	w.Rules = slices.DeleteFunc(w.Rules, func(r admissionv1.RuleWithOperations) bool {
		return r.Scope != nil && *r.Scope == admissionv1.ClusterScope
	})
	for i := range w.Rules {
		w.Rules[i].Scope = &namespaced
	}
	webhook, err := runtime.DefaultUnstructuredConverter.ToUnstructured(w)
	if err != nil {
		panic("a webhook does not convert to a map: " + err.Error()) // a type of the API always does
	}
	return minted.Object(admissionv1.SchemeGroupVersion.String(), "ValidatingWebhookConfiguration", "", minted.Namespace("gate"), map[string]any{"webhooks": []any{webhook}})
}
