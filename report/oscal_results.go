package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// results is the document of what was found. The resources are what it imports.
func (w *oscal) results(plan oscalImport, planned, defined oscalResource) oscalResultsDocument {
	r := w.r
	result := oscalResult{UUID: w.runID("result"), Title: titled("Results for " + w.systemName()), Description: markup("Scanned " + scanned(r) + ". " + tallyOf(r, bailey.SeverityNone).String() + "; " + factsSeen(r.Coverage) + "."),
		Props: w.props("facts", strconv.Itoa(r.Facts), "facts-seen", strconv.Itoa(r.Coverage.Seen), "facts-needed", strconv.Itoa(r.Coverage.Needed))}
	if r.Facts == 0 {
		result.Description = "Nothing was scanned. This is not a clean result. " + result.Description
	}
	result.Local.Components = []oscalComponent{w.platform(defined.UUID)}
	result.Local.Assets = w.assets()

	var assessed []*bailey.Control
	for _, s := range w.standings {
		if s.verdicts > 0 && !w.unchecked[s.control.ID] {
			assessed = append(assessed, s.control)
		}
	}
	result.Reviewed = oscalReviewed{Description: "What was assessed. A control that this version does not check has a finding too, and is not satisfied.", Controls: []oscalControlSelection{selected("", assessed)}}
	if len(assessed) == 0 {
		result.Reviewed.Controls[0].Description = "None: nothing was judged."
	}
	for _, c := range assessed {
		if len(result.Reviewed.Objectives) == 0 {
			result.Reviewed.Objectives = make([]oscalObjectiveSelection, 1)
		}
		o := &result.Reviewed.Objectives[0]
		o.Include = append(o.Include, oscalSelectedObjective{objectiveID(c)})
	}

	f := w.gather()
	result.Observations, result.Risks = f.observations, f.risks
	for _, s := range w.standings {
		result.Findings = append(result.Findings, w.finding(s, f))
	}
	result.Local.Inventory = w.inventory
	result.Log = w.log()
	result.Start, result.End = result.Log.Entries[0].Start, result.Log.Entries[0].End
	for _, e := range result.Log.Entries {
		if compareMoments(e.Start, result.Start) < 0 {
			result.Start = e.Start
		}
		if compareMoments(e.End, result.End) > 0 {
			result.End = e.End
		}
	}
	if d := r.Diff; d != nil {
		result.Remarks = "Only what is new since " + oscalTime(d.Old.At) + " is listed: a gap may have older findings that are not here."
	}
	return oscalResultsDocument{oscalResults{UUID: w.id("assessment-results"), Metadata: w.metadata("Assessment results for "+markup(w.systemName()), w.at()),
		ImportAP: plan, Results: []oscalResult{result},
		BackMatter: oscalBackMatter{append([]oscalResource{planned, defined}, w.evidenceResources()...)}}}
}

// compareMoments compares two times that oscalTime wrote.
func compareMoments(a, b string) int {
	at, _ := time.Parse(time.RFC3339Nano, a)
	bt, _ := time.Parse(time.RFC3339Nano, b)
	return at.Compare(bt)
}

// log lists the scan, and every run of experiments that evidence is there of.
func (w *oscal) log() oscalLog {
	r := w.r
	log := oscalLog{[]oscalLogEntry{{UUID: w.runID("log", "scan"), Title: "Scan", Description: markup("Read " + scanned(r) + "."), Start: w.at(), End: oscalTime(r.Meta.At.Add(r.Took))}}}
	index := map[string]int{}
	for i := range r.Evidence {
		e := &r.Evidence[i]
		at := oscalTime(e.At)
		n, known := index[e.Run]
		if !known {
			n = len(log.Entries)
			index[e.Run] = n
			log.Entries = append(log.Entries, oscalLogEntry{UUID: w.id("log", "run", e.Run), Title: "Run of experiments", Start: at, End: at, Props: w.props("run", e.Run),
				Description: "From the first evidence of the run to the last."})
		}
		entry := &log.Entries[n]
		if compareMoments(at, entry.Start) < 0 {
			entry.Start = at
		}
		if compareMoments(at, entry.End) > 0 {
			entry.End = at
		}
	}
	return log
}

// about is the subject of an observation: the platform, or an object of it,
// which joins the inventory.
func (w *oscal) about(s bailey.Scope) oscalSubject {
	if s.Object == (bailey.Ref{}) {
		return oscalSubject{SubjectUUID: w.platformID(), Type: "component", Title: titled(s.String())}
	}
	return w.object(s.Object)
}

