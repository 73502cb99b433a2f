package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

func pushOf(t testing.TB, h pushHeader, d *store.Delta) string {
	t.Helper()
	var b bytes.Buffer
	if err := writePush(&b, h, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readPush(r io.Reader) (pushHeader, store.Delta, error) {
	in := newPushReader(r)
	h, err := in.header()
	if err != nil {
		return h, store.Delta{}, err
	}
	d, err := in.delta()
	return h, d, err
}

func fullDelta() *store.Delta {
	pod := bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "web"}
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	index := uint64(7)
	return &store.Delta{
		Judged: []bailey.Ref{pod}, Gone: []bailey.Ref{{Kind: bailey.KindNamespace, Name: "old"}},
		Findings: []bailey.Finding{{ID: "0011223344556677", Control: "compute/pod-security", Rule: "compute/pod-security/privileged", Severity: bailey.SeverityHigh,
			Base: bailey.SeverityMedium, Factors: []bailey.Factor{{Kind: "exposed", Text: "a Service"}}, Object: pod, APIVersion: "v1", Field: "spec", Source: bailey.Source{File: "a.yaml", Line: 3, Column: 4}, Message: "a <b>\x01\n", Related: []bailey.Ref{pod}, Cause: pod,
			Fix:    []bailey.Change{{Object: pod, APIVersion: "v1", Patch: []bailey.PatchOp{{Op: "remove", Path: "/spec/x"}}, Note: "n"}},
			Waiver: &bailey.Waiver{Rule: "r", Reason: "why", Owner: "me", Expires: at}, Baseline: true}},
		Verdicts: []bailey.Verdict{{Control: "compute/pod-security", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: pod}, Rung: bailey.RungProven, Findings: 2, WaivedUntil: at,
			Coverage: bailey.Coverage{Seen: 1, Needed: 2, Missing: []bailey.Missing{{Kind: bailey.KindPod, Detail: "d"}}}, Proof: &bailey.Proof{Held: 3, Tried: 3, At: at}, Next: "n"}},
		Evidence: []store.Evidence{{Evidence: bailey.Evidence{ID: "e", Control: "c/d", Experiment: "x", Danger: bailey.DangerDryRun, Scope: bailey.Scope{Kind: bailey.ScopeCluster}, At: at,
			Paths: []bailey.Tally{{Path: "p", Tried: 4, Held: 4}}}, Ledger: &index}},
		Guards: []store.Guard{{Control: "c/d", Name: "g", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Stage: "deny", Doc: json.RawMessage(`{"a":1}`)}},
	}
}

