package vap

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// Param names the objects that a policy takes as parameters.
type Param struct {
	APIVersion string
	Kind       bailey.Kind
	// Namespace and Name choose one object; while it is not there, all that the policy
	// looks at is refused. Without a namespace it is the object of that name in the
	// namespace of the request, and where it is not there, the policy says nothing: it is
	// one that Kubernetes makes for each namespace. Without a name each object of the kind is a parameter in its
	// turn, and what is forbidden with any of them is refused.
	Namespace, Name string
	// Needs and Object make the object where there is none: Object gives the data of a
	// ConfigMap, and what a person must decide about it.
	Needs  []bailey.Kind
	Object func(v *bailey.View) (data map[string]string, note string)

	// content is what Object gives, which is the same for every namespace; nil without one.
	content *bailey.Derivation
}

// paramContent is what Object gives.
type paramContent struct {
	data map[string]string
	note string
}

// derive makes content.
func (p *Param) derive() {
	if p.Object == nil {
		return
	}
	p.content = &bailey.Derivation{Name: "parameter " + p.Name, Needs: p.Needs, Compute: func(v *bailey.View) any {
		data, note := p.Object(v)
		return paramContent{data, note}
	}}
}

// ParamNamespace is where the parameters of Bailey's policies are: beside the
// cluster's own parts, where nobody else may write.
const ParamNamespace = metav1.NamespaceSystem

// keepsParam is the policy that refuses to delete the parameter of another: without it
// everything that the other looks at would be refused, updates of what is there too.
func (p *Policy) keepsParam() Policy {
	return Policy{
		Name:        p.Name + "-parameter-kept",
		ClusterWide: true,
		Resources: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Delete},
			Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}}}}},
		// Of several that are deleted together the request has no name.
		Checks: []Check{{Expression: "oldObject.metadata.namespace != '" + p.Param.Namespace + "' || oldObject.metadata.name != '" + p.Param.Name + "'",
			Message: "without it " + Prefix + p.Name + " refuses everything that it looks at: bailey enforce --revert takes both away, or delete the bindings of the two policies first"}},
	}
}

func (p *Param) needs() []bailey.Kind { return append([]bailey.Kind{p.Kind}, p.Needs...) }

func (p *Param) reference() *admissionv1.ParamRef {
	deny, allow := admissionv1.DenyAction, admissionv1.AllowAction
	if p.Name == "" {
		return &admissionv1.ParamRef{Selector: &metav1.LabelSelector{}, ParameterNotFoundAction: &allow}
	}
	if p.Namespace == "" {
		return &admissionv1.ParamRef{Name: p.Name, ParameterNotFoundAction: &allow}
	}
	return &admissionv1.ParamRef{Name: p.Name, Namespace: p.Namespace, ParameterNotFoundAction: &deny}
}

// isOne reports whether the parameter is one object of the whole cluster.
func (p *Param) isOne() bool { return p.Name != "" && p.Namespace != "" }

// lacking reports whether the one object is not there.
func (p *Param) lacking(v *bailey.View) bool {
	return p.isOne() && v.Get(p.Kind, p.Namespace, p.Name) == nil
}

func (p *Param) change(v *bailey.View, meta metav1.ObjectMeta) bailey.Change {
	content, _ := v.Derived(p.content).(paramContent)
	meta.Namespace, meta.Name = p.Namespace, p.Name
	change := Creation(p.Kind, &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: p.APIVersion, Kind: p.Kind.Short()}, ObjectMeta: meta, Data: content.data})
	change.Note = content.note
	return change
}

// sameParams reports whether a binding's parameters are those of the reference.
func sameParams(own, of *admissionv1.ParamRef) bool {
	if own == nil || of == nil {
		return own == of
	}
	all := func(s *metav1.LabelSelector) bool {
		return s != nil && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
	}
	same := own.Name == of.Name && own.Namespace == of.Namespace && all(own.Selector) == all(of.Selector)
	if own.Namespace != "" { // where it is missing, refusing is what counts
		same = same && of.ParameterNotFoundAction != nil && *of.ParameterNotFoundAction == admissionv1.DenyAction
	}
	return same
}