func (w *oscal) object(ref bailey.Ref) oscalSubject {
	id := w.id("object", string(ref.Kind), ref.Namespace, ref.Name)
	name := titled(ref.String())
	if !w.items[ref] {
		w.items[ref] = true
		kind, group := ref.Kind.Split()
		w.inventory = append(w.inventory, oscalInventoryItem{UUID: id, Description: name, Props: w.props("kind", kind, "group", group, "namespace", ref.Namespace, "name", ref.Name)})
	}
	return oscalSubject{SubjectUUID: id, Type: "inventory-item", Title: name}
}

// finding is where one control stands.
func (w *oscal) finding(s *standing, g *gatheredOSCAL) oscalFinding {
	c := s.control
	f := oscalFinding{UUID: w.id("finding", c.ID), Title: titled(c.ID), Origins: w.origin(), Observations: g.of[c.ID], Risks: g.risksOf[c.ID],
		Description: "Asks that " + prose(c.Asks) + ". It stands at " + s.word() + " (" + markup(s.where()) + ").",
		Props:       append(w.references(c), w.props("rung", s.rung.String(), "facts-seen", strconv.Itoa(s.coverage.Seen), "facts-needed", strconv.Itoa(s.coverage.Needed))...),
		Target:      oscalTarget{Type: "objective-id", TargetID: objectiveID(c), Title: titled(c.ID), Status: w.status(s)},
		Remarks:     markup(s.next)}
	if !s.waivedUntil.IsZero() {
		f.Props = append(f.Props, w.props("waived-until", oscalTime(s.waivedUntil))...)
	}
	if p := s.proof; p != nil {
		f.Props = append(f.Props, proofProps(w, p)...)
	}
	return f
}

func proofProps(w *oscal, p *bailey.Proof) []oscalProp {
	return w.props("tries-held", strconv.Itoa(p.Held), "tries", strconv.Itoa(p.Tried), "least-path", strconv.Itoa(p.Least), "failure-bound", bound(boundOf(p)),
		"experiments-held", strconv.Itoa(p.Experiments), "experiments-needed", strconv.Itoa(p.Needed))
}

// bound is a share with four decimals: "0.1707".
func bound(share float64) string { return strconv.FormatFloat(share, 'f', 4, 64) }

// status says whether the objective is satisfied. Unknown is not: OSCAL has two
// states, and what nobody saw is no pass.
func (w *oscal) status(s *standing) oscalState {
	switch {
	case s.rung == bailey.RungGap:
		remarks := "gap: something was found wrong, or an experiment was broken."
		if !s.waivedUntil.IsZero() {
			remarks = "gap, waived until " + day(s.waivedUntil) + ": accepted for a time, not satisfied."
		}
		return oscalState{State: "not-satisfied", Reason: "fail", Remarks: remarks}
	case w.unchecked[s.control.ID]:
		return oscalState{State: "not-satisfied", Reason: "other", Remarks: "unknown: this version of Bailey does not check it. That is neither a pass nor a failure."}
	case s.rung == bailey.RungUnknown:
		return oscalState{State: "not-satisfied", Reason: "other", Remarks: "unknown: a fact that it needs was not seen (" + factsSeen(s.coverage) + "). That is neither a pass nor a failure."}
	case s.rung == bailey.RungProven:
		return oscalState{State: "satisfied", Reason: "pass", Remarks: markup("proven: every rule found nothing, and experiments on the running system held: " + proofText(s.proof, w.r.Meta.At) + ".")}
	case s.rung == bailey.RungGuarded:
		return oscalState{State: "satisfied", Reason: "pass", Remarks: "guarded: every rule ran on every fact that it needs and found nothing, and something in place keeps it so. It is not proven by experiments."}
	}
	return oscalState{State: "satisfied", Reason: "pass", Remarks: "sound: every rule ran on every fact that it needs and found nothing. It is not proven by experiments."}
}

// evidenceResources point to the signed statements.
func (w *oscal) evidenceResources() []oscalResource {
	var out []oscalResource
	known := map[string]bool{}
	for i := range w.r.Evidence {
		e := &w.r.Evidence[i]
		id := w.evidenceID(e, "resource")
		if known[id] {
			continue
		}
		known[id] = true
		res := oscalResource{UUID: id, Title: titled("Evidence of " + e.Experiment + ", " + e.Scope.String()),
			Description: "The signed in-toto statement with the plan, every exchange and the verdict.", Props: w.props("run", e.Run, "signer", e.Signer)}
		if sum := line(e.ID); sum != "" {
			res.DocumentIDs = []oscalDocumentID{{Scheme: oscalNS + "/evidence-sha256", Identifier: sum}}
			res.Remarks = "The identifier is the SHA-256 of the signed payload."
			if w.o.EvidenceFile != nil {
				if href := w.o.EvidenceFile(e); href != "" {
					res.Rlinks = []oscalRlink{{Href: href, MediaType: "application/vnd.dsse.envelope.v1+json"}}
				}
			}
		}
		out = append(out, res)
	}
	return out
}

