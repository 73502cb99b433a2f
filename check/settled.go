package check

import (
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// signerLimit bounds how many keys have signed one experiment's evidence for one
// scope where anything of it is settled: each set of them is looked at.
const signerLimit = 4

// Settled gives the IDs of evidence that makes no difference to a verdict of any
// moment from that one on, nor to what comes later: it is older than its
// experiment's window, and nothing that was broken in it stands. A list for each
// experiment and scope, oldest first: without the first ones of a list, however
// many, every verdict is the same. That holds whichever of the keys that signed
// are trusted then, so that no break is forgotten that only a key has put right
// which is trusted no more.
func Settled(controls []*bailey.Control, evidence []bailey.Evidence, from time.Time) [][]string {
	type key struct {
		control, experiment string
		scope               bailey.Scope
	}
	of := map[key][]bailey.Evidence{}
	var order []key
	for _, e := range evidence {
		k := key{e.Control, e.Experiment, e.Scope}
		if _, known := of[k]; !known {
			order = append(order, k)
		}
		of[k] = append(of[k], e)
	}
	var all [][]string
	for _, k := range order {
		i := slices.IndexFunc(controls, func(c *bailey.Control) bool { return c.ID == k.control })
		if i < 0 {
			continue
		}
		if x := experimentOf(controls[i], k.experiment); x != nil {
			if ids := settled(x, k.scope, of[k], from.Add(-x.Window)); len(ids) > 0 {
				all = append(all, ids)
			}
		}
	}
	return all
}

// settled is Settled for one experiment and scope, of evidence before a moment.
func settled(x *bailey.Experiment, scope bailey.Scope, evidence []bailey.Evidence, before time.Time) (ids []string) {
	sortEvidence(evidence)
	var signers []string
	for i := range evidence {
		if s := evidence[i].Signer; !slices.Contains(signers, s) {
			signers = append(signers, s)
		}
	}
	if len(signers) > signerLimit {
		return nil
	}
	var all []*basis
	for set := 1; set < 1<<len(signers); set++ {
		h := newHistory(x, scope)
		for _, e := range evidence {
			if set>>slices.Index(signers, e.Signer)&1 == 1 {
				h.add(e, false)
			}
		}
		all = append(all, h.needs(before))
	}
	needed := map[string]bool{}
	for count := -1; count < len(needed); { // what is kept for one set of keys must not be half a story for another
		count = len(needed)
		for _, b := range all {
			b.hold(needed)
		}
		for i := range evidence { // the first of what was read of one copy hides the others
			if needed[evidence[i].ID] {
				for j := i; j >= 0 && sameCopy(&evidence[i], &evidence[j]); j-- {
					needed[evidence[j].ID] = true
				}
			}
		}
	}
	for i := range evidence {
		e := &evidence[i]
		if !e.At.Before(before) || needed[e.ID] {
			continue
		}
		at := len(ids)
		for j := i - 1; j >= 0 && sameCopy(e, &evidence[j]); j-- {
			at-- // what is hidden goes before what hides it
		}
		ids = slices.Insert(ids, max(at, 0), e.ID)
	}
	return ids
}

func sameCopy(a, b *bailey.Evidence) bool { return a.Copy && b.Copy && a.At.Equal(b.At) }

// needs is the basis of what comes after a moment: what was broken before it and
// not put right, whether or not it stands today (it would again if the plan had its
// path again), and the claims that were lost later.
func (h *history) needs(before time.Time) *basis {
	n := 0
	for n < len(h.evidence) && h.evidence[n].At.Before(before) {
		n++
	}
	b := h.basis(n)
	replay := newHistory(h.experiment, h.scope)
	for i, e := range h.evidence {
		if i == n {
			b.standing(replay)
		}
		replay.add(e, false)
		if i < n {
			continue
		}
		for _, name := range e.Unclaimed {
			if p := replay.paths[name]; p.broken != "" {
				b.of(name, p.at)
			}
		}
	}
	if n == len(h.evidence) {
		b.standing(replay)
	}
	return b
}

// hold keeps the runs named too, and names those that are kept.
func (b *basis) hold(ids map[string]bool) {
	for i := range b.keep {
		if ids[b.runs[i].ID] {
			b.mark(i)
		}
	}
	b.follow()
	for i, keep := range b.keep {
		if keep {
			ids[b.runs[i].ID] = true
		}
	}
}

// standing keeps what is broken in a history of all that may be left out, and its
// newest run, whose moment the proof names.
func (b *basis) standing(h *history) {
	for name, p := range h.paths {
		if p.broken != "" {
			b.mark(b.n - 1)
			b.of(name, p.at)
		}
	}
}
