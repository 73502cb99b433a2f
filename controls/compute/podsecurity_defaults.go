package compute

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// defaultsLabel is the label by which a namespace asks for defaults; its values are
// the levels.
const (
	defaultsLabel      = "bailey.dev/defaults"
	defaultsConfined   = "confined"
	defaultsRestricted = "restricted"
)

// podDefaults sets what a pod leaves open, where its namespace asks for it.
var podDefaults = &bailey.Guard{
	Name:  "pod-defaults",
	OptIn: "defaults",
	Title: "What a pod leaves open about its privileges is set as the namespace asks",
	Doc: `Two MutatingAdmissionPolicies (Kubernetes 1.36 and later) set what pods, and what makes pods, leave open. They look
at namespaces with the label bailey.dev/defaults and at no other. What is stated is left as it is.

- confined: the pod's seccomp profile RuntimeDefault; allowPrivilegeEscalation false for containers that are neither
  privileged nor add SYS_ADMIN. Programs that gain rights by setuid (sudo, ping) then fail.
- restricted: also runAsNonRoot, unless a user is set to be root; drop ALL capabilities where none are dropped; and
  no token for templates under the ServiceAccount default. An image that runs as root does not start then.

A template is changed when it is created, and when an update changes it otherwise; what was there before goes on as it
is. ReplicaSets and Jobs that a controller makes are left to their maker, whose template was changed. The policies fail
open: what must hold, the validating guards refuse, after these. Planned with --defaults only.`,
	Scope: bailey.ScopeCluster,
	Needs: []bailey.Kind{bailey.KindMutatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicyBinding},
	Objects: func(v *bailey.View, _ bailey.Ref) []bailey.Change {
		if version := v.Version(); !version.IsZero() && !version.AtLeast(1, 36) {
			return nil
		}
		var changes []bailey.Change
		for _, d := range defaultsLevels {
			changes = append(changes, vap.Creation(bailey.KindMutatingAdmissionPolicy, d.policy()), vap.Creation(bailey.KindMutatingAdmissionPolicyBinding, d.binding()))
		}
		for i := range changes {
			changes[i].Note = "it changes nothing before a namespace bears the label " + defaultsLabel + ": " + defaultsConfined + " or " + defaultsRestricted
		}
		return changes
	},
	Present: func(v *bailey.View, _ bailey.Ref) bailey.Presence {
		for _, d := range defaultsLevels {
			if why := d.lacks(v); why != "" {
				return bailey.Presence{Why: why}
			}
		}
		return bailey.Presence{InPlace: true, Why: "policies set what namespaces with the label " + defaultsLabel + " leave open"}
	},
}

// defaults are what one policy sets.
type defaults struct {
	name      string
	levels    []string
	mutations []string
}

var defaultsLevels = []defaults{
	{"bailey-defaults-confined", []string{defaultsConfined, defaultsRestricted}, []string{
		podLevel("!variables.spec.?securityContext.seccompProfile.hasValue()", "seccompProfile", "{'type': 'RuntimeDefault'}"),
		containerLevel("!c.?securityContext.allowPrivilegeEscalation.hasValue() && !c.?securityContext.privileged.orValue(false) && "+
			"!c.?securityContext.capabilities.add.orValue([]).exists(a, a in ['SYS_ADMIN', 'CAP_SYS_ADMIN'])",
			"", "allowPrivilegeEscalation", "false"),
	}},
	{"bailey-defaults-restricted", []string{defaultsRestricted}, []string{
		podLevel("!variables.spec.?securityContext.runAsNonRoot.hasValue() && variables.spec.?securityContext.runAsUser.orValue(1) != 0 && "+
			"!variables.places.exists(p, p.c.?securityContext.runAsUser.orValue(1) == 0)", "runAsNonRoot", "true"),
		containerLevel("!c.?securityContext.capabilities.drop.hasValue() && !c.?securityContext.privileged.orValue(false)",
			"capabilities", "drop", "['ALL']"),
		// The admission of a pod has mounted its token already.
		"object.kind == 'Pod' || variables.spec.?automountServiceAccountToken.hasValue() || variables.spec.?serviceAccountName.orValue('default') != 'default' ? [] : " +
			"[JSONPatch{op: 'add', path: variables.at + '/automountServiceAccountToken', value: false}]",
	}},
}

// podLevel adds a field to a pod's security context, where the condition holds. The
// admission of ephemeral containers can change no such field.
func podLevel(condition, field, value string) string {
	return "request.?subResource.orValue('') != '' || !(" + condition + ") ? [] : " +
		"(variables.spec.?securityContext.hasValue() ? [] : [JSONPatch{op: 'add', path: variables.at + '/securityContext', value: {}}]) + " +
		"[JSONPatch{op: 'add', path: variables.at + '/securityContext/" + field + "', value: " + value + "}]"
}

// containerLevel adds a field to the security context of each container c for which the
// condition holds, under another field of it or, where that is empty, in it.
func containerLevel(condition, under, field, value string) string {
	inside := "p.at + '/securityContext/" + field + "'"
	between := ""
	if under != "" {
		inside = "p.at + '/securityContext/" + under + "/" + field + "'"
		between = " + (p.c.?securityContext." + under + ".hasValue() ? [] : [JSONPatch{op: 'add', path: p.at + '/securityContext/" + under + "', value: {}}])"
	}
	return "variables.places.filter(p, [p.c].all(c, " + condition + ")).map(p, " +
		"(p.c.?securityContext.hasValue() ? [] : [JSONPatch{op: 'add', path: p.at + '/securityContext', value: {}}])" + between +
		" + [JSONPatch{op: 'add', path: " + inside + ", value: " + value + "}]).flatten()"
}

