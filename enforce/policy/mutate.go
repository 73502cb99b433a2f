package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	applyconfigurations "k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/baileyhq/bailey"
)

// MutatingSource is what a cluster holds that its mutating policies depend on.
type MutatingSource struct {
	// Version is the server's; zero means the latest that Bailey knows.
	Version    bailey.Version
	Policies   []*admissionv1.MutatingAdmissionPolicy
	Bindings   []*admissionv1.MutatingAdmissionPolicyBinding
	Namespaces []*corev1.Namespace
	// Params has an entry per kind of parameter that was listed.
	Params map[schema.GroupVersionKind]Params
}

// Mutations is the MutatingAdmissionPolicies of a cluster, compiled. It is safe for
// concurrent use.
type Mutations struct {
	hooks      []mutatingHook
	matcher    generic.PolicyMatcher
	namespaces namespaces
	params     params
	interfaces admission.ObjectInterfaces
}

type mutatingHook struct {
	policy   *admissionv1.MutatingAdmissionPolicy
	bindings []*admissionv1.MutatingAdmissionPolicyBinding
	common   *common
	patchers []patch.Patcher
	merges   bool   // by a configuration, for which it takes the kind's schema
	cannot   string // why it is not evaluated; empty if it is
}

// Mutated is an object as it came to a policy, and as it went on.
type Mutated struct {
	Policy        string
	Before, After runtime.Object
}

// CompileMutations compiles the policies that are bound. One that does not compile is
// undecided about what it looks at.
func CompileMutations(s MutatingSource) *Mutations {
	if s.Version == (bailey.Version{}) {
		s.Version = bailey.LatestVersion
	}
	m := &Mutations{namespaces: namespaces{}, params: paramsOf(s.Params), interfaces: admission.NewObjectInterfacesFromScheme(scheme.Scheme)}
	for _, ns := range s.Namespaces {
		m.namespaces[ns.Name] = ns
	}
	m.matcher = generic.NewPolicyMatcher(matching.NewMatcher(m.namespaces, nil))
	env := environment.MustBaseEnvSet(compatibility(s.Version))
	for _, p := range s.Policies {
		h := compileMutations(env, p)
		for _, b := range s.Bindings {
			if b.Spec.PolicyName == p.Name {
				b = b.DeepCopy()
				if b.Spec.MatchResources != nil {
					matchDefaults(b.Spec.MatchResources)
				}
				h.bindings = append(h.bindings, b)
			}
		}
		if len(h.bindings) > 0 {
			m.hooks = append(m.hooks, h)
		}
	}
	slices.SortFunc(m.hooks, func(a, b mutatingHook) int { return strings.Compare(a.policy.Name, b.policy.Name) })
	return m
}

// compileMutations does what the plugin of the API server does when it learns of a policy.
func compileMutations(env *environment.EnvSet, p *admissionv1.MutatingAdmissionPolicy) mutatingHook {
	p = p.DeepCopy()
	if p.Spec.MatchConstraints == nil {
		p.Spec.MatchConstraints = &admissionv1.MatchResources{}
	}
	matchDefaults(p.Spec.MatchConstraints)
	h := mutatingHook{policy: p}
	c, err := compileCommon(env, p.Name, p.Spec.ParamKind, p.Spec.Variables, p.Spec.MatchConditions, p.Spec.FailurePolicy)
	if err != nil {
		h.cannot = err.Error()
		return h
	}
	h.common = c
	declared := c.declared
	declared.HasPatchTypes = true
	for i, mutation := range p.Spec.Mutations {
		var accessor cel.ExpressionAccessor
		patcher := patch.NewJSONPatcher
		switch {
		case mutation.JSONPatch != nil:
			accessor = &patch.JSONPatchCondition{Expression: mutation.JSONPatch.Expression}
		case mutation.ApplyConfiguration != nil:
			accessor, patcher = &patch.ApplyConfigurationCondition{Expression: mutation.ApplyConfiguration.Expression}, patch.NewApplyConfigurationPatcher
			h.merges = true
		default:
			c.problems = append(c.problems, fmt.Errorf("spec.mutations[%d]: the patchType %q is not known", i, mutation.PatchType))
			continue
		}
		compiled := c.compiler.CompileMutatingEvaluator(accessor, declared, environment.StoredExpressions)
		for _, problem := range compiled.CompilationErrors() {
			c.problems = append(c.problems, fmt.Errorf("spec.mutations[%d]: %w", i, problem))
		}
		h.patchers = append(h.patchers, patcher(compiled))
	}
	if len(c.problems) > 0 {
		h.cannot = "it does not compile: " + errors.Join(c.problems...).Error()
	}
	return h
}

// builtIn has the schemas of the kinds that Kubernetes comes with.
var builtIn = sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme.Scheme) })

