package main

import (
	"context"
	"fmt"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/prove"
)

// archiveLimit is how long a run may spend on the archive; the next one goes on.
const archiveLimit = time.Minute

// archive moves the evidence that no verdict rests on any more to where scans do not
// read it. That it fails spoils no run.
func (r *proving) archive(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, archiveLimit)
	defer cancel()
	moved, err := r.moveSettled(ctx)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(r.stderr, "Not all old evidence could be archived: %s\n", printable(err.Error()))
	}
	if moved > 0 {
		fmt.Fprintf(r.stderr, "Archived %s of evidence that no verdict rests on any more.\n", plural(moved, "piece"))
	}
}

func (r *proving) moveSettled(ctx context.Context) (moved int, err error) {
	trusted, err := r.conf.trusted(r.state)
	if err != nil {
		return 0, err
	}
	now := r.now()
	kept, err := r.kept(ctx, r.conf, r.snapshot.Meta.ClusterUID, now)
	if err != nil {
		return 0, err
	}
	of := make(map[string]prove.Kept, len(kept))
	evidence := make([]bailey.Evidence, 0, len(kept))
	for _, k := range kept {
		of[k.Summary.Evidence.ID] = k
		evidence = append(evidence, k.Summary.Evidence)
	}
	var lists [][]prove.Kept
	for _, ids := range check.Settled(controls.All(), evidence, now.Add(-archiveMargin)) {
		list := make([]prove.Kept, len(ids))
		for i, id := range ids {
			list[i] = of[id]
		}
		lists = append(lists, list)
	}
	return prove.Archive(ctx, r.evidence(), lists, trusted)
}