// TestPush: what is written is what is read, cut anywhere it is refused, and so is what no cluster
// can have.
func TestPush(t *testing.T) {
	h := pushHeader{Kind: pushDelta, Cluster: "uid", Name: "production", Session: "s", Number: 3}
	want := fullDelta()
	text := pushOf(t, h, want)
	got, d, err := readPush(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if h.Format, h.Version = pushFormat, pushVersion; got != h || !reflect.DeepEqual(&d, want) {
		t.Errorf("%+v\n%+v\nis read as\n%+v\n%+v", h, want, got, &d)
	}
	later := fullDelta()
	fix := later.Findings[0].Fix
	later.Findings[0].Fix, later.FixOf = nil, func(*bailey.Finding) []bailey.Change { return fix }
	if pushOf(t, h, later) != text {
		t.Error("a fix that is computed as it is written is not in the push")
	}
	for n := range len(text) - 1 {
		if _, _, err := readPush(strings.NewReader(text[:n])); err == nil {
			t.Fatalf("cut off after %d of %d bytes it is taken", n, len(text))
		}
	}
	lines := strings.SplitAfter(text, "\n")
	for name, bad := range map[string]string{
		"a line twice":        lines[0] + lines[1] + strings.Join(lines[1:], ""),
		"a line is lost":      lines[0] + strings.Join(lines[2:], ""),
		"something follows":   text + "{}\n",
		"another format":      strings.Replace(text, pushFormat, "other", 1),
		"a newer version":     strings.Replace(text, `"version":1`, `"version":2`, 1),
		"no kind":             strings.Replace(text, `"kind":"delta"`, `"kind":"x"`, 1),
		"a whole in between":  strings.Replace(text, `"kind":"delta"`, `"kind":"whole"`, 1),
		"two in a line":       lines[0] + `{"gone":{"kind":"Pod","name":"a"},"judged":{"kind":"Pod","name":"a"}}` + "\n" + `{"end":1}` + "\n",
		"no ID":               strings.Replace(text, "0011223344556677", "", 1),
		"an ID of two lines":  strings.Replace(text, "0011223344556677", `a\nb`, 1),
		"a long name":         strings.Replace(text, `"name":"old"`, `"name":"`+strings.Repeat("x", 2000)+`"`, 1),
		"a false severity":    strings.Replace(text, `"high"`, `"highest"`, 1),
		"a false rung":        strings.Replace(text, `"proven"`, `"best"`, 1),
		"impossible tries":    strings.Replace(text, `"tried":4`, `"tried":4000000000000000000`, 1),
		"negative tries":      strings.Replace(text, `"tried":4`, `"tried":-4`, 1),
		"a count of findings": strings.Replace(text, `"Findings":2`, `"Findings":-2`, 1),
	} {
		if bad == text {
			t.Fatalf("%s: nothing was replaced in %s", name, text)
		}
		if _, _, err := readPush(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	long := lines[0] + `{"gone":{"kind":"Pod","name":"` + strings.Repeat("x", pushLine) + "\"}}\n"
	if _, _, err := readPush(strings.NewReader(long)); !errors.Is(err, errPushLarge) {
		t.Errorf("a long line: %v", err)
	}
	endless := io.MultiReader(strings.NewReader(lines[0]), &repeated{text: `{"gone":{"kind":"Pod","name":"x"}}` + strings.Repeat(" ", 30<<10) + "\n"})
	if _, _, err := readPush(endless); !errors.Is(err, errPushLarge) {
		t.Errorf("an endless push: %v", err)
	}
}

// repeated is a text without end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(b []byte) (int, error) {
	n := copy(b, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// FuzzPush: whatever is sent, what is read can be written and read again.
func FuzzPush(f *testing.F) {
	f.Add([]byte(pushOf(f, pushHeader{Kind: pushDelta, Cluster: "uid", Session: "s", Number: 1}, fullDelta())))
	f.Add([]byte(pushOf(f, pushHeader{Kind: pushWhole, Cluster: "uid", Session: "s"}, &store.Delta{})))
	f.Add([]byte(alertsPushOf(f, pushHeader{Kind: pushAlerts, Cluster: "uid", Session: "s", Number: 1, All: true}, fullAlerts())))
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, list, err := readAlerts(bytes.NewReader(data)); err == nil {
			if again, same, err := readAlerts(strings.NewReader(alertsPushOf(t, h, list))); err != nil || again != h || !reflect.DeepEqual(same, list) {
				t.Errorf("%+v %+v is read again as %+v %+v: %v", h, list, again, same, err)
			}
		}
		h, d, err := readPush(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, _, err := readPush(strings.NewReader(pushOf(t, h, &d)))
		if err != nil || again != h {
			t.Errorf("%+v is read again as %+v: %v", h, again, err)
		}
	})
}

// TestTurns: a cluster has one push at a time, and what is refused is said to be untaken.
func TestTurns(t *testing.T) {
	h := &Hub{turns: make(chan struct{}, pushesAtOnce), busy: map[string]bool{}}
	end, err := h.turn(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	var failure *pushFailure
	if _, err := h.turn(t.Context(), "one"); !errors.As(err, &failure) || failure.status != http.StatusTooManyRequests {
		t.Errorf("a second push of one cluster: %v", err)
	}
	other, err := h.turn(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	// A third waits until one ends.
	waited := make(chan error, 1)
	go func() {
		third, err := h.turn(t.Context(), "three")
		if err == nil {
			third()
		}
		waited <- err
	}()
	end()
	if err := <-waited; err != nil {
		t.Error(err)
	}
	other()
	if len(h.busy) > 0 || len(h.turns) > 0 {
		t.Errorf("%d clusters and %d turns are taken, and nobody pushes", len(h.busy), len(h.turns))
	}
}

// TestTooManyParts: a thing with more of others than it can have is refused.
func TestTooManyParts(t *testing.T) {
	ref := bailey.Ref{Kind: bailey.KindPod, Namespace: "a", Name: "b"}
	whole := func() bailey.Finding {
		return bailey.Finding{ID: "i", Control: "c", Rule: "r", Object: ref}
	}
	good := whole()
	good.Related = []bailey.Ref{ref}
	if err := validFinding(&good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(f *bailey.Finding){
		"empty objects": func(f *bailey.Finding) { f.Related = make([]bailey.Ref, 3) },
		"many objects":  func(f *bailey.Finding) { f.Related = slices.Repeat([]bailey.Ref{ref}, mostRelated+1) },
		"many factors":  func(f *bailey.Finding) { f.Factors = make([]bailey.Factor, mostParts+1) },
		"many changes":  func(f *bailey.Finding) { f.Fix = make([]bailey.Change, mostParts+1) },
		"a long patch":  func(f *bailey.Finding) { f.Fix = []bailey.Change{{Patch: make([]bailey.PatchOp, mostParts+1)}} },
	} {
		f := whole()
		change(&f)
		if validFinding(&f) == nil {
			t.Errorf("%s are taken", name)
		}
	}
	if validEvidence(&store.Evidence{Evidence: bailey.Evidence{ID: "i", Control: "c", Experiment: "e", Unclaimed: make([]string, mostRelated+1)}}) == nil ||
		validVerdict(&bailey.Verdict{Control: "c", Coverage: bailey.Coverage{Missing: make([]bailey.Missing, mostParts+1)}}) == nil {
		t.Error("too many paths, or missing facts, are taken")
	}
}
