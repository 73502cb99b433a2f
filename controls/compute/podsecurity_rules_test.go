package compute

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	upstream "k8s.io/pod-security-admission/test"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
	"github.com/baileyhq/bailey/internal/controltest"
)

func TestPodSecurity(t *testing.T) { controltest.Run(t, PodSecurity) }

// upstreamFixtures gives every pod of the upstream module's test data.
func upstreamFixtures(t testing.TB) []fixture {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatalf("go list does not find the upstream module: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "test", "testdata")
	var all []fixture
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		parts := strings.Split(filepath.ToSlash(rel), "/") // level/version/pass or fail/name
		version, err := bailey.ParseVersion(parts[1])
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(data, pod); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, fixture{strings.Join(parts, "/"), api.Level(parts[0]), version, parts[2] == "pass",
			strings.TrimRight(strings.TrimSuffix(parts[3], ".yaml"), "0123456789"), pod})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

type fixture struct {
	name    string
	level   api.Level
	version bailey.Version
	pass    bool
	check   string // the check's ID in lower case
	pod     *corev1.Pod
}

func podFact(pod *corev1.Pod) *bailey.Fact {
	return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "default", Name: "p"}, APIVersion: "v1", Labels: pod.Labels, Object: pod}
}

// fired gives the findings of the rules on the fact, by rule.
func fired(v bailey.Version, f *bailey.Fact, rules ...*bailey.Rule) map[*bailey.Rule][]bailey.Finding {
	b := bailey.NewBuilder(bailey.Meta{Version: v})
	b.Add(f)
	view := bailey.NewView(b.Snapshot())
	found := map[*bailey.Rule][]bailey.Finding{}
	for _, r := range rules {
		view.Allow(r.On, r.Needs, r.Derives)
		if findings := r.Check(view, f); len(findings) > 0 {
			found[r] = findings
		}
	}
	return found
}

var (
	baselineRules = standardRules(api.LevelBaseline)
	levelRules    = map[api.Level][]*bailey.Rule{
		api.LevelBaseline:   baselineRules,
		api.LevelRestricted: standardRules(api.LevelBaseline, api.LevelRestricted),
	}
)

// alsoTells are rules that speak in the place of another: the restricted
// fixtures of a check that baseline repeats less strictly.
var alsoTells = map[string]policy.CheckID{
	"capabilities_restricted":   capabilitiesBaselineCheck.ID,
	"seccompprofile_restricted": seccompBaselineCheck.ID,
	"restrictedvolumes":         hostPathVolumesCheck.ID,
	"procmount_restricted":      procMountCheck.ID,
	// Before 1.35 the fixtures of the baseline check hold a user namespace too.
	"procmount": procMountRestrictedCheck.ID,
}

func TestEveryUpstreamFixtureAgrees(t *testing.T) {
	byName := map[string]policy.CheckID{}
	for _, c := range standardChecks {
		byName[strings.ToLower(string(c.ID))] = c.ID
	}
	passes, fails := 0, 0
	for _, f := range upstreamFixtures(t) {
		found := fired(f.version, podFact(f.pod), levelRules[f.level]...)
		if f.pass {
			passes++
			if len(found) > 0 {
				t.Errorf("%s: passes upstream, and Bailey finds %v", f.name, found)
			}
			continue
		}
		fails++
		id, known := byName[f.check]
		if !known {
			t.Errorf("%s: no rule for the check %s", f.name, f.check)
		}
		if len(found[ruleOf[id]]) == 0 && len(found[ruleOf[alsoTells[f.check]]]) == 0 {
			t.Errorf("%s: fails upstream by %s, and Bailey finds %v", f.name, id, found)
		}
	}
	t.Logf("%d fixtures pass, %d fail", passes, fails)
	if passes < 1000 || fails < 3000 {
		t.Errorf("found %d passing and %d failing fixtures: where are the others?", passes, fails)
	}
}

func TestMinimalValidPodsPass(t *testing.T) {
	for _, level := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		for minor := 0; minor <= bailey.LatestVersion.Minor; minor++ {
			pod, err := upstream.GetMinimalValidPod(level, api.MajorMinorVersion(1, minor))
			if err != nil {
				t.Fatal(err)
			}
			if found := fired(bailey.Version{Major: 1, Minor: minor}, podFact(pod), levelRules[level]...); len(found) > 0 {
				t.Errorf("the minimal pod of %s v1.%d: %v", level, minor, found)
			}
		}
	}
}

