package compute

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
	"github.com/baileyhq/bailey/internal/controltest"
)

// labelledNamespace gives a snapshot with the namespace and its pods, in which every
// kind but the missing ones was seen.
func labelledNamespace(v bailey.Version, labels map[string]string, missing bailey.Kind, named ...string) *bailey.Snapshot {
	b := bailey.NewBuilder(bailey.Meta{Version: v})
	for _, k := range bailey.KnownKinds() {
		if k != missing {
			b.Saw(k, "")
		}
	}
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: "ns"}, APIVersion: "v1", Labels: labels,
		Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", Labels: labels}}})
	for _, name := range named {
		pod := pods.Restricted(pods.Model{Namespace: "ns", Image: "registry.example/app:1"})
		switch name {
		case "privileged":
			yes := true
			pod.Spec.Containers[0].SecurityContext.Privileged = &yes
		case "baseline":
			pod.Spec.SecurityContext = nil
		}
		f := podFact(pod)
		f.Namespace, f.Name = "ns", name
		b.Add(f)
	}
	return b.Snapshot()
}

func guardView(s *bailey.Snapshot, g *bailey.Guard) *bailey.View {
	v := bailey.NewView(s)
	v.Allow(nil, g.Needs, g.Derives)
	return v
}

var ns = bailey.Ref{Kind: bailey.KindNamespace, Name: "ns"}

func TestGuardsSetTheLevelThatWorkloadsPass(t *testing.T) {
	baseline, restricted := podSecurityGuards[0], podSecurityGuards[1]
	for _, test := range []struct {
		name    string
		guard   *bailey.Guard
		labels  map[string]string
		missing bailey.Kind
		pods    []string
		want    string // the labels that the patch sets
		note    string
	}{
		{name: "empty", guard: restricted, want: "audit=restricted enforce=restricted warn=restricted"},
		{name: "passes", guard: restricted, pods: []string{"fine"}, want: "audit=restricted enforce=restricted warn=restricted"},
		{name: "passes baseline only", guard: restricted, pods: []string{"fine", "baseline"}, want: "audit=restricted warn=restricted", note: "Pod baseline (run-as-non-root)"},
		{name: "baseline", guard: baseline, pods: []string{"fine", "baseline"}, want: "audit=baseline enforce=baseline warn=baseline"},
		{name: "privileged", guard: baseline, pods: []string{"baseline", "privileged"}, want: "audit=baseline warn=baseline", note: "Pod privileged (privileged)"},
		{name: "not seen", guard: baseline, missing: bailey.KindJob, want: "audit=baseline warn=baseline", note: "Job.batch"},
		{name: "already stricter", guard: baseline, labels: map[string]string{api.EnforceLevelLabel: "restricted"}},
		{name: "in place", guard: baseline, labels: map[string]string{api.EnforceLevelLabel: "baseline"}},
		{name: "stricter warnings stay", guard: baseline, labels: map[string]string{api.WarnLevelLabel: "restricted"}, want: "audit=baseline enforce=baseline"},
		{name: "pinned to an old version", guard: baseline, labels: map[string]string{api.EnforceLevelLabel: "baseline", api.EnforceVersionLabel: "v1.20", api.WarnLevelLabel: "baseline", api.AuditLevelLabel: "baseline"}, want: "enforce-version=v1.37"},
	} {
		s := labelledNamespace(bailey.LatestVersion, test.labels, test.missing, test.pods...)
		changes := test.guard.Objects(guardView(s, test.guard), ns)
		got, note := "", ""
		if len(changes) > 0 {
			fixed := controltest.Apply(t, s, changes[0])
			var set []string
			for _, key := range slices.Sorted(maps.Keys(fixed.Labels)) {
				if short, is := strings.CutPrefix(key, "pod-security.kubernetes.io/"); is && test.labels[key] != fixed.Labels[key] {
					set = append(set, short+"="+fixed.Labels[key])
				}
			}
			got, note = strings.Join(set, " "), changes[0].Note
		}
		if got != test.want || !strings.Contains(note, test.note) || (note == "") != (test.note == "") {
			t.Errorf("%s: %s sets %q (%s), want %q (%s)", test.name, test.guard.Name, got, note, test.want, test.note)
		}
	}
}

func TestGuardsArePresentByTheirLabels(t *testing.T) {
	for _, test := range []struct {
		level, version       string
		baseline, restricted bool
	}{
		{"", "", false, false},
		{"privileged", "", false, false},
		{"baseline", "", true, false},
		{"baseline", "latest", true, false},
		{"baseline", "v1.34", true, false},
		{"baseline", "v1.33", false, false}, // knows no host-probes-and-host-lifecycle
		{"baseline", "v1.99", true, false},
		{"restricted", "", true, true},
		{"restricted", "v1.20", false, false},
		{"restricted", "nonsense", true, true}, // the plugin takes the latest
		{"nonsense", "", true, true},           // the plugin takes restricted
	} {
		labels := map[string]string{"team": "a"}
		if test.level != "" {
			labels[api.EnforceLevelLabel] = test.level
		}
		if test.version != "" {
			labels[api.EnforceVersionLabel] = test.version
		}
		s := labelledNamespace(bailey.LatestVersion, labels, "")
		for i, want := range []bool{test.baseline, test.restricted} {
			g := podSecurityGuards[i]
			if p := g.Present(guardView(s, g), ns); p.InPlace != want || p.Why == "" {
				t.Errorf("enforce=%s at version %q: %s is %+v, want %v", test.level, test.version, g.Name, p, want)
			}
		}
	}
	for _, g := range podSecurityGuards[:2] {
		if p := g.Present(guardView(labelledNamespace(bailey.LatestVersion, nil, ""), g), bailey.Ref{Kind: bailey.KindNamespace, Name: "absent"}); p.InPlace {
			t.Errorf("%s is in place in a namespace that is not there", g.Name)
		}
	}
}

