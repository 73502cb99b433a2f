package detect_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/detect"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample completes an example of a detection, the nth of a burst.
func sample(t *testing.T, d *detect.Detection, text string, n int) *detect.Event {
	t.Helper()
	at := start.Add(time.Duration(n) * 100 * time.Millisecond)
	event := map[string]any{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": string(d.Level), "auditID": fmt.Sprintf("audit-%d", n),
		"stage": detect.StageResponseComplete, "requestURI": "/example", "userAgent": "example/1.0", "sourceIPs": []string{"10.1.1.1"},
		"requestReceivedTimestamp": at.Format(time.RFC3339Nano), "stageTimestamp": at.Format(time.RFC3339Nano),
		"responseStatus": map[string]any{"code": 200},
	}
	var given map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(text, "{n}", strconv.Itoa(n))), &given); err != nil {
		t.Fatalf("%s: an example is not JSON: %v\n%s", d.Name, err, text)
	}
	maps.Copy(event, given)
	line, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	e, err := detect.Decode(line, detect.DefaultLimits)
	if err != nil {
		t.Fatalf("%s: an example is no event: %v\n%s", d.Name, err, line)
	}
	return e
}

var compiled = sync.OnceValues(detect.Compile)

func newSet(t testing.TB) *detect.Set {
	t.Helper()
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return s.Fresh()
}

func names(alerts []detect.Alert) []string {
	var all []string
	for _, a := range alerts {
		all = append(all, a.Detection)
	}
	return all
}

// play feeds an example to all detections, as often as a burst asks for.
func play(t *testing.T, d *detect.Detection, text string) []string {
	t.Helper()
	s, times := newSet(t), 1
	if d.Burst != nil {
		times = d.Burst.Count
	}
	var all []string
	for n := range times {
		all = append(all, names(s.Match(sample(t, d, text, n)))...)
	}
	return all
}

// TestExamples wants each Bad example to raise its own alert and no other, and
// each Good one not to raise it.
func TestExamples(t *testing.T) {
	for _, d := range detect.All() {
		t.Run(d.Name, func(t *testing.T) {
			for _, text := range d.Bad {
				if got := play(t, d, text); !slices.Equal(got, []string{d.Name}) {
					t.Errorf("raised %v, want [%s], for\n%s", got, d.Name, text)
				}
			}
			for _, text := range d.Good {
				if got := play(t, d, text); slices.Contains(got, d.Name) {
					t.Errorf("raised %v for the good\n%s", got, text)
				}
			}
		})
	}
}

