package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
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
}

// Mutations is the MutatingAdmissionPolicies of a cluster, compiled. It is safe for
// concurrent use.
type Mutations struct {
	hooks      []mutatingHook
	matcher    generic.PolicyMatcher
	namespaces namespaces
	interfaces admission.ObjectInterfaces
}

type mutatingHook struct {
	policy   *admissionv1.MutatingAdmissionPolicy
	bindings []*admissionv1.MutatingAdmissionPolicyBinding
	matcher  matchconditions.Matcher // nil: no conditions
	compiler *cel.CompositedCompiler
	patchers []patch.Patcher
	cannot   string // why it is not evaluated; empty if it is
}

// Mutated is an object as it came to a policy, and as it went on.
type Mutated struct {
	Policy        string
	Before, After runtime.Object
}

// CompileMutations compiles the policies that are bound. Parameters and merged
// configurations are not evaluated: such a policy is undecided.
func CompileMutations(s MutatingSource) (*Mutations, error) {
	if s.Version == (bailey.Version{}) {
		s.Version = bailey.LatestVersion
	}
	m := &Mutations{namespaces: namespaces{}, interfaces: admission.NewObjectInterfacesFromScheme(scheme.Scheme)}
	for _, ns := range s.Namespaces {
		m.namespaces[ns.Name] = ns
	}
	m.matcher = generic.NewPolicyMatcher(matching.NewMatcher(m.namespaces, nil))
	env := environment.MustBaseEnvSet(compatibility(s.Version))
	for _, p := range s.Policies {
		h, err := compileMutations(env, p)
		if err != nil {
			return nil, fmt.Errorf("MutatingAdmissionPolicy %s: %w", p.Name, err)
		}
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
	return m, nil
}

// compileMutations does what the plugin of the API server does when it learns of a policy.
func compileMutations(env *environment.EnvSet, p *admissionv1.MutatingAdmissionPolicy) (mutatingHook, error) {
	p = p.DeepCopy()
	if p.Spec.MatchConstraints == nil {
		p.Spec.MatchConstraints = &admissionv1.MatchResources{}
	}
	matchDefaults(p.Spec.MatchConstraints)
	h := mutatingHook{policy: p}
	if p.Spec.ParamKind != nil {
		h.cannot = "it takes parameters"
		return h, nil
	}
	compiler, err := cel.NewCompositedCompiler(env)
	if err != nil {
		return h, err
	}
	h.compiler = compiler
	declared := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	variables := make([]cel.NamedExpressionAccessor, len(p.Spec.Variables))
	for i, v := range p.Spec.Variables {
		variables[i] = &validating.Variable{Name: v.Name, Expression: v.Expression}
	}
	compiler.CompileAndStoreVariables(variables, declared, environment.StoredExpressions)
	if len(p.Spec.MatchConditions) > 0 {
		conditions := make([]cel.ExpressionAccessor, len(p.Spec.MatchConditions))
		for i := range p.Spec.MatchConditions {
			conditions[i] = (*matchconditions.MatchCondition)(&p.Spec.MatchConditions[i])
		}
		h.matcher = matchconditions.NewMatcher(compiler.CompileCondition(conditions, declared, environment.StoredExpressions), p.Spec.FailurePolicy, "policy", "validate", p.Name)
	}
	declared.HasPatchTypes = true
	for _, mutation := range p.Spec.Mutations {
		if mutation.JSONPatch == nil {
			h.cannot = "it merges a configuration, which wants the schemas of the cluster"
			return h, nil
		}
		compiled := compiler.CompileMutatingEvaluator(&patch.JSONPatchCondition{Expression: mutation.JSONPatch.Expression}, declared, environment.StoredExpressions)
		if problems := compiled.CompilationErrors(); len(problems) > 0 {
			return h, problems[0]
		}
		h.patchers = append(h.patchers, patch.NewJSONPatcher(compiled))
	}
	return h, nil
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
	a := admission.NewAttributesRecord(object, r.Old, r.Kind, r.Namespace, r.Name, r.Resource, r.Subresource, r.Operation, r.Options, r.DryRun, r.User)
	matches, resource, kind, err := m.matcher.DefinitionMatches(a, m.interfaces, mutating.NewMutatingAdmissionPolicyAccessor(h.policy))
	if err != nil {
		return nil, err.Error()
	}
	if !matches {
		return object, ""
	}
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
		if r.User == nil {
			return nil, "who asks is not known"
		}
		namespace, err := m.namespaces.Get(r.Namespace)
		if err != nil {
			return nil, err.Error()
		}
		versioned, err := admission.NewVersionedAttributes(a, kind, m.interfaces)
		if err != nil {
			return nil, err.Error()
		}
		asked := &asked{by: r.Authorizer}
		ctx := h.compiler.CreateContext(ctx)
		if h.matcher != nil {
			result := h.matcher.Match(ctx, versioned, nil, asked)
			if result.Error != nil {
				return nil, result.Error.Error()
			}
			if !result.Matches {
				continue
			}
		}
		for _, patcher := range h.patchers {
			next, err := patcher.Patch(ctx, patch.Request{MatchedResource: resource, VersionedAttributes: versioned, ObjectInterfaces: m.interfaces,
				OptionalVariables: cel.OptionalVariableBindings{Authorizer: asked}, Namespace: namespace}, celconfig.RuntimeCELCostBudget)
			if asked.inVain {
				return nil, "it asks the authorizer, who was not asked"
			}
			if err != nil {
				return nil, err.Error()
			}
			versioned.UpdateObject(next)
		}
		object = versioned.VersionedObject.Object()
	}
	return object, ""
}
