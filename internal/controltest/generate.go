package controltest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/baileyhq/bailey"
)

// generator makes objects with any combination of what rules find: a pod that is well
// kept takes on parts of Bad objects and of cases, and goes into an object of any kind
// that makes pods; of other kinds two objects are mixed. All follows from the seed.
type generator struct {
	*rand.Rand
	pods   []map[string]any // metadata and spec
	others map[bailey.Kind][]map[string]any
	kinds  []bailey.Kind // of others, sorted
}

// newGenerator takes the parts from the Bad objects of the controls' rules and from the
// cases that the pattern names.
func newGenerator(t *testing.T, seed uint64, controls []*bailey.Control, cases string) *generator {
	t.Helper()
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x67756172)), others: map[bailey.Kind][]map[string]any{}}
	var texts [][]byte
	for _, c := range controls {
		for _, r := range c.Rules {
			for _, bad := range r.Bad {
				texts = append(texts, []byte(bad))
			}
		}
	}
	files, err := filepath.Glob(cases)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d cases at %s (%v)", len(files), cases, err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".yaml") {
				texts = append(texts, f.Data)
			}
		}
	}
	looked := map[bailey.Kind]bool{}
	for _, c := range controls {
		for _, guard := range c.Guards {
			for _, r := range guard.Covers {
				for _, k := range r.On {
					looked[k] = true
				}
			}
		}
	}
	for _, text := range texts {
		for _, document := range documents(t, text) {
			o := creation(t, document).Object.(*unstructured.Unstructured)
			kind := bailey.KindOf(o.GetAPIVersion(), o.GetKind())
			if template := templateIn(o); template != nil {
				g.pods = append(g.pods, template)
			} else if looked[kind] {
				g.others[kind] = append(g.others[kind], o.Object)
			}
		}
	}
	g.kinds = slices.Sorted(maps.Keys(g.others))
	return g
}

// next makes an object of the namespace, or of the cluster.
func (g *generator) next(t *testing.T, namespace string) *unstructured.Unstructured {
	if len(g.kinds) > 0 && g.IntN(3) == 0 {
		all := g.others[g.kinds[g.IntN(len(g.kinds))]]
		o := (&unstructured.Unstructured{Object: all[g.IntN(len(all))]}).DeepCopy()
		other := (&unstructured.Unstructured{Object: all[g.IntN(len(all))]}).DeepCopy().Object
		for _, key := range sortedKeys(other) {
			switch key {
			case "apiVersion", "kind", "status":
			default:
				o.Object[key] = g.mix(o.Object[key], other[key])
			}
		}
		if o.GetNamespace() != "" {
			o.SetNamespace(namespace)
		}
		o.SetName("generated")
		return o
	}
	pod := g.pod(t)
	kind := bailey.PodBearing[g.IntN(len(bailey.PodBearing))]
	l := &live{t: t, namespace: namespace}
	return l.carrier(kind, pod)
}

// pod is a well-kept pod with up to three parts of others, and up to two oddities.
func (g *generator) pod(t *testing.T) map[string]any {
	pod := templateIn(creation(t, documents(t, []byte(wellKept))[0]).Object.(*unstructured.Unstructured))
	delete(pod["spec"].(map[string]any), "serviceAccountName") // the namespace has no other
	for range g.IntN(4) {
		g.take(pod, g.pods[g.IntN(len(g.pods))])
	}
	for range g.IntN(3) {
		oddities[g.IntN(len(oddities))](g, pod["spec"].(map[string]any), g.container(pod))
	}
	return pod
}

var containerLists = []string{"containers", "initContainers"}

// take gives the pod parts of another: some of its fields, and a container, into one of
// the pod's or beside them.
func (g *generator) take(pod, other map[string]any) {
	other = (&unstructured.Unstructured{Object: other}).DeepCopy().Object
	from, _ := other["spec"].(map[string]any)
	spec := pod["spec"].(map[string]any)
	for _, key := range sortedKeys(from) {
		switch key {
		case "containers", "initContainers":
			list, _ := from[key].([]any)
			if len(list) == 0 {
				continue
			}
			g.takeContainer(pod, list[g.IntN(len(list))].(map[string]any))
		case "volumes":
			g.takeVolumes(spec, from[key])
		case "ephemeralContainers", "serviceAccountName", "serviceAccount", "priorityClassName", "priority", "restartPolicy":
		default:
			if g.IntN(4) > 0 {
				spec[key] = g.mix(spec[key], from[key])
			}
		}
	}
	for _, key := range []string{"labels", "annotations"} {
		if notes, _ := other["metadata"].(map[string]any)[key].(map[string]any); len(notes) > 0 && g.IntN(4) > 0 {
			delete(notes, "app")
			meta := pod["metadata"].(map[string]any)
			meta[key] = g.mix(meta[key], notes)
		}
	}
}

func (g *generator) takeVolumes(spec map[string]any, from any) {
	have, _ := spec["volumes"].([]any)
	list, _ := from.([]any)
	for _, v := range list {
		name := v.(map[string]any)["name"]
		if !slices.ContainsFunc(have, func(h any) bool { return h.(map[string]any)["name"] == name }) {
			have = append(have, v)
		}
	}
	if len(have) > 0 {
		spec["volumes"] = have
	}
}

func (g *generator) takeContainer(pod, c map[string]any) {
	spec := pod["spec"].(map[string]any)
	delete(c, "volumeMounts")
	delete(c, "volumeDevices")
	if g.IntN(3) == 0 {
		list := containerLists[g.IntN(2)]
		have, _ := spec[list].([]any)
		c["name"] = fmt.Sprintf("taken-%d-%s", len(have), strings.ToLower(list[:4]))
		if list == "containers" {
			delete(c, "restartPolicy")
		}
		spec[list] = append(have, c)
		return
	}
	into := g.container(pod)
	for _, key := range sortedKeys(c) {
		if key != "name" && key != "restartPolicy" && g.IntN(4) > 0 {
			into[key] = g.mix(into[key], c[key])
		}
	}
}

