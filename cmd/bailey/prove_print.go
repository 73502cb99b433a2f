package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/prove"
)

// proved is what one experiment showed for one scope, as -o json shows it.
type proved struct {
	Control      string        `json:"control"`
	Experiment   string        `json:"experiment"`
	Danger       bailey.Danger `json:"danger"`
	Scope        string        `json:"scope"`
	Outcome      prove.Outcome `json:"outcome"`
	Why          string        `json:"why,omitempty"`
	Tried        int           `json:"tried"`
	Held         int           `json:"held"`
	Broken       int           `json:"broken"`
	Inconclusive int           `json:"inconclusive"`
	// LostClaims says what was refused before and is accepted now by who no longer
	// claims to refuse it.
	LostClaims  []string       `json:"lostClaims,omitempty"`
	Probes      []prove.Result `json:"probes"`
	LeftBehind  []string       `json:"leftBehind"`
	Interrupted string         `json:"interrupted,omitempty"`
	// FailureBound is the failure rate that the least tried path may still have.
	FailureBound float64 `json:"failureBound,omitempty"`
	Evidence     string  `json:"evidence"` // its ID
	File         string  `json:"file"`
}

func newProved(r *prove.Record, earlier []bailey.Evidence, evidence, path string) proved {
	e := r.Evidence()
	total := e.Total()
	outcome, why := r.Verdict()
	p := proved{Control: e.Control, Experiment: e.Experiment, Danger: e.Danger, Scope: e.Scope.String(), Outcome: outcome, Why: why,
		Tried: total.Tried, Held: total.Held, Broken: total.Broken, Inconclusive: total.Inconclusive, Probes: r.Results,
		LeftBehind: append([]string{}, r.LeftBehind...), Interrupted: r.Interrupted, Evidence: evidence, File: path}
	if p.LostClaims = check.LostClaims(r.Unit.Experiment, earlier, e); len(p.LostClaims) > 0 && outcome != prove.Broken {
		p.Outcome, p.Why = prove.Broken, p.LostClaims[0]
		outcome = prove.Broken
	}
	if outcome == prove.Held {
		least := total.Held
		for _, t := range e.Paths {
			least = min(least, t.Held)
		}
		p.FailureBound = bailey.FailureBound(least)
	}
	return p
}

// unclaimed counts the probes of which nobody claims to refuse what they try, or of
// which that cannot be told.
func (p *proved) unclaimed() (n int) {
	for i := range p.Probes {
		if p.Probes[i].Unclaimed || p.Probes[i].Untold {
			n++
		}
	}
	return n
}

// notRun is an experiment that was left out, with the reason.
type notRun struct {
	Control    string `json:"control"`
	Experiment string `json:"experiment"`
	Why        string `json:"why"`
}

func left(planned prove.Planned) []notRun {
	all := []notRun{}
	for _, u := range planned.Units {
		if u.Skipped != "" {
			all = append(all, notRun{u.Control.ID, u.Experiment.Name, u.Skipped})
		}
	}
	return all
}

// announce says what is going to be done, before it is.
func (r *proving) announce(id string, planned prove.Planned) {
	count := map[bailey.Danger]int{}
	tries, probes := 0, 0
	var tried []string
	for _, u := range planned.Units {
		if u.Skipped != "" {
			continue
		}
		if !slices.Contains(tried, u.Control.ID) {
			tried = append(tried, u.Control.ID)
		}
		count[u.Experiment.Danger]++
		n := r.flags.repeat
		if n == 0 {
			n = u.Experiment.Danger.Tries()
		}
		probes += len(u.Probes)
		tries += len(u.Probes) * n
	}
	m := r.snapshot.Meta
	fmt.Fprintf(r.stderr, "Run %s against %s (cluster %s): %s, %s, each beside its allowed twin.\n", id, printable(m.Context), printable(m.ClusterUID), plural(probes, "probe"), triesOf(tries))
	switch {
	case count[bailey.DangerDisruptive] > 0:
		fmt.Fprintf(r.stderr, "Some may disturb what runs (%d), some make namespaces of their own (%d). Stop it with Ctrl-C, or `bailey prove --stop`.\n", count[bailey.DangerDisruptive], count[bailey.DangerIsolated])
	case count[bailey.DangerIsolated] > 0:
		fmt.Fprintf(r.stderr, "Some make namespaces of their own, named %s%s..., and remove them. Stop it with Ctrl-C, or `bailey prove --stop`.\n", bailey.ProbePrefix, id)
	default:
		fmt.Fprintln(r.stderr, "Only questions, connections (to the API server, kubelets and published routes) and server-side dry-runs: nothing is stored in the cluster but audit records.")
	}
	fmt.Fprintf(r.stderr, "It tries: %s. What exactly, and with which rights: --explain.\n", strings.Join(tried, ", "))
}

