package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

func definedPlatformID() string { return catalogueID("component", "platform") }

// checked is one rule or experiment, which trestle calls a check.
type checked struct{ id, title, doc string }

// checksOf lists the rules and experiments of a control.
func checksOf(c *bailey.Control) []checked {
	var all []checked
	for _, r := range c.Rules {
		id := c.RuleID(r)
		all = append(all, checked{id, ruleTitle(r, id), firstParagraph(r.Doc)})
	}
	for _, x := range c.Experiments {
		all = append(all, checked{c.ID + "/" + x.Name, x.Title, x.Hypothesis})
	}
	return all
}

// components is the component definition: what a platform must hold by the
// catalogue, by NIST's controls, and what checks it. It says nothing of one
// platform. Rules are written as compliance-trestle reads them.
func (w *oscal) components() oscalComponentsDocument {
	platform := oscalDefinedComponent{UUID: definedPlatformID(), Type: "service", Title: "Kubernetes platform",
		Description: "A Kubernetes cluster with what runs on it, as the page “Cloud Native Security and Kubernetes” asks for it."}
	tool := oscalDefinedComponent{UUID: catalogueID("component", "bailey"), Type: "validation", Title: "Bailey",
		Description: "Bailey's rules read what is declared; its experiments try, on the running platform, what a control forbids."}
	requirements := map[string]*oscalRequirement{}
	asks := map[string][]string{}
	n := 0
	for _, c := range w.checkedControls() {
		checks := checksOf(c)
		for _, check := range checks {
			set := fmt.Sprintf("rule_set_%04d", n)
			n++
			add := func(d *oscalDefinedComponent, name, value string) {
				if value = line(value); value != "" {
					d.Props = append(d.Props, oscalProp{Name: name, NS: trestleNS, Value: value, Remarks: set})
				}
			}
			for _, d := range []*oscalDefinedComponent{&platform, &tool} {
				add(d, "Rule_Id", check.id)
				add(d, "Rule_Description", check.title)
			}
			add(&tool, "Check_Id", check.id)
			add(&tool, "Check_Description", check.doc)
			add(&tool, "Target_Component", platform.Title)
		}
		for _, id := range nistIDs(c) {
			r := requirements[id]
			if r == nil {
				r = &oscalRequirement{UUID: catalogueID("requirement", id), ControlID: id}
				requirements[id] = r
			}
			asks[id] = append(asks[id], "- "+mdCode(c.ID)+" asks that "+prose(c.Asks)+".")
			for _, check := range checks {
				if value := line(check.id); value != "" {
					r.Props = append(r.Props, oscalProp{Name: "Rule_Id", NS: trestleNS, Value: value})
				}
			}
		}
	}
	if len(requirements) > 0 {
		implementation := oscalImplementation{UUID: catalogueID("implementation"), Source: nistCatalog,
			Description: "Which of NIST's controls the platform's part is checked for. The controls reach further than a platform: what people and processes must do is not here."}
		for _, id := range slices.SortedFunc(maps.Keys(requirements), compareControlIDs) {
			r := requirements[id]
			r.Description = strings.Join(asks[id], "\n")
			implementation.Requirements = append(implementation.Requirements, *r)
		}
		platform.Implementations = []oscalImplementation{implementation}
	}
	return oscalComponentsDocument{oscalDefinition{UUID: catalogueID("component-definition"),
		Metadata:   w.metadata("What Bailey checks on a Kubernetes platform", w.o.Version),
		Components: []oscalDefinedComponent{platform, tool}}}
}

// ssp is the least system security plan that OSCAL takes. A plan must import
// one, and the owner's is not Bailey's to know: this one says only that.
func (w *oscal) ssp() oscalSSPDocument {
	const standIn = "Written by Bailey in the place of the system owner's plan, which it does not know. It states nothing about how a control is implemented: put the owner's plan in its place."
	controls := selected("", w.r.Controls).Include
	if len(controls) == 0 {
		controls = []oscalSelectedControl{{"ca-2"}} // OSCAL wants one: that controls are assessed
	}
	s := oscalSSP{UUID: w.id("ssp"), Metadata: w.metadata("System security plan (stand-in) of "+markup(w.systemName()), w.at()),
		ImportProfile: oscalImport{Href: nistCatalog, Remarks: "The whole catalogue: the owner's baseline is not known."},
		Characteristics: oscalCharacteristics{
			SystemIDs:  []oscalSystemID{{w.id("system")}},
			SystemName: w.systemName(), Description: standIn,
			Information: oscalInformation{Types: []oscalInformationType{{UUID: w.id("information"), Title: "Unknown", Description: "Which information the system holds is for its owner to say."}}},
			Status:      oscalState{State: "other", Remarks: "Not known to Bailey."},
			Boundary:    oscalDescribed{"What was read of the platform; the owner's boundary is not known."},
		},
		Implementation: oscalSystemImplementation{
			Users: []oscalUser{{UUID: w.id("user"), Title: "Users of the system; not known to Bailey"}},
			Components: []oscalComponent{{UUID: w.id("system"), Type: "this-system", Title: titled(w.systemName()), Description: standIn,
				Status: oscalState{State: "other", Remarks: "Not known to Bailey."}}},
		},
		Controls: oscalControlsImplemented{Description: standIn},
	}
	s.Metadata.Remarks = standIn
	for _, c := range controls {
		s.Controls.Requirements = append(s.Controls.Requirements, oscalRequirement{UUID: w.id("ssp-requirement", c.ControlID), ControlID: c.ControlID, Remarks: "For the system's owner to describe."})
	}
	return oscalSSPDocument{s}
}
