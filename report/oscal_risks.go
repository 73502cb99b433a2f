package report

import (
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// gatheredOSCAL is what findings of controls refer to.
type gatheredOSCAL struct {
	observations []oscalObservation
	risks        []oscalRisk
	of           map[string][]oscalRelatedObservation // by control
	risksOf      map[string][]oscalRelatedRisk
}

func (g *gatheredOSCAL) observe(control string, o oscalObservation) oscalRelatedObservation {
	related := oscalRelatedObservation{o.UUID}
	g.observations = append(g.observations, o)
	g.of[control] = append(g.of[control], related)
	return related
}

func (g *gatheredOSCAL) risk(control string, r oscalRisk) {
	g.risks = append(g.risks, r)
	g.risksOf[control] = append(g.risksOf[control], oscalRelatedRisk{r.UUID})
}

// gather makes the observations and risks: what was examined of each control,
// what each rule found, what each evidence showed, and what was broken.
func (w *oscal) gather() *gatheredOSCAL {
	g := &gatheredOSCAL{of: map[string][]oscalRelatedObservation{}, risksOf: map[string][]oscalRelatedRisk{}}
	for _, s := range w.standings {
		if len(s.control.Rules) > 0 && s.verdicts > 0 {
			g.observe(s.control.ID, w.examined(s))
		}
	}
	var rules []string
	byRule := map[string][]*bailey.Finding{}
	for i := range w.r.Findings {
		f := &w.r.Findings[i]
		if byRule[f.Rule] == nil {
			rules = append(rules, f.Rule)
		}
		byRule[f.Rule] = append(byRule[f.Rule], f)
	}
	for _, id := range rules {
		findings := byRule[id]
		seen := g.observe(findings[0].Control, w.found(id, findings))
		g.risk(findings[0].Control, w.ruleRisk(id, findings, seen))
	}
	experiments := map[string]*bailey.Experiment{}
	for _, c := range w.r.Controls {
		for _, x := range c.Experiments {
			experiments[c.ID+"/"+x.Name] = x
		}
	}
	known := map[string]bool{}
	for i := range w.r.Evidence {
		e := &w.r.Evidence[i]
		o := w.tried(e, experiments[e.Control+"/"+e.Experiment])
		if known[o.UUID] {
			continue // the same evidence, given twice
		}
		known[o.UUID] = true
		g.observe(e.Control, o)
	}
	w.brokenRisks(g, experiments)
	for _, s := range w.standings {
		if s.rung == bailey.RungGap && len(g.risksOf[s.control.ID]) == 0 {
			g.risk(s.control.ID, oscalRisk{UUID: w.id("risk", "gap", s.control.ID), Title: titled("Gap: " + s.control.ID), Status: "open", Origins: w.origin(),
				Description: "The control stands at gap, and this report does not list why: it shows only what is new.", Statement: "The control does not hold.",
				Props: w.props("control", s.control.ID), Observations: g.of[s.control.ID]})
		}
	}
	return g
}

// examined is what the rules of a control read.
func (w *oscal) examined(s *standing) oscalObservation {
	c := s.control
	o := oscalObservation{UUID: w.runID("examined", c.ID), Title: titled(c.ID + ": examined"), Methods: []string{"EXAMINE"}, Types: []string{"control-objective"},
		Description: "Every rule of the control was run on the objects that were read: " + factsSeen(s.coverage) + ".",
		Collected:   w.at(), Origins: w.origin(examineTaskID()),
		Props: w.props("control", c.ID, "rung", s.rung.String(), "facts-seen", strconv.Itoa(s.coverage.Seen), "facts-needed", strconv.Itoa(s.coverage.Needed))}
	subject := w.about(bailey.Scope{Kind: bailey.ScopeCluster})
	result := "other"
	switch {
	case s.rung >= bailey.RungSound:
		result = "pass"
	case s.rung == bailey.RungGap:
		result = "fail"
	}
	subject.Props = w.props("result", result)
	o.Subjects = []oscalSubject{subject}
	var missing []string
	for _, m := range s.coverage.Missing {
		text := "- not seen (" + markup(string(m.Reason)) + "): " + markup(whatMissing([]bailey.Missing{m}))
		if m.Detail != "" {
			text += ": " + markup(m.Detail)
		}
		missing = append(missing, text)
	}
	o.Remarks = strings.Join(missing, "\n")
	return o
}

// found is what one rule found, with every object once.
func (w *oscal) found(id string, findings []*bailey.Finding) oscalObservation {
	_, rule := bailey.FindRule(w.r.Controls, id)
	if rule == nil {
		rule = &bailey.Rule{}
	}
	o := oscalObservation{UUID: w.runID("found", id), Title: prose(ruleTitle(rule, id)), Description: "Found on " + count(len(findings), "place") + ".", Methods: []string{"EXAMINE"}, Types: []string{"finding"},
		Collected: w.at(), Origins: w.origin(examineTaskID()), Props: w.props("assessment-rule-id", id, "control", findings[0].Control)}
	index := map[bailey.Ref]int{}
	for _, f := range findings {
		n, known := index[f.Object]
		if !known {
			n = len(o.Subjects)
			index[f.Object] = n
			subject := w.object(f.Object)
			subject.Props = w.props("result", "fail", "resource-id", f.Object.String())
			o.Subjects = append(o.Subjects, subject)
		}
		s := &o.Subjects[n]
		s.Props = append(s.Props, w.props("finding-id", f.ID)...)
		text := f.Severity.String() + ": " + markup(f.Message)
		if f.Field != "" {
			text += " (" + mdCode(f.Field) + ")"
		}
		if f.Source.File != "" {
			src := f.Source
			src.File = relativeTo(src.File, w.o.Dir)
			text += ", " + mdCode(place(src))
		}
		if note := accepted(f); note != "" {
			text += " " + markup(note)
		}
		if s.Remarks != "" {
			s.Remarks += "\n"
		}
		s.Remarks += "- " + text
	}
	return o
}

// ruleRisk is what follows from what one rule found.
func (w *oscal) ruleRisk(id string, findings []*bailey.Finding, seen oscalRelatedObservation) oscalRisk {
	control, rule := bailey.FindRule(w.r.Controls, id)
	if rule == nil {
		control, rule = &bailey.Control{ID: findings[0].Control}, &bailey.Rule{}
	}
	lead := findings[0]
	for _, f := range findings {
		if isOpen(f) {
			lead = f
			break
		}
	}
	risk := oscalRisk{UUID: w.id("risk", "rule", id), Title: prose(ruleTitle(rule, id)), Description: prose(firstParagraph(rule.Doc)), Status: "open", Origins: w.origin(examineTaskID()),
		Statement: titled(lead.Object.String() + ": " + lead.Message), Observations: []oscalRelatedObservation{seen}}
	if risk.Description == "" {
		risk.Description = risk.Title
	}
	if n := len(findings) - 1; n > 0 {
		risk.Statement += " (and " + number(n) + " more)"
	}
	waived, baseline := 0, 0
	waivers := map[bailey.Waiver]bool{}
	for _, f := range findings {
		switch {
		case f.Waiver != nil:
			waived++
			if waivers[*f.Waiver] {
				continue
			}
			waivers[*f.Waiver] = true
			risk.Mitigating = append(risk.Mitigating, oscalMitigation{
				UUID:        w.id("waiver", id, f.Waiver.Rule, f.Waiver.Kind, f.Waiver.Namespace, f.Waiver.Name, f.Waiver.Owner, f.Waiver.Reason, oscalTime(f.Waiver.Expires)),
				Description: "Waived until " + day(f.Waiver.Expires) + " by " + markup(f.Waiver.Owner) + ": " + markup(f.Waiver.Reason)})
			if expires := oscalTime(f.Waiver.Expires); risk.Deadline == "" || compareMoments(expires, risk.Deadline) < 0 {
				risk.Deadline = expires
			}
		case f.Baseline:
			baseline++
		}
	}
	if waived == len(findings) {
		risk.Status = "deviation-approved"
	} else {
		risk.Deadline = "" // what is not waived has no date
	}
	risk.Props = w.props("assessment-rule-id", id, "control", control.ID, "findings", strconv.Itoa(len(findings)), "findings-waived", strconv.Itoa(waived), "findings-in-baseline", strconv.Itoa(baseline))
	risk.Characterizations = []oscalCharacterization{{Origin: w.origin()[0], Facets: []oscalFacet{{Name: "severity", System: oscalNS, Value: lead.Severity.String()}}}}
	for _, ref := range rule.Refs {
		if ref.Source == bailey.SourceATTACK {
			risk.Threats = append(risk.Threats, threat(ref.ID)...)
		}
	}
	risk.Remediations = []oscalResponse{{UUID: w.id("fix", id), Lifecycle: "recommendation", Title: "Fix the cause", Description: w.recommended(id, findings)}}
	return risk
}

// recommended is the fix of one finding that can stand for the others.
func (w *oscal) recommended(id string, findings []*bailey.Finding) string {
	asked := 0
	for _, f := range findings {
		if !isOpen(f) {
			continue
		}
		if change := describeFix(w.r.FixOf(f), f.Cause); change != "" {
			return "On " + markup(f.Object.String()) + ": " + markup(change)
		}
		if asked++; asked == fixExamples {
			break
		}
	}
	return "Decide by hand: " + mdCode("bailey explain "+id)
}

// threat is a technique of ATT&CK, as far as its name is one.
func threat(technique string) []oscalThreat {
	for _, r := range technique {
		if !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r == '.') {
			return nil
		}
	}
	if technique == "" {
		return nil
	}
	address := "https://attack.mitre.org/techniques/" + strings.ReplaceAll(technique, ".", "/") + "/"
	return []oscalThreat{{System: "https://attack.mitre.org", Href: address, ID: address}}
}