// TestDeclarations holds what the documentation is made from.
func TestDeclarations(t *testing.T) {
	kebab, technique := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`), regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	seen := map[string]bool{}
	for _, d := range detect.All() {
		if seen[d.Name] || !kebab.MatchString(d.Name) {
			t.Errorf("name %q: twice, or not in kebab case", d.Name)
		}
		seen[d.Name] = true
		if !technique.MatchString(d.Technique) {
			t.Errorf("%s: technique %q", d.Name, d.Technique)
		}
		if d.Title == "" || d.Doc == "" || d.Unseen == "" || d.Severity == 0 || len(d.Bad) == 0 || len(d.Good) == 0 {
			t.Errorf("%s: something that the documentation needs is empty", d.Name)
		}
		if d.Level != detect.LevelMetadata && d.Level != detect.LevelRequest {
			t.Errorf("%s: level %q", d.Name, d.Level)
		}
		if strings.Contains(d.Expr, "object.") && d.Level != detect.LevelRequest {
			t.Errorf("%s reads the object, which level %s does not hold", d.Name, d.Level)
		}
	}
}

// TestRefusedAndDryRun wants attempts and dry runs told, and told apart.
func TestRefusedAndDryRun(t *testing.T) {
	d := find(t, "ephemeral-container")
	e := sample(t, d, d.Bad[1], 0)
	alerts := newSet(t).Match(e)
	if len(alerts) != 1 || !alerts[0].Refused || !alerts[0].DryRun || alerts[0].Code != 403 || alerts[0].AuditIDs[0] != "audit-0" {
		t.Errorf("alerts %+v", alerts)
	}
	e = sample(t, d, d.Bad[0], 0)
	if alerts := newSet(t).Match(e); len(alerts) != 1 || alerts[0].Refused || alerts[0].DryRun {
		t.Errorf("alerts %+v", alerts)
	}
}

func find(t testing.TB, name string) *detect.Detection {
	t.Helper()
	for _, d := range detect.All() {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no detection %s", name)
	return nil
}

// TestStages wants one alert for one request, whichever stages are recorded.
func TestStages(t *testing.T) {
	d := find(t, "exec")
	for _, c := range []struct {
		stages []string
		want   int
	}{
		{[]string{detect.StageRequestReceived}, 0},
		{[]string{detect.StageRequestReceived, detect.StageResponseStarted, detect.StageResponseComplete}, 1},
		{[]string{detect.StageResponseComplete}, 1},
	} {
		s, got := newSet(t), 0
		for _, stage := range c.stages {
			e := sample(t, d, d.Bad[1], 0)
			e.Stage = stage
			got += len(s.Match(e))
		}
		if got != c.want {
			t.Errorf("%v: %d alerts, want %d", c.stages, got, c.want)
		}
	}
}

// TestBurstWindow wants time to be that of the events, in any order within the window.
func TestBurstWindow(t *testing.T) {
	d := find(t, "forbidden-burst")
	play := func(at func(n int) time.Time, count int) int {
		s, got := newSet(t), 0
		for n := range count {
			e := sample(t, d, d.Bad[0], n)
			e.Received = at(n)
			for _, a := range s.Match(e) {
				got++
				if len(a.AuditIDs) != d.Burst.Count {
					t.Errorf("%d audit IDs, want %d", len(a.AuditIDs), d.Burst.Count)
				}
			}
		}
		return got
	}
	if got := play(func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }, 19); got != 0 {
		t.Errorf("19 of 20: %d alerts", got)
	}
	if got := play(func(n int) time.Time { return start.Add(time.Duration(n) * 5 * time.Second) }, 60); got != 0 {
		t.Errorf("slower than the window: %d alerts", got)
	}
	if got := play(func(n int) time.Time { return start.Add(-time.Duration(n) * time.Second) }, 20); got != 1 {
		t.Errorf("backwards: %d alerts, want 1", got)
	}
	if got := play(func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }, 55); got != 1 {
		t.Errorf("one burst in its window: %d alerts, want 1", got)
	}
	if got := play(func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }, 200); got < 2 || got > 4 {
		t.Errorf("a burst that goes on for 200 s: %d alerts, want one a minute or so", got)
	}
}

// TestRepeats wants what GitOps applies again and again told once, and an
// experiment that is repeated at once told each time.
func TestRepeats(t *testing.T) {
	d := find(t, "host-path")
	s := newSet(t)
	for n, c := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {time.Second, 1}, {time.Minute, 1}, {10 * time.Minute, 0}, {20 * time.Minute, 0}, {25 * time.Hour, 1}} {
		e := sample(t, d, d.Bad[1], n)
		e.Received = start.Add(c.after)
		if got := len(s.Match(e)); got != c.want {
			t.Errorf("after %s: %d alerts, want %d", c.after, got, c.want)
		}
	}
	e := sample(t, d, strings.Replace(d.Bad[1], "/etc", "/root", 1), 99)
	e.Received = start.Add(30 * time.Minute)
	if len(s.Match(e)) != 1 {
		t.Error("another change of the same object was not told")
	}
}

// TestPodSecurityRemembered wants a lower level in a whole object told where the
// namespace's level was seen.
func TestPodSecurityRemembered(t *testing.T) {
	d := find(t, "pod-security-lowered")
	namespace := func(verb, labels string) string {
		return fmt.Sprintf(`{"verb":%q,"user":{"username":"jane"},"objectRef":{"resource":"namespaces","namespace":"shop","name":"shop"},"requestObject":{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"shop","labels":{%s}}}}`, verb, labels)
	}
	const label = `"pod-security.kubernetes.io/enforce":`
	for _, c := range []struct {
		name  string
		steps []string
		want  []int
	}{
		{"lowered by apply", []string{namespace("create", label+`"restricted"`), namespace("patch", label+`"baseline"`), namespace("patch", label+`"baseline"`), namespace("update", label+`"privileged"`)}, []int{0, 1, 0, 1}},
		{"dropped by replace", []string{namespace("create", label+`"restricted"`), namespace("update", `"team":"a"`)}, []int{0, 1}},
		{"left out by apply", []string{namespace("create", label+`"restricted"`), namespace("patch", `"team":"a"`)}, []int{0, 0}},
		{"raised", []string{namespace("create", label+`"privileged"`), namespace("patch", label+`"restricted"`), namespace("patch", label+`"restricted"`)}, []int{0, 0, 0}},
		{"unseen before", []string{namespace("update", label+`"privileged"`)}, []int{0}},
	} {
		s := newSet(t)
		for n, text := range c.steps {
			if got := len(s.Match(sample(t, d, text, n))); got != c.want[n] {
				t.Errorf("%s, step %d: %d alerts, want %d", c.name, n, got, c.want[n])
			}
		}
	}
}

func detectAll() []string {
	var all []string
	for _, d := range detect.All() {
		all = append(all, d.Name)
	}
	return all
}

// TestPatchOfUnknown wants a JSON patch that moves or copies what the event does not
// show told as if it were the worst.
func TestPatchOfUnknown(t *testing.T) {
	event := func(group, resource, patch string) string {
		return fmt.Sprintf(`{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":%q,"apiGroup":%q,"namespace":"shop","name":"x"},"requestObject":%s}`, resource, group, patch)
	}
	const container = "/spec/template/spec/containers/0"
	for want, patches := range map[string][]string{
		"privileged-container": {
			event("apps", "deployments", `[{"op":"copy","from":"`+container+`/securityContext/allowPrivilegeEscalation","path":"`+container+`/securityContext/privileged"}]`),
			event("apps", "deployments", `[{"op":"move","from":"/metadata/annotations/a","path":"`+container+`/securityContext/privileged"}]`),
			event("apps", "deployments", `[{"op":"copy","from":"`+container+`/securityContext","path":"/spec/template/spec/containers/1/securityContext"}]`),
		},
		"admin-role": {
			event("rbac.authorization.k8s.io", "roles", `[{"op":"copy","from":"/rules/0/resources/0","path":"/rules/0/verbs/0"}]`),
			event("rbac.authorization.k8s.io", "clusterroles", `[{"op":"move","from":"/rules/0/verbs","path":"/rules/0/resources"}]`),
			event("rbac.authorization.k8s.io", "clusterroles", `[{"op":"copy","from":"/metadata/annotations/a","path":"/rules/-"}]`),
		},
		"anonymous-binding": {
			event("rbac.authorization.k8s.io", "rolebindings", `[{"op":"copy","from":"/metadata/annotations/a","path":"/subjects/0/name"}]`),
			event("rbac.authorization.k8s.io", "rolebindings", `[{"op":"copy","from":"/subjects/1","path":"/subjects/-"}]`),
		},
		"host-path":       {event("apps", "daemonsets", `[{"op":"copy","from":"/metadata/annotations/a","path":"/spec/template/spec/volumes/0/hostPath/path"}]`)},
		"host-namespaces": {event("apps", "daemonsets", `[{"op":"copy","from":"/spec/template/spec/enableServiceLinks","path":"/spec/template/spec/hostPID"}]`)},
		"pod-security-lowered": {
			event("", "namespaces", `[{"op":"copy","from":"/metadata/labels/a","path":"/metadata/labels/pod-security.kubernetes.io~1enforce"}]`),
			event("", "namespaces", `[{"op":"move","from":"/metadata/labels/pod-security.kubernetes.io~1enforce","path":"/metadata/labels/b"}]`),
			event("", "namespaces", `[{"op":"copy","from":"/metadata/annotations","path":"/metadata/labels"}]`),
		},
	} {
		for _, text := range patches {
			if got := names(newSet(t).Match(sample(t, find(t, want), text, 0))); !slices.Equal(got, []string{want}) {
				t.Errorf("raised %v, want [%s], for\n%s", got, want, text)
			}
		}
	}
	quiet := event("apps", "deployments", `[{"op":"test","path":"`+container+`/securityContext/privileged","value":true},{"op":"copy","from":"/metadata/labels/a","path":"/metadata/labels/b"},{"op":"move","from":"`+container+`/securityContext/privileged","path":"/metadata/annotations/c"}]`)
	if got := names(newSet(t).Match(sample(t, find(t, "admin-role"), quiet, 0))); len(got) != 0 {
		t.Errorf("raised %v for\n%s", got, quiet)
	}
}
