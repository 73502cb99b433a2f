package compute

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
)

// defaultsWorld is a cluster with the policies of defaults in force.
type defaultsWorld struct {
	t       *testing.T
	cluster *devcluster.Cluster
}

func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// at reads a value by its path; nil if absent.
func at(o any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := o.(map[string]any)
			o = m[step]
		case int:
			l, _ := o.([]any)
			if step >= len(l) {
				return nil
			}
			o = l[step]
		}
	}
	return o
}

func (w *defaultsWorld) do(method, path string, in any) (map[string]any, error) {
	var out map[string]any
	err := w.cluster.Do(w.t.Context(), method, path, in, &out)
	return out, err
}

func (w *defaultsWorld) must(method, path string, in any) map[string]any {
	w.t.Helper()
	out, err := w.do(method, path, in)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// await waits until the policies answer in a namespace.
func (w *defaultsWorld) await(namespace string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		out, err := w.do(http.MethodPost, "/api/v1/namespaces/"+namespace+"/podtemplates?dryRun=All", parsed(w.t, `{metadata: {name: t}, template: {spec: {containers: [{name: a, image: a}]}}}`))
		spec := at(out, "template", "spec")
		if err == nil && at(spec, "containers", 0, "securityContext", "allowPrivilegeEscalation") == false && at(spec, "containers", 0, "securityContext", "capabilities") != nil {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("the policies set nothing: %v, %v", spec, err)
		case <-tick.C:
		}
	}
}

// isRestricted says what of a spec is not as the level restricted sets it.
func isRestricted(spec any) string {
	for path, want := range map[string]any{"seccompProfile": map[string]any{"type": "RuntimeDefault"}, "runAsNonRoot": true} {
		if got := at(spec, "securityContext", path); !reflect.DeepEqual(got, want) {
			return fmt.Sprintf("securityContext.%s is %v", path, got)
		}
	}
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		all, _ := at(spec, list).([]any)
		for i := range all {
			if got := at(all, i, "securityContext"); at(got, "allowPrivilegeEscalation") != false || !reflect.DeepEqual(at(got, "capabilities", "drop"), []any{"ALL"}) {
				return fmt.Sprintf("%s[%d].securityContext is %v", list, i, got)
			}
		}
	}
	return ""
}

const openSpec = `{restartPolicy: RESTART, initContainers: [{name: init, image: a}, {name: sidecar, image: a, restartPolicy: Always}], containers: [{name: main, image: a}, {name: second, image: a, securityContext: {readOnlyRootFilesystem: true}}]}`