// Whoever raises the version of the upstream module learns here what is new.
func TestEveryUpstreamCheckHasARule(t *testing.T) {
	known := map[policy.CheckID]bool{}
	for _, c := range standardChecks {
		known[c.ID] = true
	}
	checks := policy.DefaultChecks()
	for _, c := range checks {
		if !known[c.ID] {
			t.Errorf("the upstream check %s has no rule", c.ID)
		}
		for _, v := range c.Versions {
			if v.MinimumVersion.Minor() > bailey.LatestVersion.Minor {
				t.Errorf("the check %s has a version %s that Bailey does not know", c.ID, v.MinimumVersion.String())
			}
		}
	}
	if len(checks) != len(standardChecks) {
		t.Errorf("there are %d upstream checks and %d rules", len(checks), len(standardChecks))
	}
	names := map[string]bool{}
	for _, r := range podSecurityRules {
		if names[r.Name] {
			t.Errorf("two rules are named %s", r.Name)
		}
		names[r.Name] = true
	}
}

// evaluator is the upstream's own, with its own registry of overrides.
func evaluator(t testing.TB) policy.Evaluator {
	e, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func upstreamRefuses(e policy.Evaluator, level api.Level, v bailey.Version, pod *corev1.Pod) bool {
	version := api.LatestVersion()
	if !v.IsZero() {
		version = api.MajorMinorVersion(v.Major, v.Minor)
	}
	return !policy.AggregateCheckResults(e.EvaluatePod(api.LevelVersion{Level: level, Version: version}, &pod.ObjectMeta, &pod.Spec)).Allowed
}

// agrees holds the rules to the upstream evaluator on one pod and version.
func agrees(t testing.TB, e policy.Evaluator, v bailey.Version, pod *corev1.Pod) {
	t.Helper()
	for i := range pod.Spec.Volumes { // as the API server does before it admits
		if s := &pod.Spec.Volumes[i].VolumeSource; *s == (corev1.VolumeSource{}) {
			s.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
	}
	baseline, restricted := upstreamRefuses(e, api.LevelBaseline, v, pod), upstreamRefuses(e, api.LevelRestricted, v, pod)
	found := fired(v, podFact(pod), levelRules[api.LevelRestricted]...)
	foundBaseline := false
	for _, r := range baselineRules {
		foundBaseline = foundBaseline || len(found[r]) > 0
	}
	// Upstream skips at restricted the baseline checks that a restricted one
	// overrides, even where that one lets Windows pods pass.
	if foundBaseline != baseline || (len(found) > 0) != (baseline || restricted) {
		spec, _ := json.Marshal(pod)
		t.Errorf("at %s upstream refuses at baseline %v, at restricted %v; Bailey finds %v in %s", v, baseline, restricted, found, spec)
	}
	for _, c := range standardChecks {
		check := c.at(v)
		w, _ := workload.Of(podFact(pod))
		if check != nil && !check(w.Meta, w.Spec).Allowed && !c.suspect(w) {
			t.Errorf("the check %s refuses a pod that its rule does not suspect", c.ID)
		}
	}
}

var fuzzVersions = []bailey.Version{{}, {Major: 1, Minor: 0}, {Major: 1, Minor: 9}, {Major: 1, Minor: 18}, {Major: 1, Minor: 19}, {Major: 1, Minor: 22}, {Major: 1, Minor: 24},
	{Major: 1, Minor: 25}, {Major: 1, Minor: 29}, {Major: 1, Minor: 33}, {Major: 1, Minor: 34}, {Major: 1, Minor: 35}, {Major: 1, Minor: 36}, {Major: 1, Minor: 37}, {Major: 1, Minor: 40}}

// FuzzAgreesWithUpstream mixes the pods of the fixtures field by field.
func FuzzAgreesWithUpstream(f *testing.F) {
	var pods []*corev1.Pod
	for _, x := range upstreamFixtures(f) {
		if x.level == api.LevelRestricted && x.version.Minor%6 == 1 {
			pods = append(pods, x.pod)
		}
	}
	e := evaluator(f)
	for i := range 200 {
		f.Add(uint16(i*7), uint16(i*13), uint16(i*31), uint64(i)*0x9e3779b97f4a7c15, uint8(i))
	}
	f.Fuzz(func(t *testing.T, a, b, c uint16, mix uint64, version uint8) {
		pod := pods[int(a)%len(pods)].DeepCopy()
		mixin(pod, pods[int(b)%len(pods)], mix)
		mixin(pod, pods[int(c)%len(pods)], mix>>20)
		agrees(t, e, fuzzVersions[int(version)%len(fuzzVersions)], pod)
	})
}

// mixin takes over parts of another pod, one for each bit.
func mixin(pod, from *corev1.Pod, bits uint64) {
	take := func(i uint) bool { return bits>>i&1 == 1 }
	from = from.DeepCopy()
	if take(0) {
		pod.Annotations = from.Annotations
	}
	if take(1) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, from.Spec.Volumes...)
	}
	if take(2) {
		pod.Spec.HostPID, pod.Spec.HostNetwork, pod.Spec.HostIPC = from.Spec.HostPID, from.Spec.HostNetwork, from.Spec.HostIPC
	}
	if take(3) {
		pod.Spec.HostUsers = from.Spec.HostUsers
	}
	if take(4) {
		pod.Spec.OS = from.Spec.OS
	}
	if take(5) {
		pod.Spec.SecurityContext = from.Spec.SecurityContext
	}
	if take(6) {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, from.Spec.Containers...)
	}
	if take(7) {
		for _, c := range from.Spec.Containers {
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)})
		}
	}
	for i := range pod.Spec.Containers {
		if i < len(from.Spec.Containers) && take(8) {
			mixSecurity(&pod.Spec.Containers[i], &from.Spec.Containers[i], bits>>9)
		}
	}
}

