package compute

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// dryRun asks the API server to create the pod, by dry-run; nil if it would.
func dryRun(t *testing.T, namespace string, pod map[string]any) *devcluster.StatusError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := devclustertest.Shared(t).Do(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", pod, nil)
	var status *devcluster.StatusError
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	return status
}

// refusedByLevel reports whether the PodSecurity plugin turned the pod down.
func refusedByLevel(s *devcluster.StatusError) bool {
	return s != nil && s.Code == http.StatusForbidden && strings.Contains(s.Message, "violates PodSecurity")
}

func asMap(t *testing.T, namespace string, pod *corev1.Pod) map[string]any {
	t.Helper()
	pod = pod.DeepCopy()
	pod.Namespace = namespace
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func liveVersion(t *testing.T) bailey.Version {
	t.Helper()
	var info struct{ Major, Minor string }
	if err := devclustertest.Shared(t).Do(t.Context(), http.MethodGet, "/version", nil, &info); err != nil {
		t.Fatal(err)
	}
	v, err := bailey.ParseVersion(info.Major + "." + info.Minor)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestLiveGuardsRefuseTheBad(t *testing.T) {
	// What the API server refuses with or without the guard, as its doc says.
	invalid := []*bailey.Rule{ruleOf[procMountCheck.ID]}
	open := devclustertest.Namespace(t, nil)
	for i, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		namespace := devclustertest.Namespace(t, map[string]string{api.EnforceLevelLabel: string(level)})
		for _, r := range podSecurityGuards[i].Covers {
			for _, bad := range r.Bad {
				pod := controltest.Facts(t, []byte(bad))[0].Object.(*corev1.Pod)
				if slices.Contains(invalid, r) {
					if s := dryRun(t, namespace, asMap(t, namespace, pod)); s == nil {
						t.Errorf("%s: Bad is admitted", r.Name)
					}
					continue
				}
				if s := dryRun(t, namespace, asMap(t, namespace, pod)); !refusedByLevel(s) {
					t.Errorf("enforce-%s does not refuse the Bad of %s: %v", level, r.Name, s)
				}
				if s := dryRun(t, open, asMap(t, open, pod)); s != nil {
					t.Errorf("the Bad of %s is refused without the guard: %v", r.Name, s)
				}
			}
		}
	}
}

// The API server gives the same verdict as the rules on the fixtures of its own
// version, and admits what the fixes make of them.
func TestLiveServerAgreesOnFixtures(t *testing.T) {
	version := liveVersion(t)
	namespaces := map[api.Level]string{}
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		namespaces[level] = devclustertest.Namespace(t, map[string]string{api.EnforceLevelLabel: string(level)})
	}
	asked, fixed := 0, 0
	for _, x := range upstreamFixtures(t) {
		if x.version != version {
			continue
		}
		asked++
		f := podFact(x.pod)
		found := fired(version, f, levelRules[x.level]...)
		s := dryRun(t, namespaces[x.level], asMap(t, namespaces[x.level], x.pod))
		if s != nil && s.Code == http.StatusUnprocessableEntity {
			continue // not a valid pod at all
		}
		if refusedByLevel(s) != (len(found) > 0) {
			t.Errorf("%s: the server says %v, Bailey finds %v", x.name, s, found)
		}
		if x.pass || x.level != api.LevelRestricted {
			continue
		}
		f = fixAll(t, version, f)
		if left := fired(version, f, levelRules[x.level]...); len(left) > 0 {
			continue // no mechanical fix
		}
		fixed++
		if s := dryRun(t, namespaces[x.level], asMap(t, namespaces[x.level], f.Object.(*corev1.Pod))); s != nil {
			t.Errorf("%s: the fixed pod is refused: %v", x.name, s)
		}
	}
	t.Logf("%d fixtures of %s asked, %d fixed", asked, version, fixed)
	if asked < 100 || fixed < 30 {
		t.Errorf("only %d fixtures of %s asked, %d fixed", asked, version, fixed)
	}
}