// evidenceID identifies what is about one evidence: by its hash, which is the
// same wherever it is read; without one by what it is of.
func (w *oscal) evidenceID(e *bailey.Evidence, what string) string {
	if e.ID != "" {
		return catalogueID("evidence", what, e.ID)
	}
	ref := e.Scope.Object
	return w.id("evidence", what, e.Run, e.Control, e.Experiment, string(e.Scope.Kind), string(ref.Kind), ref.Namespace, ref.Name, oscalTime(e.At))
}

// tried writes an evidence as an observation.
func (w *oscal) tried(e *bailey.Evidence, x *bailey.Experiment) oscalObservation {
	total := e.Total()
	least := -1
	var paths []string
	for _, t := range e.Paths {
		if least < 0 || t.Held < least {
			least = t.Held
		}
		text := fmt.Sprintf("- %s: %d of %d tries held", markup(t.Path), t.Held, t.Tried)
		if t.Broken > 0 {
			text += fmt.Sprintf(", %d broken", t.Broken)
		}
		if t.Inconclusive > 0 {
			text += fmt.Sprintf(", %d inconclusive", t.Inconclusive)
		}
		for _, why := range t.Why {
			text += "; " + markup(why)
		}
		paths = append(paths, text)
	}
	for _, path := range e.Unclaimed {
		paths = append(paths, "- "+markup(path)+": not claimed")
	}
	for _, path := range e.Untold {
		paths = append(paths, "- "+markup(path)+": whether it is claimed cannot be told")
	}
	o := oscalObservation{UUID: w.evidenceID(e, "observation"), Title: titled(e.Experiment + ": " + e.Scope.String()), Methods: []string{"TEST"}, Types: []string{"control-objective"},
		Collected: oscalTime(e.At), Remarks: strings.Join(paths, "\n"), Origins: w.origin(),
		Evidence: []oscalEvidence{{Href: "#" + w.evidenceID(e, "resource"), Description: "The signed statement that this observation is taken from.", Props: w.props("evidence-sha256", e.ID, "signer", e.Signer)}},
		Props: w.props("assessment-rule-id", e.Control+"/"+e.Experiment, "control", e.Control, "experiment", e.Experiment, "danger", string(e.Danger), "run", e.Run, "signer", e.Signer, "evidence-sha256", e.ID,
			"tries-held", strconv.Itoa(total.Held), "tries-broken", strconv.Itoa(total.Broken), "tries-inconclusive", strconv.Itoa(total.Inconclusive), "tries", strconv.Itoa(total.Tried),
			"least-path", strconv.Itoa(max(least, 0)), "interrupted", strconv.FormatBool(e.Interrupted))}
	result := "pass"
	switch {
	case total.Broken > 0:
		result = "fail"
		o.Description = "Broken: " + brokenTitle + "."
		o.Types = append(o.Types, "finding")
	case e.Interrupted:
		result = "other"
		o.Description = "Interrupted: the run did not end by itself, and proves nothing."
	case least <= 0:
		result = "other"
		o.Description = "Inconclusive: not every path was refused where it was expected while its allowed twin succeeded."
	default:
		o.Props = append(o.Props, w.props("failure-bound", bound(bailey.FailureBound(least)))...)
		o.Description = fmt.Sprintf("Held: %d of %d tries. A failure rate above %s on a path would have been seen, at 95 %% confidence.", total.Held, total.Tried, percent(bailey.FailureBound(least)))
	}
	if x != nil {
		if slices.Contains(bailey.Dangers, x.Danger) {
			o.Origins = w.origin(dangerTaskID(x.Danger))
		}
		if x.Hypothesis != "" {
			o.Description += " Hypothesis: " + prose(x.Hypothesis)
		}
		if x.Window > 0 {
			expires := e.At.Add(x.Window)
			o.Expires = oscalTime(expires)
			if expires.Before(w.r.Meta.At) {
				o.Types = append(o.Types, "historic")
			}
		}
	}
	subject := w.about(e.Scope)
	subject.Props = w.props("result", result, "resource-id", e.Scope.String())
	o.Subjects = []oscalSubject{subject}
	return o
}
