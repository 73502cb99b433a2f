package gen

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// limits emits the quota and the limit range of a namespace, if somebody cared.
func (c *cluster) limits(ns string, kept keeping) {
	if kept == careless || kept == ordinary && c.chance(50) {
		return
	}
	hard := amounts("pods", "200", "requests.cpu", "40", "requests.memory", "80Gi", "limits.memory", "160Gi")
	c.emit(&corev1.ResourceQuota{
		ObjectMeta: c.meta(ns, "compute", nil), Spec: corev1.ResourceQuotaSpec{Hard: hard},
		Status: corev1.ResourceQuotaStatus{Hard: hard, Used: amounts("pods", "41", "requests.cpu", "4100m", "requests.memory", "5248Mi", "limits.memory", "10496Mi")},
	}, gvkResourceQuota)
	c.emit(&corev1.LimitRange{
		ObjectMeta: c.meta(ns, "containers", nil),
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Default: amounts("cpu", "500m", "memory", "256Mi"), DefaultRequest: amounts("cpu", "100m", "memory", "128Mi"),
		}}},
	}, gvkLimitRange)
}

// policies emits the network policies of a namespace with these services.
func (c *cluster) policies(ns string, kept keeping, services []string) {
	both := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	if kept == careless {
		if c.chance(30) {
			c.emit(&networkingv1.NetworkPolicy{
				ObjectMeta: c.meta(ns, "allow-all", nil),
				Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: both[:1], Ingress: []networkingv1.NetworkPolicyIngressRule{{}}},
			}, gvkNetworkPolicy)
		}
		return
	}
	if kept == ordinary {
		both = both[:1]
	}
	c.emit(&networkingv1.NetworkPolicy{ObjectMeta: c.meta(ns, "default-deny", nil), Spec: networkingv1.NetworkPolicySpec{PolicyTypes: both}}, gvkNetworkPolicy)
	for _, service := range services[:c.between(2, 5)] {
		from := metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/part-of": ns}}
		c.emit(&networkingv1.NetworkPolicy{
			ObjectMeta: c.meta(ns, "allow-"+service, nil),
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": service}},
				PolicyTypes: both[:1],
				Ingress: []networkingv1.NetworkPolicyIngressRule{{
					From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &from}},
					Ports: []networkingv1.NetworkPolicyPort{{Protocol: ptr(corev1.ProtocolTCP), Port: ptr(intstr.FromString("http"))}},
				}},
			},
		}, gvkNetworkPolicy)
	}
}

// access emits the roles of a team and the way in from outside, to the entrance.
func (c *cluster) access(ns string, kept keeping, entrance string) {
	for i := range c.between(1, 3) {
		name := fmt.Sprintf("%s-%d", pick(c.random, words), i)
		rules := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps", "services"}, Verbs: []string{"get", "list", "watch"}}}
		if kept == careless {
			rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets", "pods/exec"}, Verbs: []string{"*"}})
		}
		c.emit(&rbacv1.Role{ObjectMeta: c.meta(ns, name, nil), Rules: rules}, gvkRole)
		c.emit(&rbacv1.RoleBinding{
			ObjectMeta: c.meta(ns, name, nil), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: "default"}},
		}, gvkRoleBinding)
	}
	c.emit(&rbacv1.RoleBinding{
		ObjectMeta: c.meta(ns, "team", nil), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: ns + "-developers"}},
	}, gvkRoleBinding)
	if !c.chance(60) {
		return
	}
	host := ns + ".example.com"
	ingress := &networkingv1.Ingress{
		ObjectMeta: c.meta(ns, "public", nil),
		Spec: networkingv1.IngressSpec{IngressClassName: ptr("public"), Rules: []networkingv1.IngressRule{{
			Host: host,
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
				Path: "/", PathType: ptr(networkingv1.PathTypePrefix),
				Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
					Name: entrance, Port: networkingv1.ServiceBackendPort{Name: "http"},
				}},
			}}}},
		}}},
	}
	if kept != careless {
		ingress.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{host}, SecretName: "public-tls"}}
	}
	c.emit(ingress, gvkIngress)
}
