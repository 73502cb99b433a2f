package deploy

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
)

// bound is what the two kinds of binding have in common.
type bound struct {
	policy     string
	policyKind bailey.Kind
	params     *admissionv1.ParamRef
	mutating   bool
}

func boundOf(f *bailey.Fact) (bound, bool) {
	switch b := f.Object.(type) {
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		return bound{b.Spec.PolicyName, bailey.KindValidatingAdmissionPolicy, b.Spec.ParamRef, false}, true
	case *admissionv1.MutatingAdmissionPolicyBinding:
		return bound{b.Spec.PolicyName, bailey.KindMutatingAdmissionPolicy, b.Spec.ParamRef, true}, true
	}
	return bound{}, false
}

// bindingOf is the kind that binds policies of the kind.
func bindingOf(k bailey.Kind) bailey.Kind {
	if k == bailey.KindMutatingAdmissionPolicy {
		return bailey.KindMutatingAdmissionPolicyBinding
	}
	return bailey.KindValidatingAdmissionPolicyBinding
}

// paramKindOf gives the kind of parameter that a policy asks for; nil if none.
func paramKindOf(f *bailey.Fact) *admissionv1.ParamKind {
	switch p := f.Object.(type) {
	case *admissionv1.ValidatingAdmissionPolicy:
		return p.Spec.ParamKind
	case *admissionv1.MutatingAdmissionPolicy:
		return p.Spec.ParamKind
	}
	return nil
}

var unboundPolicy = &bailey.Rule{
	Name:  "unbound",
	Title: "Admission policy is not bound, so it does nothing",
	Doc: `A ValidatingAdmissionPolicy or MutatingAdmissionPolicy says what holds, and its bindings say where.
Without a binding it is never evaluated, though it is listed as if it were in force.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{policyReference},
	On:       policyKinds,
	Needs:    bindingKinds,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		binds := func(b *bailey.Fact) bool { to, ok := boundOf(b); return ok && to.policy == f.Name }
		k := bindingOf(f.Kind)
		if slices.ContainsFunc(v.Known(k, ""), binds) {
			return nil
		}
		v.List(k, "")
		finding := bailey.Finding{Message: "no " + k.Short() + " names this policy: it does nothing"}
		if f.Kind == bailey.KindMutatingAdmissionPolicy {
			finding.Severity = bailey.SeverityLow
		}
		return []bailey.Finding{finding}
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		if f.Kind != bailey.KindValidatingAdmissionPolicy || paramKindOf(f) != nil {
			return nil
		}
		name := f.Name
		for taken := v.Known(bailey.KindValidatingAdmissionPolicyBinding, ""); slices.ContainsFunc(taken, func(b *bailey.Fact) bool { return b.Name == name }); {
			name += "-bailey"
		}
		return []bailey.Change{{
			Object: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: name}, APIVersion: "admissionregistration.k8s.io/v1",
			Content: map[string]any{
				"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
				"metadata": map[string]any{"name": name},
				"spec":     map[string]any{"policyName": f.Name, "validationActions": []any{"Warn", "Audit"}},
			},
			Note: "It warns and audits everywhere. Once the audit log shows nothing that must pass, replace Warn by Deny.",
		}}
	},
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-host-pid}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: "!object.spec.hostPID"}]
`},
}

var danglingBinding = &bailey.Rule{
	Name:  "dangling-binding",
	Title: "Binding names an admission policy that does not exist",
	Doc: `A binding without its policy does nothing, and reads as if something were in force. Whoever creates a
policy of that name has it in force at once.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{policyReference},
	On:       bindingKinds,
	Needs:    policyKinds,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		b, ok := boundOf(f)
		if !ok || v.Get(b.policyKind, "", b.policy) != nil {
			return nil
		}
		return []bailey.Finding{{Field: "spec.policyName", Message: b.policyKind.Short() + " " + b.policy + " does not exist: nothing is in force"}}
	},
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-host-pid}
spec: {policyName: no-host-pid, validationActions: [Deny]}
`},
}

var onlyWarns = &bailey.Rule{
	Name:  "only-warns",
	Title: "Admission policy only warns or audits",
	Doc: `A policy whose bindings hold Warn and Audit refuses nothing. That is how one should begin, and where many
stay. Where another binding of the policy denies, this one is taken for the next step of a rollout, and
left alone.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{policyReference},
	On:       []bailey.Kind{bailey.KindValidatingAdmissionPolicyBinding},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		b, ok := f.Object.(*admissionv1.ValidatingAdmissionPolicyBinding)
		if !ok || denies(f, b.Spec.PolicyName) {
			return nil
		}
		if slices.ContainsFunc(v.Held(bailey.KindValidatingAdmissionPolicyBinding, ""), func(other *bailey.Fact) bool { return denies(other, b.Spec.PolicyName) }) {
			return nil
		}
		return []bailey.Finding{{Field: "spec.validationActions", Message: "what policy " + b.Spec.PolicyName + " finds is reported and admitted"}}
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		b, ok := f.Object.(*admissionv1.ValidatingAdmissionPolicyBinding)
		if !ok {
			return nil
		}
		// Deny and Warn exclude each other.
		actions := []any{"Deny"}
		if slices.Contains(b.Spec.ValidationActions, admissionv1.Audit) {
			actions = append(actions, "Audit")
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: []bailey.PatchOp{{Op: "add", Path: "/spec/validationActions", Value: actions}},
			Note: "First read in the audit log what the policy would have refused."}}
	},
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-host-pid}
spec: {policyName: no-host-pid, validationActions: [Audit, Warn]}
`},
}

var missingParams = &bailey.Rule{
	Name:  "missing-params",
	Title: "Admission policy passes everything when its parameters are missing",
	Doc: `A policy with parameters reads them from an object. With parameterNotFoundAction Allow, whoever can
delete that object switches the policy off. A binding that gives no parameters to a policy that asks for
them evaluates it without any, which it may not expect.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{policyReference},
	On:       bindingKinds,
	Needs:    policyKinds,
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		b, ok := boundOf(f)
		if !ok {
			return nil
		}
		if b.params == nil {
			policy := v.Get(b.policyKind, "", b.policy)
			if policy == nil || paramKindOf(policy) == nil {
				return nil
			}
			return []bailey.Finding{{Field: "spec.paramRef", Severity: bailey.SeverityLow,
				Message: "policy " + b.policy + " asks for parameters of kind " + paramKindOf(policy).Kind + ", and the binding gives none"}}
		}
		if a := b.params.ParameterNotFoundAction; a == nil || *a != admissionv1.AllowAction {
			return nil
		}
		finding := bailey.Finding{Field: "spec.paramRef.parameterNotFoundAction", Message: "whoever deletes the parameters switches policy " + b.policy + " off"}
		if b.mutating {
			finding.Severity = bailey.SeverityLow
		}
		return []bailey.Finding{finding}
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		if finding.Field != "spec.paramRef.parameterNotFoundAction" {
			return nil
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
			Patch: []bailey.PatchOp{{Op: "replace", Path: "/spec/paramRef/parameterNotFoundAction", Value: "Deny"}},
			Note:  "Without its parameters the policy then refuses what it looks at: make sure that they exist."}}
	},
	Bad: []string{`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: limits}
spec:
  policyName: limits
  validationActions: [Deny]
  paramRef: {name: limits, namespace: policies, parameterNotFoundAction: Allow}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: limits}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}
  validations: [{expression: "object.spec.replicas <= int(params.data.replicas)"}]
`},
}