func (r *proving) print(id string, planned prove.Planned, results []proved) error {
	if r.flags.format == "json" {
		e := json.NewEncoder(r.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(map[string]any{"schemaVersion": "bailey.prove/v1", "run": id, "cluster": r.cluster(), "results": results, "notRun": left(planned)}); err != nil {
			return err
		}
	} else {
		r.printText(planned, results)
	}
	held, broken, unclaimed := 0, 0, 0
	for _, p := range results {
		switch p.Outcome {
		case prove.Held:
			held++
		case prove.Broken:
			broken++
		case prove.Unclaimed:
			unclaimed++
		}
	}
	switch {
	case broken > 0:
		return &exitError{code: exitFindings}
	case unclaimed > 0 && unclaimed == len(results):
		return &exitError{exitFailed, errors.New("nothing was learned: nobody here claims to refuse what would be tried\nhint: `bailey enforce` plans what would")}
	case held == 0:
		return &exitError{exitFailed, errors.New("nothing was learned: every experiment was inconclusive\nhint: the reasons above say who refused the allowed twins")}
	}
	return nil
}

// printText shows the broken first, then the inconclusive, then what held.
func (r *proving) printText(planned prove.Planned, results []proved) {
	w := r.stdout
	counts := map[prove.Outcome]int{}
	for _, outcome := range []prove.Outcome{prove.Broken, prove.Inconclusive, prove.Held, prove.Unclaimed} {
		for i := range results {
			if p := &results[i]; p.Outcome == outcome {
				counts[outcome]++
				r.printOne(p)
			}
		}
	}
	if notRun := left(planned); len(notRun) > 0 {
		fmt.Fprintln(w, "\nNot run:")
		seen := map[string]int{}
		for _, n := range notRun {
			seen[n.Why]++
		}
		for _, n := range notRun {
			switch count := seen[n.Why]; {
			case count == 1:
				fmt.Fprintf(w, "  %s %s: %s\n", n.Control, n.Experiment, printable(n.Why))
			case count > 1:
				fmt.Fprintf(w, "  %s %s and %d more: %s\n", n.Control, n.Experiment, count-1, printable(n.Why))
			}
			seen[n.Why] = 0
		}
	}
	fmt.Fprintf(w, "\n%d held, %d broken, %d inconclusive, %d not claimed.\n", counts[prove.Held], counts[prove.Broken], counts[prove.Inconclusive], counts[prove.Unclaimed])
	if id, err := r.key.KeyID(); err == nil && len(results) > 0 {
		fmt.Fprintf(w, "Evidence: %s in %s, signed by key %.16s (%s).\n", plural(len(results), "file"), r.evidence(), id, r.key.Custody)
	}
}

// namedLimit bounds how many probes of one experiment are named in text.
const namedLimit = 6

func (r *proving) printOne(p *proved) {
	w := r.stdout
	word := string(p.Outcome)
	if p.Outcome == prove.Unclaimed {
		fmt.Fprintf(w, "not claimed  %s %s, %s: %s\n", p.Control, p.Experiment, printable(p.Scope), p.Why)
		return
	}
	if r.color(w) {
		switch p.Outcome {
		case prove.Broken:
			word = "\x1b[1;31m" + word + "\x1b[0m"
		case prove.Held:
			word = "\x1b[32m" + word + "\x1b[0m"
		}
	}
	fmt.Fprintf(w, "%s  %s %s, %s: %d of %d tries held", word, p.Control, p.Experiment, printable(p.Scope), p.Held, p.Tried)
	if p.Outcome == prove.Held {
		fmt.Fprintf(w, " (a failure rate above %.0f %% would have been seen)", 100*p.FailureBound)
	}
	if n := p.unclaimed(); n > 0 {
		fmt.Fprintf(w, "; %s not claimed", plural(n, "probe"))
	}
	fmt.Fprintln(w)
	for i, lost := range p.LostClaims {
		if i == namedLimit {
			fmt.Fprintf(w, "    and %d more; -o json names them\n", len(p.LostClaims)-i)
			break
		}
		fmt.Fprintf(w, "    %s\n", printable(lost))
	}
	shown, more := 0, 0
	for _, g := range groupProbes(p) {
		if shown++; shown > namedLimit {
			more += g.count
			continue
		}
		text := g.name
		if g.count > 1 {
			text += fmt.Sprintf(" and %d more", g.count-1)
		}
		if g.why != "" {
			text += ": " + g.why
		}
		fmt.Fprintf(w, "    %s\n", printable(text))
		for _, d := range g.detected {
			fmt.Fprintf(w, "      %s%s\n", g.prevented, printable(noticed(d)))
		}
	}
	if more > 0 {
		fmt.Fprintf(w, "    and %d more; -o json names them\n", more)
	}
	for _, name := range p.LeftBehind {
		fmt.Fprintf(w, "    LEFT BEHIND: %s\n", printable(name))
	}
	if p.Interrupted != "" {
		fmt.Fprintf(w, "    interrupted: %s\n", printable(p.Interrupted))
	}
}

// probeGroup are probes of which the same is to be said.
type probeGroup struct {
	name, why string
	prevented string // begins what is said of who noticed
	count     int
	detected  []prove.Detected
}

// groupProbes gives what is worth a line: the broken, the inconclusive of an
// inconclusive experiment, and what should have been noticed. One cause is one
// line.
func groupProbes(p *proved) []probeGroup {
	var groups []probeGroup
	index := map[string]int{}
	for i := range p.Probes {
		probe := &p.Probes[i]
		outcome := probe.Outcome()
		worth := outcome == prove.Broken || len(probe.Detected) > 0 || outcome == prove.Inconclusive
		if !worth {
			continue
		}
		g := probeGroup{name: probe.Name, count: 1, detected: probe.Detected}
		switch outcome {
		case prove.Held:
			g.prevented = "prevented; "
		case prove.Broken:
			g.prevented = "not prevented; "
		}
		if probe.Path != "" && probe.Path != probe.Name {
			g.name += " (" + probe.Path + ")"
		}
		if len(probe.Why) > 0 {
			g.why = probe.Why[0]
		}
		key := string(outcome) + generated.ReplaceAllString(g.why, "")
		for _, d := range g.detected {
			key += fmt.Sprintf("|%s %t %s", d.By, d.Found, d.Blind)
		}
		if at, known := index[key]; known {
			groups[at].count++
			continue
		}
		index[key] = len(groups)
		groups = append(groups, g)
	}
	return groups
}

// generated is the part of a generated name that the API server makes up.
var generated = regexp.MustCompile(`bailey-probe-[a-z0-9-]+`)

func triesOf(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

func noticed(d prove.Detected) string {
	switch {
	case d.Found:
		return fmt.Sprintf("noticed by %s after %.0f ms", d.By, d.AfterMS)
	case d.Failure != "":
		return fmt.Sprintf("whether %s noticed is unknown: %s", d.By, d.Failure)
	case d.Blind != "":
		return fmt.Sprintf("%s cannot notice it: %s", d.By, d.Blind)
	}
	return "not noticed by " + d.By
}
