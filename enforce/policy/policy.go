// Package policy evaluates ValidatingAdmissionPolicies as an API server would, with
// the API server's own evaluator and without a server: matching, parameters, CEL at
// the cluster's minor version, the cost budget, failure policies and actions.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/baileyhq/bailey"
)

// Source is what a cluster holds that its policies depend on.
type Source struct {
	// Version is the server's; zero means the latest that Bailey knows.
	Version  bailey.Version
	Policies []*admissionv1.ValidatingAdmissionPolicy
	Bindings []*admissionv1.ValidatingAdmissionPolicyBinding
	// Namespaces are those that were seen. A policy that asks about another is
	// not decided.
	Namespaces []*corev1.Namespace
	// Params has an entry per kind of parameter that was listed.
	Params map[schema.GroupVersionKind]Params
}

// Params are the objects of one kind that policies take as parameters.
type Params struct {
	Namespaced bool
	Objects    []runtime.Object
}

// Set is the policies of a cluster, compiled. It is safe for concurrent use.
type Set struct {
	hooks      []hook
	matcher    generic.PolicyMatcher
	namespaces namespaces
	params     params
	interfaces admission.ObjectInterfaces
}

// hook is a policy with its bindings.
type hook struct {
	policy    *admissionv1.ValidatingAdmissionPolicy
	bindings  []*admissionv1.ValidatingAdmissionPolicyBinding
	validator validating.Validator
}

// Compile compiles the policies of a source. A policy whose expressions do not
// compile stays in the set, and decides by its failure policy, as it does in a
// server; the errors name each such policy. A policy without a binding decides
// nothing and is left out.
func Compile(s Source) (*Set, []error) {
	if s.Version == (bailey.Version{}) {
		s.Version = bailey.LatestVersion
	}
	set := &Set{
		namespaces: namespaces{},
		params:     paramsOf(s.Params),
		interfaces: admission.NewObjectInterfacesFromScheme(scheme.Scheme),
	}
	for _, ns := range s.Namespaces {
		set.namespaces[ns.Name] = ns
	}
	set.matcher = generic.NewPolicyMatcher(matching.NewMatcher(set.namespaces, nil))
	env := environment.MustBaseEnvSet(compatibility(s.Version))
	var problems []error
	for _, p := range s.Policies {
		h := hook{policy: withDefaults(p)}
		for _, b := range s.Bindings {
			if b.Spec.PolicyName == p.Name {
				h.bindings = append(h.bindings, bindingWithDefaults(b))
			}
		}
		if len(h.bindings) == 0 {
			continue
		}
		var err error
		if h.validator, err = compile(env, h.policy); err != nil {
			problems = append(problems, fmt.Errorf("ValidatingAdmissionPolicy %s: %w", p.Name, err))
		}
		set.hooks = append(set.hooks, h)
	}
	slices.SortFunc(set.hooks, func(a, b hook) int { return strings.Compare(a.policy.Name, b.policy.Name) })
	return set, problems
}

// Len is the number of policies that are bound.
func (s *Set) Len() int { return len(s.hooks) }

// compatibility is the version at which a server of this version evaluates: it
// must be able to go back by one minor (KEP-4330), and reads what is stored at
// its own.
func compatibility(v bailey.Version) *version.Version {
	return version.MajorMinor(uint(v.Major), uint(v.Minor-1))
}

// compile does what the plugin of the API server does when it learns of a policy.
func compile(env *environment.EnvSet, p *admissionv1.ValidatingAdmissionPolicy) (validating.Validator, error) {
	inMessages := cel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil}
	c, err := compileCommon(env, p.Name, p.Spec.ParamKind, p.Spec.Variables, p.Spec.MatchConditions, p.Spec.FailurePolicy)
	if err != nil {
		return validating.NewValidator(nil, nil, nil, nil, p.Spec.FailurePolicy, err), err
	}
	validations := make([]cel.ExpressionAccessor, len(p.Spec.Validations))
	messages := make([]cel.ExpressionAccessor, len(p.Spec.Validations))
	for i, v := range p.Spec.Validations {
		validations[i] = &validating.ValidationCondition{Expression: v.Expression, Message: v.Message, Reason: v.Reason}
		c.check("validations", i, validations[i])
		if v.MessageExpression != "" {
			messages[i] = &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}
		}
	}
	annotations := make([]cel.ExpressionAccessor, len(p.Spec.AuditAnnotations))
	for i, a := range p.Spec.AuditAnnotations {
		annotations[i] = &validating.AuditAnnotationCondition{Key: a.Key, ValueExpression: a.ValueExpression}
	}
	return validating.NewValidator(
		c.compiler.CompileCondition(validations, c.declared, environment.StoredExpressions),
		c.matcher,
		c.compiler.CompileCondition(annotations, c.declared, environment.StoredExpressions),
		c.compiler.CompileCondition(messages, inMessages, environment.StoredExpressions),
		p.Spec.FailurePolicy, nil), errors.Join(c.problems...)
}

// common is what policies of both kinds have: variables and match conditions, compiled.
type common struct {
	compiler *cel.CompositedCompiler
	declared cel.OptionalVariableDeclarations
	matcher  matchconditions.Matcher // nil: no conditions
	problems []error
}

func compileCommon(env *environment.EnvSet, name string, params *admissionv1.ParamKind, of []admissionv1.Variable, matching []admissionv1.MatchCondition, failure *admissionv1.FailurePolicyType) (*common, error) {
	compiler, err := cel.NewCompositedCompiler(env)
	if err != nil {
		return nil, err
	}
	c := &common{compiler: compiler, declared: cel.OptionalVariableDeclarations{HasParams: params != nil, HasAuthorizer: true}}
	variables := make([]cel.NamedExpressionAccessor, len(of))
	for i, v := range of {
		variables[i] = &validating.Variable{Name: v.Name, Expression: v.Expression}
	}
	compiler.CompileAndStoreVariables(variables, c.declared, environment.StoredExpressions)
	conditions := make([]cel.ExpressionAccessor, len(matching))
	for i := range matching {
		conditions[i] = (*matchconditions.MatchCondition)(&matching[i])
		c.check("matchConditions", i, conditions[i])
	}
	if len(conditions) > 0 {
		c.matcher = matchconditions.NewMatcher(compiler.CompileCondition(conditions, c.declared, environment.StoredExpressions), failure, "policy", "validate", name)
	}
	return c, nil
}

// check notes an expression that does not compile.
func (c *common) check(field string, i int, e cel.ExpressionAccessor) {
	if r := c.compiler.CompileCELExpression(e, c.declared, environment.StoredExpressions); r.Error != nil {
		c.problems = append(c.problems, fmt.Errorf("spec.%s[%d]: %s", field, i, r.Error.Detail))
	}
}

// failsOpen reports whether a policy lets pass what it cannot decide.
func failsOpen(p *admissionv1.ValidatingAdmissionPolicy) bool {
	return p.Spec.FailurePolicy != nil && *p.Spec.FailurePolicy == admissionv1.Ignore
}
