package deploy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey/deploy"
)

// front is what leads from outside to the server, and where the server says that it is.
type front struct {
	ingress networkingv1.Ingress
	// route and policy are the spec of the HTTPRoute and of the BackendTLSPolicy; nil without one.
	route, policy map[string]any
	service       corev1.Service
	from          []networkingv1.NetworkPolicyPeer
	external      string // --external-url
}

func fronted(t *testing.T, values map[string]any) front {
	t.Helper()
	values = maps.Clone(values)
	values["image"] = image
	var f front
	for _, o := range rendered(t, values) {
		var err error
		read := func(into any) { err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, into) }
		switch o.GetKind() {
		case "Ingress":
			read(&f.ingress)
		case "Service":
			read(&f.service)
		case "HTTPRoute":
			f.route, _, err = unstructured.NestedMap(o.Object, "spec")
		case "BackendTLSPolicy":
			f.policy, _, err = unstructured.NestedMap(o.Object, "spec")
		case "NetworkPolicy":
			var p networkingv1.NetworkPolicy
			if read(&p); o.GetName() == "bailey" {
				f.from = p.Spec.Ingress[0].From
			}
		case "Deployment":
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			args, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
			for _, arg := range args {
				if url, found := strings.CutPrefix(arg, "--external-url="); found {
					f.external = url
				}
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", o.GetKind(), err)
		}
	}
	return f
}

// TestIngress: an Ingress leads to the port that the Service has, asks for TLS, and its controller is let in beside who was
// before; alerts and logins go by its host unless another URL is given.
func TestIngress(t *testing.T) {
	if f := fronted(t, map[string]any{}); f.ingress.Name != "" || f.route != nil || f.policy != nil || f.external != "" || len(f.from) != 1 {
		t.Errorf("unasked: %+v", f)
	}
	on := map[string]any{"enabled": true, "className": "nginx", "host": "b.example", "tlsSecretName": "cert", "from": peers,
		"annotations": map[string]any{"nginx.ingress.kubernetes.io/backend-protocol": "HTTPS"}}
	f := fronted(t, map[string]any{"ingress": on, "service": map[string]any{"annotations": map[string]any{"a": "b"}}})
	spec := f.ingress.Spec
	if *spec.IngressClassName != "nginx" || f.ingress.Annotations["nginx.ingress.kubernetes.io/backend-protocol"] != "HTTPS" || f.service.Annotations["a"] != "b" {
		t.Errorf("%+v, annotations of the Service %v", f.ingress, f.service.Annotations)
	}
	if len(spec.TLS) != 1 || spec.TLS[0].SecretName != "cert" || !slices.Equal(spec.TLS[0].Hosts, []string{"b.example"}) {
		t.Errorf("TLS: %+v", spec.TLS)
	}
	to := spec.Rules[0].HTTP.Paths[0]
	if spec.Rules[0].Host != "b.example" || to.Path != "/" || *to.PathType != networkingv1.PathTypePrefix ||
		to.Backend.Service.Name != f.service.Name || to.Backend.Service.Port.Name != f.service.Spec.Ports[0].Name {
		t.Errorf("rules: %+v", spec.Rules)
	}
	if f.external != "https://b.example" {
		t.Errorf("pages are at %q", f.external)
	}
	if len(f.from) != 2 || f.from[0].PodSelector == nil || f.from[1].IPBlock == nil {
		t.Errorf("let in: %+v", f.from)
	}

	f = fronted(t, map[string]any{"ingress": map[string]any{"enabled": true, "host": "b.example"}, "externalURL": "https://c.example:8443",
		"networkPolicy": map[string]any{"from": peers}})
	if f.external != "https://c.example:8443" || len(f.from) != 1 || f.from[0].IPBlock == nil {
		t.Errorf("pages are at %q, let in: %+v", f.external, f.from)
	}
	if f.ingress.Spec.IngressClassName != nil || f.ingress.Spec.TLS[0].SecretName != "" {
		t.Errorf("class and Secret are not left to the cluster: %+v", f.ingress.Spec)
	}
	// An identity provider leads back to it.
	oidc := map[string]any{"issuer": "https://i.example", "clientID": "x"}
	if f = fronted(t, map[string]any{"ingress": on, "oidc": oidc}); f.external != "https://b.example" {
		t.Errorf("with a provider pages are at %q", f.external)
	}
	// Without a network policy there is nobody to let in.
	open := map[string]any{"ingress": map[string]any{"enabled": true, "host": "b.example"}, "networkPolicy": map[string]any{"enabled": false}, "image": image}
	if _, err := deploy.Objects(deploy.Release{Name: "bailey", Namespace: "bailey", Values: open}); err != nil {
		t.Error(err)
	}
}