// Every Bad pod of a rule that a guard covers is refused at the guard's level
// by the upstream evaluator, which is the plugin's own.
func TestGuardsRefuseWhatTheyCover(t *testing.T) {
	e := evaluator(t)
	for i, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		for _, r := range podSecurityGuards[i].Covers {
			for _, bad := range r.Bad {
				pod := controltest.Facts(t, []byte(bad))[0].Object.(*corev1.Pod)
				if !upstreamRefuses(e, level, bailey.LatestVersion, pod) {
					t.Errorf("enforce-%s covers %s and does not refuse its Bad", level, r.Name)
				}
			}
		}
	}
}

func TestExperimentTriesEachCheckAlone(t *testing.T) {
	e := evaluator(t)
	x := refusedByPodSecurity
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		for minor := 34; minor <= 37; minor++ {
			version := bailey.Version{Major: 1, Minor: minor}
			view := bailey.NewView(labelledNamespace(version, map[string]string{api.EnforceLevelLabel: string(level)}, ""))
			view.Allow(nil, x.Needs, nil)
			probes := x.Plan(view, ns)
			tried := map[string]map[string]bool{}
			for _, p := range probes {
				try, twin := toPod(t, p.Try), toPod(t, p.Twin)
				if !upstreamRefuses(e, level, version, try) || upstreamRefuses(e, level, version, twin) {
					t.Errorf("%s v1.%d %q: upstream refuses the try %v and the twin %v", level, minor, p.Name,
						upstreamRefuses(e, level, version, try), upstreamRefuses(e, level, version, twin))
				}
				if !slices.Equal(p.Try.Refusers, []bailey.Refuser{bailey.RefuserPodSecurity}) || p.Twin.Refusers != nil || p.Try.Request.Namespace != "ns" {
					t.Errorf("%q: %+v", p.Name, p)
				}
				found := fired(version, podFact(try), levelRules[level]...)
				for r := range found {
					if tried[r.Name] == nil {
						tried[r.Name] = map[string]bool{}
					}
					tried[r.Name][p.Path] = true
				}
				if len(found) != 1 {
					t.Errorf("%s v1.%d %q violates %d rules, not one: %v", level, minor, p.Name, len(found), found)
				}
			}
			for _, r := range levelRules[level] {
				paths := len(tried[r.Name])
				switch r.Name {
				case "windows-host-process", "proc-mount":
				case "proc-mount-restricted":
					if want := minor >= 36; (paths == 3) != want {
						t.Errorf("v1.%d: %s is tried in %d paths", minor, r.Name, paths)
					}
				default:
					if paths == 0 {
						t.Errorf("%s v1.%d: nothing tries %s", level, minor, r.Name)
					}
				}
			}
			for _, path := range []string{"create pods/initContainers", "create pods/sidecars", "create pods/containers"} {
				if !tried["privileged"][path] || level == api.LevelRestricted && !tried["capabilities-restricted"][path] {
					t.Errorf("%s v1.%d: a check on containers is not tried in %s", level, minor, path)
				}
			}
		}
	}
}

func TestExperimentNeedsTheLabel(t *testing.T) {
	for _, labels := range []map[string]string{nil, {api.EnforceLevelLabel: "privileged"}} {
		view := bailey.NewView(labelledNamespace(bailey.LatestVersion, labels, ""))
		view.Allow(nil, refusedByPodSecurity.Needs, nil)
		if probes := refusedByPodSecurity.Plan(view, ns); len(probes) > 0 {
			t.Errorf("with labels %v there is something to try: %v", labels, probes[0].Name)
		}
	}
	// An old pinned version forbids less, and less is tried.
	plan := func(version string) (names []string) {
		view := bailey.NewView(labelledNamespace(bailey.LatestVersion, map[string]string{api.EnforceLevelLabel: "baseline", api.EnforceVersionLabel: version}, ""))
		view.Allow(nil, refusedByPodSecurity.Needs, nil)
		for _, p := range refusedByPodSecurity.Plan(view, ns) {
			names = append(names, p.Name)
		}
		return names
	}
	if old, now := plan("v1.30"), plan("latest"); slices.ContainsFunc(old, isHostProbe) || !slices.ContainsFunc(now, isHostProbe) {
		t.Errorf("at v1.30 %v is tried, at the latest version %v", old, now)
	}
}

func isHostProbe(name string) bool { return strings.HasPrefix(name, "host in a probe") }

func toPod(t *testing.T, s bailey.Step) *corev1.Pod {
	t.Helper()
	if _, err := json.Marshal(s.Request.Object); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(s.Request.Object, pod, true); err != nil {
		t.Fatal(err)
	}
	return pod
}
