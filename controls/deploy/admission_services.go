package deploy

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/services"
)

// publishedKey is the key of the parameter's data.
const publishedKey = "services"

var unlistedService = &bailey.Rule{
	Name:  "unlisted-service",
	Title: "Service is published from a namespace that may not",
	Doc: `Where the ConfigMap kube-system/bailey-published-services lists which namespaces may publish Services, every Service
of type NodePort or LoadBalancer must be of one of them. A line is a namespace and a type, with a space between
them: "shop LoadBalancer". Where there is no list, nothing is unlisted.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/services-networking/service/", "Service"),
		ref.NIST("CM-7"), ref.NIST("SC-7"), ref.ATTACK("T1133")},
	On:    []bailey.Kind{bailey.KindService},
	Needs: []bailey.Kind{bailey.KindConfigMap},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		s, ok := bailey.As[*corev1.Service](f)
		if !ok || !isPublished(s) {
			return nil
		}
		list, ok := bailey.As[*corev1.ConfigMap](v.Get(bailey.KindConfigMap, metav1.NamespaceSystem, bailey.PublishedParam))
		if !ok {
			return nil
		}
		line := f.Namespace + " " + string(s.Spec.Type)
		for listed := range strings.SplitSeq(list.Data[publishedKey], "\n") {
			if strings.TrimSpace(listed) == line {
				return nil
			}
		}
		return []bailey.Finding{{Field: "spec.type", Message: "is published as " + string(s.Spec.Type) + ", and " + bailey.PublishedParam + " does not list " + quote(line)}}
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		s, ok := bailey.As[*corev1.Service](f)
		if !ok {
			return nil
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: services.Inward(s),
			Note: "Clients outside the cluster then need another way: have the namespace listed, or publish it through an Ingress or a Gateway."}}
	},
	Bad: []string{`apiVersion: v1
kind: Service
metadata: {name: bad, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 443}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bailey-published-services, namespace: kube-system}
data: {services: "# who may\nedge LoadBalancer\nedge NodePort\n"}
`, `apiVersion: v1
kind: Service
metadata: {name: bad-node-port, namespace: shop}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 443}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bailey-published-services, namespace: kube-system}
data: {services: "# who may\nedge LoadBalancer\nedge NodePort\n"}
`},
}

func isPublished(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer
}

// publishedInUse lists the Services that are published, as the parameter's text.
func publishedInUse(v *bailey.View) (data map[string]string, note string) {
	used := map[string]bool{}
	for _, f := range v.List(bailey.KindService, "") {
		if s, ok := bailey.As[*corev1.Service](f); ok && isPublished(s) && !isSystem(f.Namespace) {
			used[f.Namespace+" "+string(s.Spec.Type)] = true
		}
	}
	return map[string]string{publishedKey: strings.Join(slices.Sorted(maps.Keys(used)), "\n")},
		"strike from services what need not be: it lists the namespaces that publish Services now"
}
