package bailey_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/baileyhq/bailey"
)

func fact(kind bailey.Kind, namespace, name string) *bailey.Fact {
	return &bailey.Fact{Ref: bailey.Ref{Kind: kind, Namespace: namespace, Name: name}}
}

// TestOverlay changes a snapshot at random and wants each version to be what
// building it anew gives, and the versions before it to stay as they were.
func TestOverlay(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	truth := map[bailey.Ref]*bailey.Fact{}
	s := bailey.NewBuilder(bailey.Meta{}).Snapshot()
	type version struct {
		s    *bailey.Snapshot
		want string
	}
	var versions []version
	for range 400 {
		kind := []bailey.Kind{bailey.KindPod, bailey.KindNode}[r.IntN(2)]
		namespace := ""
		if kind == bailey.KindPod {
			namespace = fmt.Sprintf("ns%d", r.IntN(4))
		}
		f := fact(kind, namespace, fmt.Sprintf("n%d", r.IntN(12)))
		if r.IntN(3) == 0 {
			delete(truth, f.Ref)
			s = s.Without(f.Ref)
		} else {
			truth[f.Ref] = f
			s = s.Overlay(f)
		}
		b := bailey.NewBuilder(bailey.Meta{})
		for _, f := range truth {
			b.Add(f)
		}
		if got, want := listing(s), listing(b.Snapshot()); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
		for ref, f := range truth {
			if s.Get(ref) != f {
				t.Fatalf("%s is not the one that was put in", ref)
			}
		}
		versions = append(versions, version{s, listing(s)})
	}
	for i, v := range versions {
		if listing(v.s) != v.want {
			t.Fatalf("version %d changed afterwards", i)
		}
	}
}

// listing is everything that the lists of a snapshot give.
func listing(s *bailey.Snapshot) string {
	text := fmt.Sprintln(s.Len())
	for _, k := range []bailey.Kind{bailey.KindNode, bailey.KindPod} {
		for _, ns := range []string{"", "ns0", "ns1", "ns2", "ns3", "nowhere"} {
			text += fmt.Sprintf("%s %q:", k, ns)
			for _, f := range s.List(k, ns) {
				text += " " + f.Ref.String()
			}
			text += "\n"
		}
	}
	return text
}

// TestUnseen: what a builder was told decides what counts as seen.
func TestUnseen(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{})
	b.Add(fact(bailey.KindPod, "a", "p"))
	b.Saw(bailey.KindPod, "a")
	b.Saw(bailey.KindService, "")
	b.Miss(bailey.Missing{Kind: bailey.KindService, Namespace: "b", Reason: bailey.ReasonForbidden})
	b.Miss(bailey.Missing{Kind: bailey.KindService, Namespace: "c", Name: "broken", Reason: bailey.ReasonUnreadable})
	s := b.Snapshot()
	for _, c := range []struct {
		kind            bailey.Kind
		namespace, name string
		want            bailey.Reason
	}{
		{bailey.KindPod, "a", "p", ""},
		{bailey.KindPod, "a", "other", ""}, // seen to be absent
		{bailey.KindPod, "a", "", ""},
		{bailey.KindPod, "b", "", bailey.ReasonNotCollected},
		{bailey.KindPod, "", "", bailey.ReasonNotCollected},
		{bailey.KindService, "a", "x", ""},
		{bailey.KindService, "b", "x", bailey.ReasonForbidden},
		{bailey.KindService, "", "", bailey.ReasonUnreadable},
		{bailey.KindService, "c", "broken", bailey.ReasonUnreadable},
		{bailey.KindService, "c", "fine", ""},
		{bailey.KindService, "c", "", bailey.ReasonUnreadable},
		{bailey.KindNode, "", "n", bailey.ReasonNotCollected},
	} {
		got := bailey.Reason("")
		if m := s.Unseen(c.kind, c.namespace, c.name); m != nil {
			got = m.Reason
		}
		if got != c.want {
			t.Errorf("%s %q %q: %q, want %q", c.kind, c.namespace, c.name, got, c.want)
		}
	}
}

// TestView: a view gives only what is declared, and records what it gave.
func TestView(t *testing.T) {
	derived := &bailey.Derivation{Name: "pods", Needs: []bailey.Kind{bailey.KindPod}, Compute: func(v *bailey.View) any { return len(v.List(bailey.KindPod, "")) }}
	b := bailey.NewBuilder(bailey.Meta{})
	b.Add(fact(bailey.KindPod, "a", "p"))
	b.Saw(bailey.KindPod, "")
	b.Saw(bailey.KindService, "")
	v := bailey.NewView(b.Snapshot())

	v.Allow([]bailey.Kind{bailey.KindPod}, nil, []*bailey.Derivation{derived})
	v.Get(bailey.KindPod, "a", "p")
	v.Get(bailey.KindPod, "a", "p")
	if v.Derived(derived) != 1 || len(v.Missing()) != 0 {
		t.Errorf("missing %v", v.Missing())
	}
	want := []bailey.Read{{Kind: bailey.KindPod, Namespace: "a", Name: "p"}, {Derived: derived}}
	if !slices.Equal(v.Reads(), want) {
		t.Errorf("reads %v", v.Reads())
	}
	if v.List(bailey.KindService, "a") != nil || len(v.Missing()) != 1 || v.Missing()[0].Reason != bailey.ReasonUndeclared {
		t.Errorf("an undeclared read gives %v", v.Missing())
	}

	v.Allow(nil, []bailey.Kind{bailey.KindNode}, nil)
	v.Known(bailey.KindNode, "")
	v.Held(bailey.KindNode, "")
	if len(v.Missing()) != 0 {
		t.Errorf("Known and Held make it unknown: %v", v.Missing())
	}
	if v.List(bailey.KindNode, ""); len(v.Missing()) != 1 || v.Missing()[0].Reason != bailey.ReasonNotCollected {
		t.Errorf("List of what was not collected: %v", v.Missing())
	}
	if v.Derived(derived) != nil {
		t.Error("an undeclared derived fact was given")
	}
}
