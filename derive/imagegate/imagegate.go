// Package imagegate holds what the API server has to be told about the admission
// gate (`bailey gate`): its webhooks, which requests they look at and which
// namespaces they leave alone; and says how a configuration that is read from a
// cluster lets more through than that. It is pure.
package imagegate

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// Name is that of both webhook configurations, and of the objects that the gate
// is installed with.
const Name = "bailey-gate"

// The webhooks, by their names.
const (
	ImagesWebhook = "images.gate.bailey.dev" // validating: judges images
	PinWebhook    = "pin.gate.bailey.dev"    // mutating: writes digests
	GrantWebhook  = "grants.gate.bailey.dev" // validating: judges break-glass grants
	SealWebhook   = "seal.gate.bailey.dev"   // mutating: seals them
	RulesWebhook  = "rules.gate.bailey.dev"  // validating: judges objects by rules, beside what the cluster holds
)

// The paths at which the gate's server takes each webhook's requests.
const (
	ImagesPath = "/images"
	PinPath    = "/pin"
	GrantPath  = "/grants"
	SealPath   = "/seal"
	RulesPath  = "/rules"
)

// GrantLabel marks the Leases that are break-glass grants.
const GrantLabel = "gate.bailey.dev/breakglass"

// AttachedAnnotation marks the configuration of a gate that wrote it itself, and removes it when
// it ends.
const AttachedAnnotation = "gate.bailey.dev/attached"

// Attached reports whether a configuration is that of a gate that attached itself.
func Attached(c *admissionv1.ValidatingWebhookConfiguration) bool {
	return c.Name == Name && c.Annotations[AttachedAnnotation] == "true"
}

// Wrote reports whether a configuration is as the gate of this Config wrote it, which attached
// itself: each webhook calls that gate, for no other requests, under the same conditions. The CA may be
// another: whom it vouches for sits at the same address.
func (c Config) Wrote(got *admissionv1.ValidatingWebhookConfiguration) bool {
	want := c.Validating()
	if !Attached(got) || len(got.Webhooks) != len(want.Webhooks) {
		return false
	}
	for i, w := range want.Webhooks {
		g := got.Webhooks[i]
		w.ClientConfig.CABundle, g.ClientConfig.CABundle = nil, nil
		if !equality.Semantic.DeepEqual(w, g) {
			return false
		}
	}
	return true
}

// TimeoutSeconds is how long the API server waits for a webhook, and WarnTimeoutSeconds for one
// that only warns: nothing hangs on its answer.
const (
	TimeoutSeconds     = 10
	WarnTimeoutSeconds = 3
)

// nameLabel is the label that the API server gives every namespace and lets nobody change.
const nameLabel = "kubernetes.io/metadata.name"

// Exempt gives the namespaces that the gate leaves alone, sorted: its own, so that it can
// be repaired, and those of the control plane.
func Exempt(own string) []string {
	names := append(slices.Clone(bailey.SystemNamespaces), own)
	slices.Sort(names)
	return slices.Compact(names)
}

// Config says where the gate's server is.
type Config struct {
	Namespace string // its own
	// Service is the Service's name; URL stands in its place where the gate
	// runs outside of the cluster: "https://gate.example.com:8443".
	Service  string
	URL      string
	CABundle []byte // PEM; the running gate fills it in
	PinPods  bool   // templates keep their tags: only pods are pinned
	Rules    bool   // objects are judged by rules, too
	// RulesOnly leaves images and break-glass grants alone.
	RulesOnly bool
	// Warn refuses nothing and writes nothing: whoever asks is warned of what would be refused.
	// What fails lets the request through.
	Warn bool
}

func (c Config) client(path string) admissionv1.WebhookClientConfig {
	if c.URL != "" {
		url := c.URL + path
		return admissionv1.WebhookClientConfig{URL: &url, CABundle: c.CABundle}
	}
	port := int32(443)
	return admissionv1.WebhookClientConfig{CABundle: c.CABundle,
		Service: &admissionv1.ServiceReference{Namespace: c.Namespace, Name: c.Service, Path: &path, Port: &port}}
}