// defaultsVariables are the path of the pod's spec, the spec, and its containers each
// with its path: of a request that adds ephemeral containers, those alone.
var defaultsVariables = []admissionv1.Variable{
	{Name: "at", Expression: "object.kind == 'Pod' ? '/spec' : object.kind == 'PodTemplate' ? '/template/spec' : object.kind == 'CronJob' ? '/spec/jobTemplate/spec/template/spec' : '/spec/template/spec'"},
	{Name: "spec", Expression: "(" + vap.TemplateOf("object") + ").spec"},
	{Name: "places", Expression: "request.?subResource.orValue('') == 'ephemeralcontainers' ? " +
		"variables.spec.?ephemeralContainers.orValue([]).transformList(i, c, !oldObject.spec.?ephemeralContainers.orValue([]).exists(o, o.name == c.name), " +
		"{'at': dyn(variables.at + '/ephemeralContainers/' + string(i)), 'c': dyn(c)}) : " +
		"variables.spec.?containers.orValue([]).transformList(i, c, {'at': dyn(variables.at + '/containers/' + string(i)), 'c': dyn(c)}) + " +
		"variables.spec.?initContainers.orValue([]).transformList(i, c, {'at': dyn(variables.at + '/initContainers/' + string(i)), 'c': dyn(c)})"},
}

func (d *defaults) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: d.name, Labels: map[string]string{vap.ManagedByLabel: "bailey"}, Annotations: map[string]string{vap.GuardAnnotation: "compute/pod-security/pod-defaults"}}
}

func (d *defaults) policy() *admissionv1.MutatingAdmissionPolicy {
	open, equivalent := admissionv1.Ignore, admissionv1.Equivalent
	policy := &admissionv1.MutatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "MutatingAdmissionPolicy"},
		ObjectMeta: d.meta(),
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy:    &open,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: vap.PodBearing, MatchPolicy: &equivalent},
			MatchConditions: []admissionv1.MatchCondition{
				// An update of a pod or Job may not change these fields, and one that changes nothing of a
				// template must not start its pods again.
				{Name: "created-or-changed", Expression: "request.operation == 'CREATE' || request.?subResource.orValue('') == 'ephemeralcontainers' || " +
					"!(object.kind in ['Pod', 'Job']) && (" + vap.TemplateOf("oldObject") + ").spec != (" + vap.TemplateOf("object") + ").spec"},
				// A Deployment compares its ReplicaSets' template with its own.
				{Name: "no-controllers-template", Expression: "object.kind == 'Pod' || !object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false))"},
				{Name: "not-a-mirror", Expression: "!object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue()"},
				{Name: "not-windows", Expression: "(" + vap.TemplateOf("object") + ").spec.?os.name.orValue('') != 'windows'"},
			},
			Variables:          defaultsVariables,
			ReinvocationPolicy: admissionv1.IfNeededReinvocationPolicy,
		},
	}
	for _, expression := range d.mutations {
		policy.Spec.Mutations = append(policy.Spec.Mutations, admissionv1.Mutation{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: expression}})
	}
	return policy
}

func (d *defaults) binding() *admissionv1.MutatingAdmissionPolicyBinding {
	return &admissionv1.MutatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "MutatingAdmissionPolicyBinding"},
		ObjectMeta: d.meta(),
		Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: d.name, MatchResources: &admissionv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: defaultsLabel, Operator: metav1.LabelSelectorOpIn, Values: d.levels},
				{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: bailey.SystemNamespaces},
			}}}},
	}
}

// lacks says what keeps the policy from being in place; empty if nothing does.
func (d *defaults) lacks(v *bailey.View) string {
	own := d.policy().Spec
	f := v.Get(bailey.KindMutatingAdmissionPolicy, "", d.name)
	policy, isPolicy := bailey.As[*admissionv1.MutatingAdmissionPolicy](f)
	switch {
	case !isPolicy:
		return "no MutatingAdmissionPolicy " + d.name
	case !equality.Semantic.DeepEqual(own.Mutations, policy.Spec.Mutations) || !equality.Semantic.DeepEqual(own.Variables, policy.Spec.Variables) ||
		!equality.Semantic.DeepEqual(own.MatchConditions, policy.Spec.MatchConditions):
		return f.Ref.String() + " is there, but its expressions are others"
	}
	bound := slices.ContainsFunc(v.List(bailey.KindMutatingAdmissionPolicyBinding, ""), func(f *bailey.Fact) bool {
		b, isBinding := bailey.As[*admissionv1.MutatingAdmissionPolicyBinding](f)
		return isBinding && b.Spec.PolicyName == d.name && b.Spec.MatchResources != nil &&
			equality.Semantic.DeepEqual(b.Spec.MatchResources.NamespaceSelector, d.binding().Spec.MatchResources.NamespaceSelector)
	})
	if !bound {
		return f.Ref.String() + " is there, but no binding of Bailey's"
	}
	return ""
}
