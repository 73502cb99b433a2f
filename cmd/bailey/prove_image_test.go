package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/deploy"
	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/internal/controltest"
)

// TestUnpinnedProbes: a guard that refuses images without digest is named before anything is
// tried with such an image; nothing is said of one by digest, nor where no guard is.
func TestUnpinnedProbes(t *testing.T) {
	builder := func() *bailey.Builder {
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
		for _, k := range bailey.KnownKinds() {
			b.Saw(k, "")
		}
		return b
	}
	none := builder().Snapshot()
	pinned := builder()
	view := bailey.NewView(none)
	for _, g := range deploy.ImageIdentity.Guards {
		view.Allow(nil, g.Needs, g.Derives)
		for _, change := range g.Objects(view, bailey.Ref{}) {
			pinned.Add(controltest.Apply(t, none, change))
		}
	}
	gated := builder()
	config := imagegate.Config{Namespace: "bailey", Service: imagegate.Name}
	gated.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingWebhookConfiguration, Name: imagegate.Name}, Object: config.Validating()},
		&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindMutatingWebhookConfiguration, Name: imagegate.Name}, Object: config.Mutating()})
	whole := "registry.example.com/bailey@sha256:" + strings.Repeat("a", 64)
	policy, gate := pinned.Snapshot(), gated.Snapshot()
	for name, c := range map[string]struct {
		snapshot *bailey.Snapshot
		image    string
		want     string // nothing if empty
	}{
		"no guard":               {none, "registry.example.com/bailey:1", ""},
		"a policy":               {policy, "registry.example.com/bailey:1", "--probe-image NAME@sha256:"},
		"a policy, and a digest": {policy, whole, ""},
		"the gate":               {gate, "registry.example.com/bailey:1", "a rule of the trust policy has to name it"},
	} {
		var said bytes.Buffer
		(&app{stderr: &said}).unpinnedProbes(c.snapshot, c.image)
		if (said.Len() > 0) != (c.want != "") || !strings.Contains(said.String(), c.want) {
			t.Errorf("%s: %q", name, said.String())
		}
	}
}