// Validating is the configuration of the webhooks that refuse, or warn.
func (c Config) Validating() *admissionv1.ValidatingWebhookConfiguration {
	fail, equivalent, effects, timeout := admissionv1.Fail, admissionv1.Equivalent, admissionv1.SideEffectClassNoneOnDryRun, int32(TimeoutSeconds)
	if c.Warn {
		fail, timeout = admissionv1.Ignore, WarnTimeoutSeconds
	}
	hook := func(name, path string, rules []admissionv1.RuleWithOperations, objects *metav1.LabelSelector, conditions []admissionv1.MatchCondition) admissionv1.ValidatingWebhook {
		return admissionv1.ValidatingWebhook{
			Name: name, ClientConfig: c.client(path), Rules: rules, FailurePolicy: &fail, MatchPolicy: &equivalent,
			NamespaceSelector: c.namespaces(), ObjectSelector: objects, SideEffects: &effects, TimeoutSeconds: &timeout,
			AdmissionReviewVersions: []string{"v1"}, MatchConditions: conditions,
		}
	}
	var hooks []admissionv1.ValidatingWebhook
	if !c.RulesOnly {
		hooks = append(hooks, hook(ImagesWebhook, ImagesPath, podBearing(), &metav1.LabelSelector{}, conditions()))
	}
	if !c.RulesOnly && !c.Warn {
		hooks = append(hooks, hook(GrantWebhook, GrantPath, leases(), grants(), nil))
	}
	if c.Rules || c.RulesOnly {
		hooks = append(hooks, hook(RulesWebhook, RulesPath, podBearing(), &metav1.LabelSelector{}, rulesConditions()))
	}
	return &admissionv1.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: meta(),
		Webhooks:   hooks,
	}
}

// Mutating is the configuration of the webhooks that write digests and seals; nil where none do.
func (c Config) Mutating() *admissionv1.MutatingWebhookConfiguration {
	if c.RulesOnly || c.Warn {
		return nil
	}
	fail, equivalent, effects, timeout := admissionv1.Fail, admissionv1.Equivalent, admissionv1.SideEffectClassNoneOnDryRun, int32(TimeoutSeconds)
	again := admissionv1.IfNeededReinvocationPolicy
	hook := func(name, path string, rules []admissionv1.RuleWithOperations, objects *metav1.LabelSelector, conditions []admissionv1.MatchCondition) admissionv1.MutatingWebhook {
		return admissionv1.MutatingWebhook{
			Name: name, ClientConfig: c.client(path), Rules: rules, FailurePolicy: &fail, MatchPolicy: &equivalent,
			NamespaceSelector: c.namespaces(), ObjectSelector: objects, SideEffects: &effects, TimeoutSeconds: &timeout,
			AdmissionReviewVersions: []string{"v1"}, MatchConditions: conditions, ReinvocationPolicy: &again,
		}
	}
	pinned := podBearing()
	if c.PinPods {
		pinned = []admissionv1.RuleWithOperations{rule("", "pods", "pods/ephemeralcontainers", "pods/resize")}
	}
	return &admissionv1.MutatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: meta(),
		Webhooks: []admissionv1.MutatingWebhook{
			hook(PinWebhook, PinPath, pinned, &metav1.LabelSelector{}, pinConditions()),
			hook(SealWebhook, SealPath, leases(), grants(), nil),
		},
	}
}

func meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: Name, Labels: map[string]string{"app.kubernetes.io/managed-by": "bailey", "app.kubernetes.io/name": Name}}
}

// namespaces leaves out the exempt ones by the label that nobody can change.
func (c Config) namespaces() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: nameLabel, Operator: metav1.LabelSelectorOpNotIn, Values: Exempt(c.Namespace)}}}
}

// Own is the gate's own namespace, as the configuration leaves it out by its name beside the
// control plane's; "" if that cannot be told.
func Own(c *admissionv1.ValidatingWebhookConfiguration) string {
	if c == nil {
		return ""
	}
	at := slices.IndexFunc(c.Webhooks, func(w admissionv1.ValidatingWebhook) bool { return w.Name == ImagesWebhook })
	if at < 0 || c.Webhooks[at].NamespaceSelector == nil || len(c.Webhooks[at].NamespaceSelector.MatchExpressions) != 1 {
		return ""
	}
	names := slices.DeleteFunc(slices.Clone(c.Webhooks[at].NamespaceSelector.MatchExpressions[0].Values), func(name string) bool {
		return slices.Contains(bailey.SystemNamespaces, name)
	})
	if len(names) != 1 || !slices.Equal(Config{Namespace: names[0]}.namespaces().MatchExpressions[0].Values, c.Webhooks[at].NamespaceSelector.MatchExpressions[0].Values) {
		return ""
	}
	return names[0]
}