// mixSecurity takes over fields of a security context, one for each bit.
func mixSecurity(c, from *corev1.Container, bits uint64) {
	if from.SecurityContext == nil {
		return
	}
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{}
	}
	to, source := reflect.ValueOf(c.SecurityContext).Elem(), reflect.ValueOf(from.SecurityContext).Elem()
	for i := range to.NumField() {
		if bits>>i&1 == 1 {
			to.Field(i).Set(source.Field(i))
		}
	}
	c.Ports = append(c.Ports, from.Ports...)
	if from.LivenessProbe != nil {
		c.LivenessProbe = from.LivenessProbe
	}
}

func TestMixedPodsAgreeWithUpstream(t *testing.T) {
	fixtures := upstreamFixtures(t)
	e := evaluator(t)
	seed := uint64(1)
	next := func() uint64 { // xorshift: the same pods on every run
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		return seed
	}
	for range 20000 {
		pod := fixtures[next()%uint64(len(fixtures))].pod.DeepCopy()
		mixin(pod, fixtures[next()%uint64(len(fixtures))].pod, next())
		mixin(pod, fixtures[next()%uint64(len(fixtures))].pod, next())
		agrees(t, e, fuzzVersions[next()%uint64(len(fuzzVersions))], pod)
		if t.Failed() {
			return
		}
	}
}

// applyFix gives the fact after the changes.
func applyFix(t *testing.T, f *bailey.Fact, changes []bailey.Change) *bailey.Fact {
	t.Helper()
	data, err := json.Marshal(f.Object)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		if c.Object != f.Ref {
			t.Fatalf("the fix of %s changes %s", f.Ref, c.Object)
		}
		ops, _ := json.Marshal(c.Patch)
		patch, err := jsonpatch.DecodePatch(ops)
		if err == nil {
			data, err = patch.Apply(data)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, ops)
		}
	}
	object := reflect.New(reflect.TypeOf(f.Object).Elem()).Interface()
	if err := yaml.UnmarshalStrict(data, object); err != nil {
		t.Fatalf("the fixed object does not decode: %v", err)
	}
	next := *f
	next.Object = object
	return &next
}

// TestFixesOfEveryFixture applies the fixes one after the other, on every kind
// of object that makes pods, until none is left: each silences its finding, and
// what remains has no mechanical fix.
func TestFixesOfEveryFixture(t *testing.T) {
	manual := map[*bailey.Rule]bool{}
	for _, c := range standardChecks {
		manual[ruleOf[c.ID]] = c.manual
	}
	for i, x := range upstreamFixtures(t) {
		if x.pass || x.version.Minor%9 != 1 {
			continue
		}
		f := podFact(x.pod)
		switch i % 3 {
		case 1:
			f.Kind, f.Object = bailey.KindDeployment, &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{ObjectMeta: x.pod.ObjectMeta, Spec: x.pod.Spec}}}
		case 2:
			f.Kind, f.Object = bailey.KindCronJob, &batchv1.CronJob{Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{ObjectMeta: x.pod.ObjectMeta, Spec: x.pod.Spec}}}}}
		}
		f = fixAll(t, x.version, f)
		for r, findings := range fired(x.version, f, levelRules[api.LevelRestricted]...) {
			if !manual[r] {
				t.Errorf("%s: %s has no fix for %v", x.name, r.Name, findings)
			}
		}
	}
}