// TestPodDefaults holds the policies of defaults to what they set, and to what they
// leave alone, on a real API server and its controllers.
func TestPodDefaults(t *testing.T) {
	w := &defaultsWorld{t, devclustertest.Shared(t)}
	labels := func(level, enforce string) map[string]string {
		return map[string]string{defaultsLabel: level, "pod-security.kubernetes.io/enforce": enforce}
	}
	restricted := devclustertest.Namespace(t, labels(defaultsRestricted, "restricted"))
	confined := devclustertest.Namespace(t, labels(defaultsConfined, "privileged"))
	before := devclustertest.Namespace(t, nil)
	path := func(group, namespace, resource string) string {
		return group + "/namespaces/" + namespace + "/" + resource
	}
	deployment := func(name string) map[string]any {
		return parsed(t, `{metadata: {name: `+name+`}, spec: {replicas: 0, selector: {matchLabels: {a: `+name+`}}, template: {metadata: {labels: {a: `+name+`}}, spec: {containers: [{name: main, image: "a:1"}]}}}}`)
	}
	deployments := path("/apis/apps/v1", before, "deployments")
	w.must(http.MethodPost, deployments, deployment("old"))

	controltest.Install(t, w.cluster, bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion}).Snapshot(), podDefaults)
	w.await(restricted)

	t.Run("pods", func(t *testing.T) {
		w := &defaultsWorld{t, w.cluster}
		pods := path("/api/v1", restricted, "pods")
		pod := parsed(t, `{metadata: {name: open}, spec: `+openSpec+`}`)
		pod["spec"].(map[string]any)["restartPolicy"] = "Always"
		made := w.must(http.MethodPost, pods, pod)
		if lack := isRestricted(made["spec"]); lack != "" {
			t.Error(lack)
		}
		if at(made, "spec", "containers", 1, "securityContext", "readOnlyRootFilesystem") != true {
			t.Error("what a container stated is gone")
		}
		made = w.must(http.MethodPatch, pods+"/open/ephemeralcontainers", parsed(t, `{spec: {ephemeralContainers: [{name: debug, image: a}]}}`))
		if lack := isRestricted(made["spec"]); lack != "" || at(made, "spec", "ephemeralContainers", 0) == nil {
			t.Errorf("with an ephemeral container: %s", lack)
		}
		w.must(http.MethodPatch, pods+"/open", parsed(t, `{metadata: {labels: {a: b}}}`))
	})
	t.Run("templates", func(t *testing.T) {
		w := &defaultsWorld{t, w.cluster}
		template := func(restart string) string {
			return `{metadata: {labels: {a: b}}, spec: ` + openSpec[:len(`{restartPolicy: `)] + restart + openSpec[len(`{restartPolicy: RESTART`):] + `}`
		}
		for resource, object := range map[string]string{
			"/apis/apps/v1 deployments":      `{spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: ` + template("Always") + `}}`,
			"/apis/apps/v1 replicasets":      `{spec: {replicas: 0, selector: {matchLabels: {a: b}}, template: ` + template("Always") + `}}`,
			"/apis/apps/v1 statefulsets":     `{spec: {replicas: 0, serviceName: s, selector: {matchLabels: {a: b}}, template: ` + template("Always") + `}}`,
			"/apis/apps/v1 daemonsets":       `{spec: {selector: {matchLabels: {a: b}}, template: ` + template("Always") + `}}`,
			"/apis/batch/v1 jobs":            `{spec: {suspend: true, template: ` + template("Never") + `}}`,
			"/apis/batch/v1 cronjobs":        `{spec: {suspend: true, schedule: "0 0 * * *", jobTemplate: {spec: {template: ` + template("Never") + `}}}}`,
			"/api/v1 replicationcontrollers": `{spec: {replicas: 0, selector: {a: b}, template: ` + template("Always") + `}}`,
			"/api/v1 podtemplates":           `{template: ` + template("Always") + `}`,
		} {
			var group, name string
			fmt.Sscan(resource, &group, &name)
			o := parsed(t, object)
			o["metadata"] = map[string]any{"name": "open"}
			made := w.must(http.MethodPost, path(group, restricted, name), o)
			spec := at(made, "spec", "template", "spec")
			switch name {
			case "cronjobs":
				spec = at(made, "spec", "jobTemplate", "spec", "template", "spec")
			case "podtemplates":
				spec = at(made, "template", "spec")
			}
			if lack := isRestricted(spec); lack != "" || at(spec, "automountServiceAccountToken") != false {
				t.Errorf("%s: %s, automount %v", name, lack, at(spec, "automountServiceAccountToken"))
			}
			// Written again as it was made, with nothing set, it stays as it is.
			if name == "jobs" {
				continue // its template cannot be written again
			}
			o = parsed(t, object)
			o["metadata"] = map[string]any{"name": "open"}
			again := w.must(http.MethodPut, path(group, restricted, name)+"/open", o)
			// (Not by its generation, which a controller's annotation of a Deployment counts up.)
			for _, part := range []string{"spec", "template"} {
				if !reflect.DeepEqual(at(again, part), at(made, part)) {
					t.Errorf("%s: another %s: %v after %v", name, part, at(again, part), at(made, part))
				}
			}
		}
	})
	t.Run("many containers", func(t *testing.T) {
		w := &defaultsWorld{t, w.cluster}
		var containers []any
		for i := range 1000 {
			containers = append(containers, map[string]any{"name": fmt.Sprintf("c%d", i), "image": "a"})
		}
		many := map[string]any{"metadata": map[string]any{"name": "many"}, "template": map[string]any{"spec": map[string]any{"containers": containers}}}
		if lack := isRestricted(at(w.must(http.MethodPost, path("/api/v1", restricted, "podtemplates"), many), "template", "spec")); lack != "" {
			t.Error(lack)
		}
	})
	t.Run("what is stated", func(t *testing.T) {
		w := &defaultsWorld{t, w.cluster}
		for name, spec := range map[string]string{
			"states":     `{automountServiceAccountToken: true, securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: a, image: a, securityContext: {allowPrivilegeEscalation: true}}]}`,
			"privileged": `{securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: a, image: a, securityContext: {privileged: true}}, {name: b, image: a, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]}`,
			"windows":    `{os: {name: windows}, containers: [{name: a, image: a}]}`,
		} {
			stated := parsed(t, `{metadata: {name: `+name+`}, template: {spec: `+spec+`}}`)
			got := w.must(http.MethodPost, path("/api/v1", confined, "podtemplates"), stated)
			want := w.must(http.MethodPost, path("/api/v1", before, "podtemplates"), stated)
			if !reflect.DeepEqual(got["template"], want["template"]) {
				t.Errorf("%s: %v, want %v", name, got["template"], want["template"])
			}
		}
		// Root is stated, and then not taken back.
		root := w.must(http.MethodPost, path("/api/v1", restricted, "podtemplates"), parsed(t, `{metadata: {name: root}, template: {spec: {serviceAccountName: own, containers: [{name: a, image: a, securityContext: {runAsUser: 0}}]}}}`))
		if spec := at(root, "template", "spec"); at(spec, "securityContext", "runAsNonRoot") != nil || at(spec, "automountServiceAccountToken") != nil {
			t.Errorf("root: %v", spec)
		}
		half := w.must(http.MethodPost, path("/api/v1", confined, "podtemplates"), parsed(t, `{metadata: {name: half}, template: {spec: {containers: [{name: a, image: a}]}}}`))
		if spec := at(half, "template", "spec"); at(spec, "containers", 0, "securityContext", "allowPrivilegeEscalation") != false || at(spec, "containers", 0, "securityContext", "capabilities") != nil {
			t.Errorf("confined: %v", spec)
		}
	})
	t.Run("what was there before", func(t *testing.T) {
		w := &defaultsWorld{t, w.cluster}
		seccomp := func(o map[string]any) any {
			return at(o, "spec", "template", "spec", "securityContext", "seccompProfile")
		}
		w.must(http.MethodPatch, "/api/v1/namespaces/"+before, map[string]any{"metadata": map[string]any{"labels": map[string]any{defaultsLabel: defaultsRestricted}}})
		w.await(before)
		if old := w.must(http.MethodPatch, deployments+"/old", parsed(t, `{metadata: {labels: {more: labels}}, spec: {minReadySeconds: 1}}`)); seccomp(old) != nil {
			t.Error("a template changed with the labels")
		}
		// Its controller makes the ReplicaSet again, of the template that it has, and once.
		sets := path("/apis/apps/v1", before, "replicasets")
		list := func() []any { items, _ := w.must(http.MethodGet, sets, nil)["items"].([]any); return items }
		gone := at(list(), 0, "metadata", "uid")
		w.must(http.MethodDelete, sets+"/"+at(list(), 0, "metadata", "name").(string), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			now := list()
			if len(now) == 1 && at(now, 0, "metadata", "uid") != gone {
				if seccomp(now[0].(map[string]any)) != nil {
					t.Error("the ReplicaSet of a Deployment has another template than it")
				}
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("%d ReplicaSets", len(now))
			case <-tick.C:
			}
		}
		if old := w.must(http.MethodPatch, deployments+"/old", parsed(t, `{spec: {template: {spec: {containers: [{name: main, image: "a:2"}]}}}}`)); seccomp(old) == nil {
			t.Error("a template that was changed otherwise lacks the defaults")
		}
	})
}