// brokenRisks adds a risk for every experiment that was broken.
func (w *oscal) brokenRisks(g *gatheredOSCAL, experiments map[string]*bailey.Experiment) {
	type entry struct{ control, experiment string }
	var order []entry
	texts := map[entry][]string{}
	for _, b := range brokenOf(w.r) {
		for i, text := range b.broken {
			name, _, _ := strings.Cut(text, ": ")
			k := entry{b.control, name}
			if texts[k] == nil {
				order = append(order, k)
			}
			texts[k] = append(texts[k], "- "+markup(b.text(i)))
		}
	}
	for _, k := range order {
		risk := oscalRisk{UUID: w.id("risk", "broken", k.control, k.experiment), Title: titled("Experiment " + k.experiment + " was broken"), Status: "open",
			Description: "An experiment showed on the running system that " + brokenTitle + ". No waiver accepts it.",
			Statement:   strings.Join(texts[k], "\n"), Origins: w.origin(), Props: w.props("assessment-rule-id", k.control+"/"+k.experiment, "control", k.control),
			Remediations: []oscalResponse{{UUID: w.id("fix", k.control, k.experiment), Lifecycle: "recommendation", Title: "Put it right, then prove it", Description: mdCode("bailey explain "+k.control) + ", then " + mdCode("bailey prove "+k.control)}}}
		if x := experiments[k.control+"/"+k.experiment]; x != nil {
			risk.Threats = threat(x.Technique)
		}
		for i := range w.r.Evidence {
			if e := &w.r.Evidence[i]; e.Control == k.control && e.Experiment == k.experiment && (e.Total().Broken > 0 || len(e.Unclaimed) > 0) {
				risk.Observations = append(risk.Observations, oscalRelatedObservation{w.evidenceID(e, "observation")})
			}
		}
		g.risk(k.control, risk)
	}
}