// fixAll applies fixes one after the other until none is left, and holds each
// to silencing its finding.
func fixAll(t *testing.T, v bailey.Version, f *bailey.Fact) *bailey.Fact {
	t.Helper()
	for range 50 {
		next := fixOne(t, v, f)
		if next == nil {
			return f
		}
		f = next
	}
	t.Fatal("fixing does not end")
	return nil
}

func fixOne(t *testing.T, v bailey.Version, f *bailey.Fact) *bailey.Fact {
	t.Helper()
	for r, findings := range fired(v, f, levelRules[api.LevelRestricted]...) {
		if r.Fix == nil {
			continue
		}
		view := bailey.NewView(bailey.NewBuilder(bailey.Meta{Version: v}).Snapshot())
		view.Allow(r.On, r.Needs, r.Derives)
		changes := r.Fix(view, f, findings[0])
		if len(changes) == 0 {
			t.Fatalf("no fix for %v", findings[0])
		}
		next := applyFix(t, f, changes)
		for _, still := range fired(v, next, r)[r] {
			if still.Field == findings[0].Field && still.Message == findings[0].Message {
				t.Fatalf("the fix leaves %v", still)
			}
		}
		return next
	}
	return nil
}

// TestFixKeepsLowPorts: a container that listens below 1024 can do so after the fixes.
func TestFixKeepsLowPorts(t *testing.T) {
	for text, want := range map[string][]corev1.Capability{
		"ports: [{containerPort: 8080}, {containerPort: 443}]":                                            {"NET_BIND_SERVICE"},
		"ports: [{containerPort: 80}], securityContext: {capabilities: {add: [CHOWN, NET_BIND_SERVICE]}}": {"NET_BIND_SERVICE"},
		"ports: [{containerPort: 80}], securityContext: {capabilities: {add: [CHOWN]}}":                   {"NET_BIND_SERVICE"},
		"ports: [{containerPort: 80}], securityContext: {capabilities: {drop: [NET_BIND_SERVICE]}}":       nil,
		"ports: [{containerPort: 8080}]":                                                                  nil,
		"ports: [{containerPort: 80}], securityContext: {capabilities: {drop: [ALL]}}":                    nil,
	} {
		f := controltest.Facts(t, []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: web, image: web, "+text+"}]}\n"))[0]
		pod := fixAll(t, bailey.LatestVersion, f).Object.(*corev1.Pod)
		if got := pod.Spec.Containers[0].SecurityContext.Capabilities; !slices.Equal(got.Add, want) || !slices.Contains(got.Drop, "ALL") {
			t.Errorf("%s: the fixes leave %v, want %v added", text, got, want)
		}
	}
}

func TestCleanPodsCostNothing(t *testing.T) {
	pod, err := upstream.GetMinimalValidPod(api.LevelRestricted, api.MajorMinorVersion(1, 37))
	if err != nil {
		t.Fatal(err)
	}
	f := podFact(pod)
	view := bailey.NewView(bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion}).Snapshot())
	for _, r := range slices.Concat(standardRules(api.LevelBaseline, api.LevelRestricted), []*bailey.Rule{seccompUnconfined, seccompUnset, appArmorUnconfined, seLinuxUnconfined, privilegedUnconfined, runtimeClassMissing, rootInHostUserNamespace}) {
		view.Allow(r.On, r.Needs, r.Derives)
		if n := testing.AllocsPerRun(50, func() { r.Check(view, f) }); n > 0 {
			t.Errorf("rule %s allocates %v times for a pod with nothing wrong", r.Name, n)
		}
	}
}

func BenchmarkCleanPod(b *testing.B) { benchmarkRules(b, api.LevelRestricted) }

func BenchmarkOrdinaryPod(b *testing.B) { benchmarkRules(b, api.LevelBaseline) }

func benchmarkRules(b *testing.B, level api.Level) {
	pod, err := upstream.GetMinimalValidPod(level, api.MajorMinorVersion(1, 37))
	if err != nil {
		b.Fatal(err)
	}
	f := podFact(pod)
	view := bailey.NewView(bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion}).Snapshot())
	rules := standardRules(api.LevelBaseline, api.LevelRestricted)
	for b.Loop() {
		for _, r := range rules {
			view.Allow(r.On, r.Needs, r.Derives)
			r.Check(view, f)
		}
	}
}
