package deploy

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/derive/workload"
)

// registriesKey is the key of the parameter's data.
const registriesKey = "registries"

var foreignRegistry = &bailey.Rule{
	Name:  "foreign-registry",
	Title: "Image comes from a registry that is not allowed",
	Doc: `Where the ConfigMap kube-system/bailey-registries lists allowed registries, every image must come from one of
them: of containers, init containers, sidecars, ephemeral containers and image volumes. A line is a registry
(registry.example:5000) or the beginning of names in one (docker.io/library). Names are read as runtimes read them:
nginx is docker.io/library/nginx. Where there is no list, no registry is foreign.

A reference that has still to be filled in is not judged.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{imageDocs, ref.CNCF(307, "Pulls from public registries are controlled"),
		ref.NIST("CM-7"), ref.ATTACK("T1204.003")},
	On:    bailey.PodBearing,
	Needs: []bailey.Kind{bailey.KindConfigMap},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		list, ok := bailey.As[*corev1.ConfigMap](v.Get(bailey.KindConfigMap, metav1.NamespaceSystem, bailey.RegistriesParam))
		if !ok {
			return nil
		}
		allowed := registriesIn(list.Data[registriesKey])
		var found []bailey.Finding
		for u := range imagesOf(w) {
			if name := imageref.FullName(u.text); !isAllowed(name, allowed) {
				found = append(found, u.finding(u.uses()+quote(u.text)+", and no allowed registry has "+quote(name)))
			}
		}
		return found
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: shop}
spec: {containers: [{name: app, image: nginx}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bailey-registries, namespace: kube-system}
data: {registries: "# ours\nregistry.example\nregistry.example.com:5000/\ndocker.io/library/busybox\ndocker.io/bitnami\n"}
`, `apiVersion: v1
kind: Pod
metadata: {name: bad-neighbour, namespace: shop}
spec: {containers: [{name: app, image: "registry.example.com/app:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bailey-registries, namespace: kube-system}
data: {registries: "# ours\nregistry.example\nregistry.example.com:5000/\ndocker.io/library/busybox\ndocker.io/bitnami\n"}
`},
}

// registriesIn reads the parameter's text: a name a line; empty lines and those that
// begin with # count for nothing.
func registriesIn(text string) []string {
	var all []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, strings.TrimSuffix(line, "/"))
		}
	}
	return all
}

func isAllowed(name string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool { return name == a || strings.HasPrefix(name, a+"/") })
}

// sharedRegistries are those that anybody may push to: there an owner's name belongs
// to what is allowed.
var sharedRegistries = []string{"docker.io", "ghcr.io", "quay.io", "gcr.io", "public.ecr.aws", "registry.gitlab.com"}

// registriesInUse lists what the workloads' images come from, as the parameter's text.
func registriesInUse(v *bailey.View) (data map[string]string, note string) {
	used := map[string]bool{}
	for _, k := range bailey.PodBearing {
		for _, f := range v.List(k, "") {
			w, ok := workload.Of(f)
			if !ok {
				continue
			}
			for u := range imagesOf(w) {
				registry, rest, _ := strings.Cut(imageref.FullName(u.text), "/")
				if slices.Contains(sharedRegistries, registry) {
					owner, _, _ := strings.Cut(rest, "/")
					registry += "/" + owner
				}
				used[registry] = true
			}
		}
	}
	return map[string]string{registriesKey: strings.Join(slices.Sorted(maps.Keys(used)), "\n")},
		"strike from registries what need not be: it lists those that workloads use now"
}