// converterOf gives the schema of a kind, for merging; nil where it is not known.
func converterOf(kind schema.GroupVersionKind) managedfields.TypeConverter {
	bare := &unstructured.Unstructured{}
	bare.SetGroupVersionKind(kind)
	if _, err := builtIn().ObjectToTyped(bare); err != nil {
		return nil
	}
	return builtIn()
}

// Apply gives what each policy changes in the object of a request, one after the other by
// name, and once more where the policy asks for that. The request's own object stays as it
// is. The error is ctx's.
func (m *Mutations) Apply(ctx context.Context, r *Request) (changed []Mutated, undecided []Undecided, err error) {
	object := r.Object
	said := map[string]bool{}
	for again := range 2 {
		moved := false
		for i := range m.hooks {
			h := &m.hooks[i]
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			if again == 1 && h.policy.Spec.ReinvocationPolicy != admissionv1.IfNeededReinvocationPolicy {
				continue
			}
			after, why := m.apply(ctx, h, r, object)
			if why != "" {
				if !said[h.policy.Name] {
					undecided = append(undecided, Undecided{Policy: h.policy.Name, Why: why})
				}
				said[h.policy.Name] = true
				continue
			}
			if !equality.Semantic.DeepEqual(object, after) {
				changed = append(changed, Mutated{h.policy.Name, object, after})
				object, moved = after, true
			}
		}
		if !moved {
			break
		}
	}
	return changed, undecided, nil
}

// apply is the API server's dispatcher for one policy.
func (m *Mutations) apply(ctx context.Context, h *mutatingHook, r *Request, object runtime.Object) (after runtime.Object, why string) {
	a := r.attributes(object)
	matches, resource, kind, err := m.matcher.DefinitionMatches(a, m.interfaces, mutating.NewMutatingAdmissionPolicyAccessor(h.policy))
	if err != nil {
		return nil, err.Error()
	}
	if !matches {
		return object, ""
	}
	var versioned *admission.VersionedAttributes // what one binding makes of it the next is given
	for _, b := range h.bindings {
		matches, err := m.matcher.BindingMatches(a, m.interfaces, mutating.NewMutatingAdmissionPolicyBindingAccessor(b))
		if err != nil {
			return nil, err.Error()
		}
		if !matches {
			continue
		}
		if h.cannot != "" {
			return nil, h.cannot
		}
		if r.User == nil && reads(mutatingExpressionsOf(h.policy), userWord) {
			return nil, unknownUser
		}
		namespace, err := m.namespaces.ofRequest(a)
		if err != nil && reads(mutatingExpressionsOf(h.policy), namespaceWord) {
			return nil, err.Error()
		}
		params, err := m.params.of(h.policy.Spec.ParamKind, b.Spec.ParamRef, a.GetNamespace())
		if err != nil {
			return nil, err.Error()
		}
		if versioned == nil {
			if versioned, err = admission.NewVersionedAttributes(a, kind, m.interfaces); err != nil {
				return nil, err.Error()
			}
		}
		for _, param := range params {
			if why := m.patch(ctx, h, r, patch.Request{MatchedResource: resource, VersionedAttributes: versioned, ObjectInterfaces: m.interfaces,
				OptionalVariables: cel.OptionalVariableBindings{VersionedParams: param}, Namespace: namespace}); why != "" {
				return nil, why
			}
		}
	}
	if versioned == nil {
		return object, ""
	}
	return versioned.VersionedObject.Object(), ""
}

// patch makes the changes of one policy with one parameter.
func (m *Mutations) patch(ctx context.Context, h *mutatingHook, r *Request, p patch.Request) (why string) {
	ctx = h.common.compiler.CreateContext(ctx)
	asked := &asked{by: r.Authorizer}
	p.OptionalVariables.Authorizer = asked
	versioned := p.VersionedAttributes
	if h.common.matcher != nil {
		result := h.common.matcher.Match(ctx, versioned, p.OptionalVariables.VersionedParams, asked)
		switch {
		case asked.inVain:
			return notAsked
		case result.Error != nil:
			return result.Error.Error()
		case !result.Matches:
			return ""
		}
	}
	if h.merges {
		if p.TypeConverter = converterOf(versioned.VersionedKind); p.TypeConverter == nil {
			return "it merges a configuration, and the schema of " + versioned.VersionedKind.GroupKind().String() + " was not seen"
		}
	}
	for _, patcher := range h.patchers {
		next, err := patcher.Patch(ctx, p, celconfig.RuntimeCELCostBudget)
		if asked.inVain {
			return notAsked
		}
		if err != nil {
			return err.Error()
		}
		if _, untyped := versioned.VersionedObject.Object().(*unstructured.Unstructured); !untyped {
			if next, err = m.interfaces.GetObjectConvertor().ConvertToVersion(next, versioned.VersionedKind.GroupVersion()); err != nil {
				return err.Error()
			}
		}
		versioned.UpdateObject(next)
	}
	return ""
}