func grants() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: GrantLabel, Operator: metav1.LabelSelectorOpExists}}}
}

func rule(group string, resources ...string) admissionv1.RuleWithOperations {
	scope := admissionv1.NamespacedScope
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
		Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources, Scope: &scope},
	}
}

// podBearing are the requests by which an image comes in: pods, their subresources that
// hold containers, and every kind that makes pods.
func podBearing() []admissionv1.RuleWithOperations {
	return []admissionv1.RuleWithOperations{
		rule("", "pods", "pods/ephemeralcontainers", "pods/resize", "podtemplates", "replicationcontrollers"),
		rule("apps", "deployments", "replicasets", "statefulsets", "daemonsets"),
		rule("batch", "jobs", "cronjobs"),
	}
}

func leases() []admissionv1.RuleWithOperations {
	return []admissionv1.RuleWithOperations{rule("coordination.k8s.io", "leases")}
}

// podSpecs is CEL over a list of objects: the pod of each, or of its template.
const podSpecs = `.map(o, o.kind == 'Pod' ? o.?spec : o.kind == 'PodTemplate' ? o.?template.?spec : o.kind == 'CronJob' ? o.?spec.?jobTemplate.?spec.?template.?spec : o.?spec.?template.?spec)`

// podContainers and imageVolumes are CEL over such a pod s.
const (
	podContainers = `[s.?containers.orValue([]), s.?initContainers.orValue([]), s.?ephemeralContainers.orValue([])]`
	imageVolumes  = `s.?volumes.orValue([]).filter(v, has(v.image))`
)

// imagesChange is true where a request brings in an image that was not there: the
// names and images of all containers and image volumes, before and after. It spares the
// gate the many updates that change something else. The gate itself looks again.
const imagesChange = `request.operation != 'UPDATE' || [[dyn(oldObject), dyn(object)]` + podSpecs +
	`.map(s, ` + podContainers + `.map(l, l.map(c, [c.name, c.?image.orValue('')])) + ` +
	`[` + imageVolumes + `.map(v, [v.name, v.image.?reference.orValue('')])])].exists(l, l[0] != l[1])`

// imageUnpinned is true where an image is named without a digest. It spares the gate the
// pods of controllers, whose templates it has pinned: nothing is left to write there.
const imageUnpinned = `[dyn(object)]` + podSpecs + `.exists(s, ` + podContainers + `.exists(l, l.exists(c, !c.?image.orValue('').contains('@'))) || ` +
	imageVolumes + `.exists(v, !v.image.?reference.orValue('').contains('@')))`

func conditions() []admissionv1.MatchCondition {
	return []admissionv1.MatchCondition{{Name: "images-change", Expression: imagesChange}}
}

// pinConditions are those of the webhook that writes digests.
func pinConditions() []admissionv1.MatchCondition {
	return append(conditions(), admissionv1.MatchCondition{Name: "image-unpinned", Expression: imageUnpinned})
}

// Makers are the users that make pods, ReplicaSets and Jobs for other objects: the controllers
// of the controller manager, or that itself where it lends them no accounts. What they make is
// judged by rules where its maker was.
var Makers = []string{
	"system:kube-controller-manager",
	"system:serviceaccount:kube-system:cronjob-controller",
	"system:serviceaccount:kube-system:daemon-set-controller",
	"system:serviceaccount:kube-system:deployment-controller",
	"system:serviceaccount:kube-system:job-controller",
	"system:serviceaccount:kube-system:replicaset-controller",
	"system:serviceaccount:kube-system:replication-controller",
	"system:serviceaccount:kube-system:statefulset-controller",
}

// specChanges is true where a request makes an object, or changes what rules read of one.
const specChanges = `request.operation != 'UPDATE' || object.?spec != oldObject.?spec || object.?template != oldObject.?template || ` +
	`object.metadata.?labels != oldObject.metadata.?labels`

// rulesConditions are those of the webhook that judges by rules. The gate itself looks again.
func rulesConditions() []admissionv1.MatchCondition {
	return []admissionv1.MatchCondition{
		{Name: "spec-changes", Expression: specChanges},
		{Name: "not-by-makers", Expression: "!(request.userInfo.username in ['" + strings.Join(Makers, "', '") + "'])"},
	}
}
