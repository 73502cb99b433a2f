package apply_test

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce"
	"github.com/baileyhq/bailey/enforce/apply"
)

// noted makes an applier that gets as far as noting what it is about to do: its
// connection breaks when it applies.
func (w *world) noted() *apply.Applier {
	w.t.Helper()
	config := rest.CopyConfig(w.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return cut{next} })
	a, err := apply.New(config, w.folder, func() time.Time { return w.now })
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

type cut struct{ next http.RoundTripper }

var errCut = errors.New("cut off")

func (c cut) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch {
		return nil, errCut
	}
	return c.next.RoundTrip(r)
}

// cutOff applies the first objects of the plan, and notes the next.
func (w *world) cutOff(most int) {
	w.t.Helper()
	w.apply(w.applier(), most)
	a := w.noted()
	stages := w.plan().Stages(enforce.Choice{Now: w.now, Quiet: enforce.DefaultQuiet, AcceptUnobserved: true, Impact: enforce.Impact{w.policy: {Judged: 1}}, AuditedSince: a.AuditedSince})
	if err := a.Apply(w.t.Context(), stages[most]); !errors.Is(err, errCut) {
		w.t.Fatalf("it was to be cut off: %v", err)
	}
}

func (w *world) revert() {
	w.t.Helper()
	left, err := w.applier().Revert(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range left {
		if r.Left != "" {
			w.t.Errorf("%s: %s", r.Object, r.Left)
		}
	}
}

func TestCutOffBetweenNoteAndApply(t *testing.T) {
	cluster := devclustertest.Own(t)
	t.Run("reverted", func(t *testing.T) { revertedAfterNote(t, cluster) })
	t.Run("made by somebody else", func(t *testing.T) { madeMeanwhile(t, cluster) })
}

// revertedAfterNote: what was noted and not applied is taken back like the rest, in the
// first stage and in the second, and nobody is said to have changed it.
func revertedAfterNote(t *testing.T, cluster *devcluster.Cluster) {
	for most := range 4 {
		w := newWorld(t, cluster)
		before := w.state()
		w.cutOff(most)
		w.revert()
		if got := w.state(); !maps.Equal(got, before) {
			t.Errorf("cut off before object %d, reverted:\n%v\nbefore:\n%v", most, got, before)
		}
		w.apply(w.applier(), 10)
		w.now = w.now.Add(8 * 24 * time.Hour)
		w.cutOff(most)
		w.cutOff(most)
		w.revert()
		if got := w.state(); !maps.Equal(got, before) {
			t.Errorf("cut off before object %d of the second stage, reverted:\n%v\nbefore:\n%v", most, got, before)
		}
	}
}

// madeMeanwhile: an object that was about to be created, and that somebody else made
// before the apply was repeated, is theirs: a revert leaves it.
func madeMeanwhile(t *testing.T, cluster *devcluster.Cluster) {
	w := newWorld(t, cluster)
	w.cutOff(2)
	theirs := map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": map[string]any{"name": "deny", "labels": map[string]any{"team": "theirs"}},
		"spec": map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress"}}}
	path := w.paths()[2]
	if err := w.cluster.Do(t.Context(), http.MethodPost, strings.TrimSuffix(path, "/deny"), theirs, nil); err != nil {
		t.Fatal(err)
	}
	made := w.state()[path]
	w.apply(w.applier(), 10)
	w.revert()
	if got := w.state()[path]; got != made {
		t.Errorf("it is %s, and was made as %s", got, made)
	}
}