// container is any of the pod's.
func (g *generator) container(pod map[string]any) map[string]any {
	var all []any
	for _, list := range containerLists {
		have, _ := pod["spec"].(map[string]any)[list].([]any)
		all = append(all, have...)
	}
	return all[g.IntN(len(all))].(map[string]any)
}

// mix is one of two values, or of maps those fields that chance takes from either.
func (g *generator) mix(a, b any) any {
	from, isMap := b.(map[string]any)
	into, areMaps := a.(map[string]any)
	if !isMap || !areMaps || into == nil || g.IntN(8) == 0 {
		if a != nil && g.IntN(3) == 0 {
			return a
		}
		return b
	}
	for _, key := range sortedKeys(from) {
		if g.IntN(4) > 0 {
			into[key] = g.mix(into[key], from[key])
		}
	}
	return into
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// oddities change a pod in ways that the samples may not hold: spelling, absence, and
// the places beside those where things usually stand.
var oddities = []func(g *generator, spec, container map[string]any){
	func(g *generator, _, c map[string]any) { c["image"] = images[g.IntN(len(images))] },
	func(g *generator, spec, _ map[string]any) {
		for _, c := range asList(spec[containerLists[g.IntN(2)]]) {
			c.(map[string]any)["image"] = images[g.IntN(len(images))]
		}
	},
	func(g *generator, _, c map[string]any) { delete(c, "securityContext") },
	func(g *generator, spec, _ map[string]any) { delete(spec, "automountServiceAccountToken") },
	func(g *generator, spec, _ map[string]any) { spec["automountServiceAccountToken"] = g.IntN(2) == 0 },
	func(g *generator, spec, _ map[string]any) { spec["nodeName"] = "node-1" },
	func(g *generator, spec, _ map[string]any) {
		spec["hostNetwork"], spec["hostPID"] = true, g.IntN(2) == 0
	},
	func(g *generator, spec, _ map[string]any) {
		spec["os"] = map[string]any{"name": []string{"linux", "windows"}[g.IntN(2)]}
	},
	func(g *generator, spec, _ map[string]any) {
		spec["tolerations"] = []any{map[string]any{"operator": "Exists"}}
	},
	func(g *generator, spec, _ map[string]any) {
		spec["volumes"] = append(asList(spec["volumes"]), map[string]any{"name": fmt.Sprint("odd-", g.IntN(1000)), "hostPath": map[string]any{"path": paths[g.IntN(len(paths))]}})
	},
	func(g *generator, _, c map[string]any) {
		context := under(c, "securityContext")
		context[[]string{"privileged", "allowPrivilegeEscalation", "runAsNonRoot", "readOnlyRootFilesystem"}[g.IntN(4)]] = g.IntN(2) == 0
	},
	func(g *generator, _, c map[string]any) {
		under(c, "securityContext")["capabilities"] = map[string]any{[]string{"add", "drop"}[g.IntN(2)]: []any{capabilities[g.IntN(len(capabilities))]}}
	},
	func(g *generator, spec, c map[string]any) {
		types := []map[string]any{{"type": "Unconfined"}, {"type": "RuntimeDefault"}, {"type": "Localhost", "localhostProfile": "p.json"}}
		in := []map[string]any{spec, c}[g.IntN(2)]
		under(in, "securityContext")[[]string{"seccompProfile", "appArmorProfile"}[g.IntN(2)]] = maps.Clone(types[g.IntN(len(types))])
	},
	func(g *generator, spec, c map[string]any) {
		under([]map[string]any{spec, c}[g.IntN(2)], "securityContext")["runAsUser"] = int64(g.IntN(2) * 1000)
	},
	func(g *generator, _, c map[string]any) {
		c["ports"] = []any{map[string]any{"containerPort": int64(8080), "hostPort": int64(8080 * g.IntN(2))}}
	},
	func(g *generator, _, c map[string]any) {
		c["env"] = []any{map[string]any{"name": "TOKEN", "value": ""}, map[string]any{"name": "PASSWORD", "value": "Fake-Kiosk-1"}}
	},
	func(g *generator, spec, _ map[string]any) { spec["runtimeClassName"] = "unknown" },
}

var (
	images = []string{"nginx", "nginx:latest", "registry.example.com/app", "registry.example.com/app:1", "registry.example.com:5000/app", "localhost/app:1", "quay.io/team/app:1", "docker.io/team/app:1",
		"registry.example.com/app@sha256:" + strings.Repeat("0", 64), "registry.example.com.evil.test/app@sha256:" + strings.Repeat("0", 64),
		"docker.io/library/app:1@sha256:" + strings.Repeat("0", 64), "app@sha256:" + strings.Repeat("0", 64), "REGISTRY.example.com/app@sha256:" + strings.Repeat("0", 64)}
	paths = []string{"/", "/var/run/docker.sock", "/var//run/containerd/", "/run/./crio/crio.sock", "/var/lib/kubelet/pods", "/data", "/etc/kubernetes", "/var/log", "//proc"}

	capabilities = []string{"ALL", "all", "NET_ADMIN", "CAP_SYS_ADMIN", "NET_BIND_SERVICE", "CHOWN"}
)

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

func under(m map[string]any, key string) map[string]any {
	child, is := m[key].(map[string]any)
	if !is {
		child = map[string]any{}
		m[key] = child
	}
	return child
}
