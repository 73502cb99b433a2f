package report

import (
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// plan is the assessment plan: what is examined and tried, and on which terms.
// The definition is the resource that holds, or points to, the component
// definition.
func (w *oscal) plan(definition oscalResource) oscalPlanDocument {
	ssp := w.embedded("ssp", oscalSSPFile, "System security plan (stand-in)", encodeOSCAL(w.ssp()))
	p := oscalPlan{UUID: w.id("assessment-plan"), Metadata: w.metadata("Assessment plan for "+markup(w.systemName()), w.at()),
		ImportSSP: oscalImport{Href: "#" + ssp.UUID, Remarks: "A stand-in: put the address of the owner's system security plan in its place."},
		Reviewed: oscalReviewed{Description: "The controls of NIST SP 800-53 revision 5 that Bailey's catalogue refers to. Each of its own controls is an objective below one of them.",
			Controls: []oscalControlSelection{selected("", w.r.Controls)}},
		Assets:     w.assets(),
		Subjects:   w.onPlatform(),
		BackMatter: oscalBackMatter{[]oscalResource{ssp, definition}},
	}
	p.Local.Components = []oscalComponent{w.platform(definition.UUID)}
	var objectives oscalObjectiveSelection
	for _, c := range w.r.Controls {
		objectives.Include = append(objectives.Include, oscalSelectedObjective{objectiveID(c)})
		p.Local.Objectives = append(p.Local.Objectives, oscalObjective{ControlID: controlIDs(c)[0], Description: "Bailey's control " + mdCode(c.ID) + ".", Props: w.references(c),
			Parts: []oscalPart{{ID: objectiveID(c), Name: "objective", Title: titled(c.ID), Prose: "Determine if " + prose(c.Asks) + "."}}})
	}
	if len(objectives.Include) > 0 {
		p.Reviewed.Objectives = []oscalObjectiveSelection{objectives}
	}
	p.Terms.Parts = []oscalPart{
		{UUID: catalogueID("term", "engagement"), Name: "rules-of-engagement", Title: "What experiments may do", Prose: engagement},
		{UUID: catalogueID("term", "methodology"), Name: "methodology", Title: "How a verdict comes about", Prose: methodology},
	}
	w.activities(&p)
	return oscalPlanDocument{p}
}

const engagement = `Every experiment has a class of danger:

- none: reads, connections, and questions to the API server's authorizer.
- dry-run: requests to the API server by server-side dry-run; only audit records stay.
- isolated: namespaces and objects of the experiment's own, removed afterwards.
- disruptive: only with a flag, a window and the consent of the namespace.

What an experiment makes is journalled before it is made, and removed. Contents of Secrets are never read.`

const methodology = `Rules examine every object that was read. A fact that a rule needs and that was not seen makes the control unknown, which is not satisfied.

An experiment tries what the control forbids, on every path, beside an allowed twin that differs only in the forbidden thing. A try holds when the twin succeeds and the refusal comes from where it was expected. Every path is tried at least 16 times by dry-run (5 times where objects are made): 16 tries that held would have shown a failure rate above 17 %, at 95 % confidence. One try that is broken outweighs every rule that found nothing.`

// onPlatform selects the platform as a whole.
func (w *oscal) onPlatform() []oscalSubjects {
	return []oscalSubjects{{Type: "component", Include: []oscalSubject{{SubjectUUID: w.platformID(), Type: "component"}}}}
}

// activities adds what is done, and when: one activity that examines, one for
// each experiment; one task for each class of danger.
func (w *oscal) activities(p *oscalPlan) {
	method := func(name string) []oscalProp { return []oscalProp{{Name: "method", Value: name}} }
	examine := oscalActivity{UUID: catalogueID("activity", "examine"), Title: "Examine what is declared", Props: method("EXAMINE"),
		Description: "Every rule reads every object of the kinds that it judges."}
	var ruled []*bailey.Control
	for _, c := range w.r.Controls {
		if len(c.Rules) == 0 {
			continue
		}
		ruled = append(ruled, c)
		var rules []string
		for _, r := range c.Rules {
			rules = append(rules, "- "+mdCode(r.Name)+": "+prose(ruleTitle(r, c.RuleID(r))))
		}
		examine.Steps = append(examine.Steps, oscalStep{UUID: catalogueID("step", c.ID), Title: titled(c.ID), Description: strings.Join(rules, "\n")})
	}
	if len(ruled) > 0 {
		examine.Related = &oscalReviewed{Controls: []oscalControlSelection{selected("", ruled)}}
	}
	p.Local.Activities = []oscalActivity{examine}
	p.Tasks = []oscalTask{{UUID: examineTaskID(), Type: "action", Title: "Scan", Description: "`bailey scan`, at every change and on a schedule.",
		Activities: []oscalRelatedActivity{{ActivityUUID: examine.UUID, Subjects: w.onPlatform()}}}}
	for _, danger := range bailey.Dangers {
		task := oscalTask{UUID: dangerTaskID(danger), Type: "action", Title: "Experiments of the class " + string(danger),
			Description: "`bailey prove`, each path at least " + strconv.Itoa(danger.Tries()) + " times within the window of its experiment."}
		var window time.Duration
		for _, c := range w.r.Controls {
			for _, x := range c.Experiments {
				if x.Danger != danger {
					continue
				}
				p.Local.Activities = append(p.Local.Activities, w.experiment(c, x, method("TEST")))
				task.Activities = append(task.Activities, oscalRelatedActivity{ActivityUUID: activityID(c.ID, x.Name), Subjects: w.onPlatform()})
				if window == 0 || x.Window < window {
					window = x.Window
				}
			}
		}
		if len(task.Activities) == 0 {
			continue
		}
		task.Timing = frequency(window)
		p.Tasks = append(p.Tasks, task)
	}
}

func activityID(control, experiment string) string {
	return catalogueID("activity", control, experiment)
}

func (w *oscal) experiment(c *bailey.Control, x *bailey.Experiment, props []oscalProp) oscalActivity {
	props = append(props, w.props("assessment-rule-id", c.ID+"/"+x.Name, "control", c.ID, "experiment", x.Name, "danger", string(x.Danger),
		"attack-technique", x.Technique, "window-hours", strconv.Itoa(int(x.Window.Hours())))...)
	for _, d := range x.Detections {
		props = append(props, w.props("expected-detection", d)...)
	}
	a := oscalActivity{UUID: activityID(c.ID, x.Name), Title: prose(x.Title), Description: prose("Hypothesis: " + x.Hypothesis + "\n\n" + x.Doc), Props: props,
		Related: &oscalReviewed{Controls: []oscalControlSelection{selected("", []*bailey.Control{c})}}}
	for _, place := range x.Places {
		a.Props = append(a.Props, w.props("place", string(place))...)
	}
	if a.Title == "" {
		a.Title = markup(x.Name)
	}
	return a
}

// frequency is how often a task must be done so that no evidence of it grows
// older than the window.
func frequency(window time.Duration) *oscalTiming {
	switch hours := int(window.Hours()); {
	case hours < 1:
		return nil
	case hours%24 == 0:
		return &oscalTiming{oscalFrequency{hours / 24, "days"}}
	default:
		return &oscalTiming{oscalFrequency{hours, "hours"}}
	}
}