// TestGateway: an HTTPRoute leads to the port that the Service has without an end to its stream, and the gateway is told whom
// to trust only where the values say so.
func TestGateway(t *testing.T) {
	parent := map[string]any{"name": "public", "namespace": "gateways", "sectionName": "https"}
	on := map[string]any{"enabled": true, "parentRefs": []any{parent}, "hostnames": []any{"b.example", "c.example"}, "from": peers}
	f := fronted(t, map[string]any{"gateway": on})
	parents, _, _ := unstructured.NestedSlice(f.route, "parentRefs")
	hosts, _, _ := unstructured.NestedStringSlice(f.route, "hostnames")
	rules, _, _ := unstructured.NestedSlice(f.route, "rules")
	if len(parents) != 1 || !maps.Equal(parents[0].(map[string]any), parent) || !slices.Equal(hosts, []string{"b.example", "c.example"}) || len(rules) != 1 {
		t.Fatalf("%v", f.route)
	}
	rule := rules[0].(map[string]any)
	to, _, _ := unstructured.NestedSlice(rule, "backendRefs")
	if !maps.Equal(to[0].(map[string]any), map[string]any{"name": f.service.Name, "port": float64(f.service.Spec.Ports[0].Port)}) {
		t.Errorf("leads to %v, and the Service is %+v", to, f.service.Spec)
	}
	if limit, _, _ := unstructured.NestedString(rule, "timeouts", "request"); limit != "0s" {
		t.Errorf("a request may take %q", limit)
	}
	if f.external != "https://b.example" || len(f.from) != 2 || f.from[1].IPBlock == nil || f.policy != nil {
		t.Errorf("pages are at %q, let in: %+v, policy %v", f.external, f.from, f.policy)
	}

	on["requestTimeout"], on["backendTLS"] = "", map[string]any{"caConfigMap": "ca"}
	f = fronted(t, map[string]any{"gateway": on})
	rules, _, _ = unstructured.NestedSlice(f.route, "rules")
	if _, found := rules[0].(map[string]any)["timeouts"]; found {
		t.Errorf("unasked: %v", rules)
	}
	targets, _, _ := unstructured.NestedSlice(f.policy, "targetRefs")
	if len(targets) != 1 || !maps.Equal(targets[0].(map[string]any), map[string]any{"group": "", "kind": "Service", "name": f.service.Name}) {
		t.Errorf("the policy is on %v", targets)
	}
	authorities, _, _ := unstructured.NestedSlice(f.policy, "validation", "caCertificateRefs")
	if len(authorities) != 1 || !maps.Equal(authorities[0].(map[string]any), map[string]any{"group": "", "kind": "ConfigMap", "name": "ca"}) {
		t.Errorf("authorities: %v", authorities)
	}
	if name, _, _ := unstructured.NestedString(f.policy, "validation", "hostname"); name != "bailey.bailey.svc" {
		t.Errorf("the certificate is asked to be of %q", name)
	}
	on["backendTLS"] = map[string]any{"caConfigMap": "ca", "hostname": "b.example"}
	if name, _, _ := unstructured.NestedString(fronted(t, map[string]any{"gateway": on}).policy, "validation", "hostname"); name != "b.example" {
		t.Errorf("the certificate is asked to be of %q", name)
	}
}
