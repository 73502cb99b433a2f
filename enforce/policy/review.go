package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Request is one request that admission looks at.
type Request struct {
	Operation   admission.Operation
	Kind        schema.GroupVersionKind
	Resource    schema.GroupVersionResource
	Subresource string
	Namespace   string
	Name        string
	// Object is the new one, Old the one before; nil where the operation has none.
	// Both are of Kind.
	Object, Old runtime.Object
	Options     runtime.Object
	// User is who asks; nil where that is not known: a policy that reads it then
	// decides nothing.
	User user.Info
	// Authorizer answers for User; nil where nobody can: a policy that asks it decides
	// nothing.
	Authorizer authorizer.Authorizer
	DryRun     bool
}

// attributes are the request as admission is shown it, with an object that may have been
// changed on the way.
func (r *Request) attributes(object runtime.Object) admission.Attributes {
	who := r.User
	if who == nil {
		who = &user.DefaultInfo{}
	}
	return admission.NewAttributesRecord(object, r.Old, r.Kind, r.Namespace, r.Name, r.Resource, r.Subresource, r.Operation, r.Options, r.DryRun, who)
}

// Denial is what one binding of a policy says against a request.
type Denial struct {
	Policy, Binding string
	Message         string
	// Denies tells that the binding refuses. Otherwise it warns, or notes it in the
	// audit log, or both.
	Denies bool
	// Failed tells that the policy could not be evaluated (an error in an
	// expression, a missing parameter, the cost budget) and that its failure policy
	// refuses.
	Failed bool
}

// Undecided is a policy that was not evaluated, since it depends on something that
// was not seen.
type Undecided struct {
	Policy string
	Why    string // "namespace shop was not seen"
}

const (
	unknownUser = "it reads who asks, which is not known"
	notAsked    = "it asks the authorizer, who was not asked"
)

// Review evaluates every policy of the set on one request. A policy that depends
// on what was not seen (a namespace, a kind of parameter, the authorizer's
// answers) is undecided. The error is ctx's.
func (s *Set) Review(ctx context.Context, r *Request) (denials []Denial, undecided []Undecided, err error) {
	a := r.attributes(r.Object)
	for i := range s.hooks {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		d, why := s.evaluate(ctx, &s.hooks[i], a, r)
		denials = append(denials, d...)
		if why != "" {
			undecided = append(undecided, Undecided{Policy: s.hooks[i].policy.Name, Why: why})
		}
	}
	return denials, undecided, nil
}

// evaluate is the API server's dispatcher for one policy. Why says what the
// policy depends on that was not seen.
func (s *Set) evaluate(ctx context.Context, h *hook, a admission.Attributes, r *Request) (denials []Denial, why string) {
	fail := func(b *admissionv1.ValidatingAdmissionPolicyBinding, err error) {
		var unseen *unseenError
		if errors.As(err, &unseen) {
			why = unseen.Error()
			return
		}
		if failsOpen(h.policy) {
			return
		}
		d := Denial{Policy: h.policy.Name, Message: err.Error(), Denies: true, Failed: true}
		if b != nil {
			d.Binding = b.Name
		}
		denials = append(denials, d)
	}
	matches, resource, kind, err := s.matcher.DefinitionMatches(a, s.interfaces, validating.NewValidatingAdmissionPolicyAccessor(h.policy))
	if err != nil {
		fail(nil, fmt.Errorf("failed to configure policy: %w", err))
		return denials, why
	}
	if !matches {
		return nil, ""
	}
	if r.User == nil && reads(expressionsOf(h.policy), userWord) {
		return nil, unknownUser
	}
	for _, b := range h.bindings {
		matches, err := s.matcher.BindingMatches(a, s.interfaces, validating.NewValidatingAdmissionPolicyBindingAccessor(b))
		if err != nil {
			fail(b, fmt.Errorf("failed to configure binding: %w", err))
			continue
		}
		if !matches {
			continue
		}
		params, err := s.params.of(h.policy.Spec.ParamKind, b.Spec.ParamRef, a.GetNamespace())
		if err != nil {
			fail(b, fmt.Errorf("failed to configure binding: %w", err))
			continue
		}
		if len(params) == 0 {
			continue
		}
		versioned, err := admission.NewVersionedAttributes(a, kind, s.interfaces)
		if err != nil {
			fail(b, fmt.Errorf("failed to convert object version: %w", err))
			continue
		}
		namespace, err := s.namespaces.ofRequest(a)
		if err != nil && reads(expressionsOf(h.policy), namespaceWord) {
			fail(b, err)
			continue
		}
		for _, param := range params {
			asked := &asked{by: r.Authorizer}
			result := h.validator.Validate(ctx, resource, versioned, param, namespace, celconfig.RuntimeCELCostBudget, asked)
			if asked.inVain {
				why = notAsked
				continue
			}
			denials = append(denials, denialsOf(h.policy, b, result)...)
		}
	}
	return denials, why
}

func denialsOf(p *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding, result validating.ValidateResult) []Denial {
	var denials []Denial
	for _, d := range result.Decisions {
		if d.Action == validating.ActionDeny {
			denials = append(denials, Denial{Policy: p.Name, Binding: b.Name, Message: d.Message,
				Denies: slices.Contains(b.Spec.ValidationActions, admissionv1.Deny), Failed: d.Evaluation == validating.EvalError})
		}
	}
	for _, a := range result.AuditAnnotations {
		if a.Action == validating.AuditAnnotationActionError {
			denials = append(denials, Denial{Policy: p.Name, Binding: b.Name, Message: a.Error, Denies: true, Failed: true})
		}
	}
	return denials
}

// asked stands in for the API server's authorizer, whose answers are not known here
// but for those of the request's own.
type asked struct {
	by     authorizer.Authorizer
	inVain bool
}

func (a *asked) Authorize(ctx context.Context, about authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.by != nil {
		return a.by.Authorize(ctx, about)
	}
	a.inVain = true
	return authorizer.DecisionNoOpinion, "", errors.New("the authorizer was not asked")
}
