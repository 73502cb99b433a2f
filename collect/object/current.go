package object

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// current turns what was read in an old version into what it means in the
// current one, so that rules know one type per kind.
func current(obj any, apiVersion string) any {
	switch o := obj.(type) {
	case *networkingv1beta1.Ingress:
		return ingress(o)
	case *autoscalingv1.HorizontalPodAutoscaler:
		return autoscaler(o)
	case *policyv1.PodDisruptionBudget:
		// In v1beta1 the empty selector took no pods; in v1 it takes all.
		if s := o.Spec.Selector; apiVersion == "policy/v1beta1" && s != nil && len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
			o.Spec.Selector = nil
		}
	case *admissionv1.ValidatingWebhookConfiguration:
		if apiVersion == "admissionregistration.k8s.io/v1beta1" {
			for i := range o.Webhooks {
				w := &o.Webhooks[i]
				oldWebhook(&w.FailurePolicy, &w.MatchPolicy, &w.SideEffects, &w.TimeoutSeconds)
			}
		}
	case *admissionv1.MutatingWebhookConfiguration:
		if apiVersion == "admissionregistration.k8s.io/v1beta1" {
			for i := range o.Webhooks {
				w := &o.Webhooks[i]
				oldWebhook(&w.FailurePolicy, &w.MatchPolicy, &w.SideEffects, &w.TimeoutSeconds)
			}
		}
	}
	return obj
}

// oldWebhook writes down the defaults of v1beta1, which are not those of v1.
func oldWebhook(failure **admissionv1.FailurePolicyType, match **admissionv1.MatchPolicyType, effects **admissionv1.SideEffectClass, timeout **int32) {
	setDefault(failure, admissionv1.Ignore)
	setDefault(match, admissionv1.Exact)
	setDefault(effects, admissionv1.SideEffectClassUnknown)
	setDefault(timeout, 30)
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func ingress(old *networkingv1beta1.Ingress) *networkingv1.Ingress {
	o := &networkingv1.Ingress{ObjectMeta: old.ObjectMeta}
	o.Spec.IngressClassName = old.Spec.IngressClassName
	o.Spec.DefaultBackend = backend(old.Spec.Backend)
	for _, t := range old.Spec.TLS {
		o.Spec.TLS = append(o.Spec.TLS, networkingv1.IngressTLS{Hosts: t.Hosts, SecretName: t.SecretName})
	}
	for _, r := range old.Spec.Rules {
		rule := networkingv1.IngressRule{Host: r.Host}
		if r.HTTP != nil {
			rule.HTTP = &networkingv1.HTTPIngressRuleValue{}
			for _, p := range r.HTTP.Paths {
				pathType := networkingv1.PathTypeImplementationSpecific
				if p.PathType != nil {
					pathType = networkingv1.PathType(*p.PathType)
				}
				path := networkingv1.HTTPIngressPath{Path: p.Path, PathType: &pathType}
				if b := backend(&p.Backend); b != nil {
					path.Backend = *b
				}
				rule.HTTP.Paths = append(rule.HTTP.Paths, path)
			}
		}
		o.Spec.Rules = append(o.Spec.Rules, rule)
	}
	return o
}

func backend(old *networkingv1beta1.IngressBackend) *networkingv1.IngressBackend {
	if old == nil {
		return nil
	}
	b := &networkingv1.IngressBackend{Resource: old.Resource}
	if old.ServiceName != "" {
		b.Service = &networkingv1.IngressServiceBackend{Name: old.ServiceName}
		if old.ServicePort.Type == intstr.String {
			b.Service.Port.Name = old.ServicePort.StrVal
		} else {
			b.Service.Port.Number = old.ServicePort.IntVal
		}
	}
	return b
}

func autoscaler(old *autoscalingv1.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscaler {
	o := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: old.ObjectMeta}
	o.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference(old.Spec.ScaleTargetRef)
	o.Spec.MinReplicas, o.Spec.MaxReplicas = old.Spec.MinReplicas, old.Spec.MaxReplicas
	if percent := old.Spec.TargetCPUUtilizationPercentage; percent != nil {
		o.Spec.Metrics = []autoscalingv2.MetricSpec{{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: percent},
			},
		}}
	}
	return o
}
