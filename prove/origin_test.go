package prove

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// storage is one that holds what a real one of this cluster would not.
type storage struct {
	stored []Stored
	puts   int
}

func (s *storage) Keys(context.Context, string) ([]Stored, error) { return s.stored, nil }
func (s *storage) Look(context.Context, string, string) (*Stored, bool, error) {
	return nil, false, nil
}
func (s *storage) Put(context.Context, string, []byte) error { s.puts++; return nil }
func (s *storage) Taken(context.Context) (time.Time, error)  { return time.Time{}, nil }

// TestPlantRefuses: nothing is written into the storage of another cluster, nor
// where the API server could not remove it.
func TestPlantRefuses(t *testing.T) {
	for why, stored := range map[string][]Stored{
		"another cluster's storage": nil,
		"stored encrypted (aescbc:key1)": {
			{Key: "/registry/configmaps/bailey-probe-run1-a/kube-root-ca.crt"}, {Key: "/registry/configmaps/bailey-probe-run1-a/b", By: "aescbc:key1"}},
	} {
		config, _ := standIn(t, func(string, int) reply { return reply{201, "{}"} })
		store := &storage{stored: stored}
		probe := bailey.Probe{Name: "n", Twin: podStep("twin"),
			Try: bailey.Step{Origin: &bailey.Origin{Namespace: "bailey-probe-run1-a", Name: "c", Past: true}, Refusers: []bailey.Refuser{bailey.RefuserDetection}}}
		control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{{Name: "try", Danger: bailey.DangerDisruptive, Scope: bailey.ScopeCluster,
			Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { return []bailey.Probe{probe} }}}}
		s := bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot()
		ran, err := Run(t.Context(), "run1", Plan(s, []*bailey.Control{control}, Choice{Worst: bailey.DangerDisruptive}),
			Options{Config: config, Folder: t.TempDir(), Repeat: 1, Etcd: store,
				Origins: func(string, string, string, time.Time) (bool, string, error) { return true, "", nil }})
		if err != nil {
			t.Fatal(err)
		}
		r := ran.Records[0].Results[0]
		if r.Outcome() != Inconclusive || len(r.Why) == 0 || !strings.Contains(r.Why[0], why) || store.puts != 0 {
			t.Errorf("%s: %s, %d writes, %q", why, r.Outcome(), store.puts, r.Why)
		}
	}
}
