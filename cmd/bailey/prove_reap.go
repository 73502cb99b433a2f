package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
)

// reap removes what killed runs left, where this run may write at all, and else
// says that there is something.
func (r *proving) reap(ctx context.Context) error {
	if r.flags.worst() == bailey.DangerDryRun && !r.flags.reap {
		cutOff, err := prove.CutOff(r.runs())
		for _, run := range cutOff {
			fmt.Fprintf(r.stderr, "Run %s was cut off, and may have left something: `bailey prove --reap --context %s` removes it.\n", printable(run), printable(r.snapshot.Meta.Context))
		}
		r.tellStrays(cutOff)
		return err
	}
	reaped, err := prove.Reap(ctx, r.config, r.runs(), r.snapshot.Meta.ClusterUID, r.flags.rate, r.now, func(was prove.Reaped) error {
		fmt.Fprintf(r.stderr, "Cleaned up after run %s, which was cut off: %s removed.\n", printable(was.Run), plural(len(was.Removed), "object"))
		for _, e := range was.Interrupted {
			statement := prove.InterruptedStatement(e, was.Removed, r.cluster(), prove.ProberID{Version: version}, prove.Clock{}, r.key.Custody)
			if _, _, err := r.keep(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	var known []string
	for _, was := range reaped {
		known = append(known, was.Run)
	}
	strays := r.tellStrays(known)
	if err == nil && r.flags.reap && len(reaped)+strays == 0 {
		fmt.Fprintln(r.stdout, "There is nothing to clean up.")
	}
	return err
}

// tellStrays names the objects that bear the label of a run of which no journal here
// tells. They are not removed: a label is no proof that Bailey made them.
func (r *proving) tellStrays(known []string) (told int) {
	live, err := prove.Live(r.runs())
	if err != nil {
		fmt.Fprintf(r.stderr, "The journals could not be read: %s\n", printable(err.Error()))
	}
	for _, kind := range r.snapshot.Kinds() {
		for _, f := range r.snapshot.List(kind, "") {
			run := f.Labels[bailey.RunLabel]
			if run == "" || f.Namespace != "" || slices.Contains(known, run) || slices.Contains(live, run) {
				continue
			}
			told++
			fmt.Fprintf(r.stderr, "%s %s bears the label of run %s, of which no journal here tells. If no prover elsewhere is at it, remove it: kubectl delete %s %s\n",
				kind.Short(), printable(f.Name), printable(run), strings.ToLower(kind.Short()), printable(f.Name))
		}
	}
	return told
}
