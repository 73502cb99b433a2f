package check

import (
	"fmt"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// KindWaiver is the kind under which an expired waiver is reported.
const KindWaiver bailey.Kind = "Waiver.bailey.dev"

// waiverExpired is the name, under the waived control, of the rule that
// reports an expired waiver.
const waiverExpired = "waiver-expired"

// ValidateWaiver says what a waiver lacks: every one names a known rule or
// control, a reason, an owner and an expiry.
func ValidateWaiver(w bailey.Waiver, controls []*bailey.Control) error {
	switch {
	case w.Rule == "":
		return fmt.Errorf("a waiver names no rule\nhint: add rule: <control>/<rule>, as `bailey controls` lists them")
	case w.Reason == "":
		return fmt.Errorf("the waiver of %s gives no reason\nhint: add reason: why the risk is accepted", w.Rule)
	case w.Owner == "":
		return fmt.Errorf("the waiver of %s has no owner\nhint: add owner: who answers for it", w.Rule)
	case w.Expires.IsZero():
		return fmt.Errorf("the waiver of %s never expires\nhint: add expires: 2027-01-31", w.Rule)
	case !waiverKnown(w, controls):
		return fmt.Errorf("the waiver names %s, which is neither a rule nor a control\nhint: `bailey controls` lists them", w.Rule)
	}
	return nil
}

func waiverKnown(w bailey.Waiver, controls []*bailey.Control) bool {
	for _, c := range controls {
		if waivesRule(w, c.ID, c.ID) {
			return true
		}
		for _, r := range c.Rules {
			if waivesRule(w, c.ID, c.RuleID(r)) {
				return true
			}
		}
	}
	return false
}

// waivesRule reports whether the waiver's Rule takes in this rule of the control.
func waivesRule(w bailey.Waiver, control, rule string) bool {
	return w.Rule == rule || w.Rule == control || w.Rule == control+"/*"
}

func waives(w *bailey.Waiver, f *bailey.Finding) bool {
	return waivesRule(*w, f.Control, f.Rule) &&
		(wildcard(w.Kind, f.Object.Kind.Short()) || wildcard(w.Kind, string(f.Object.Kind))) &&
		wildcard(w.Namespace, f.Object.Namespace) && wildcard(w.Name, f.Object.Name)
}

// WaiverOf gives the first waiver that takes the finding in and has not expired at the
// moment; else one that has expired; nil if none takes it in.
func WaiverOf(f *bailey.Finding, waivers []bailey.Waiver, now time.Time) *bailey.Waiver {
	var expired *bailey.Waiver
	for i := range waivers {
		switch w := &waivers[i]; {
		case !waives(w, f):
		case now.Before(w.Expires):
			return w
		case expired == nil:
			expired = w
		}
	}
	return expired
}

// wildcard matches text against a pattern in which "*" stands for any run of
// characters; an empty pattern matches everything.
func wildcard(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, found := strings.CutPrefix(text, parts[0])
	if !found {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// applyWaivers marks the findings that a valid waiver takes in, and gives one
// more finding for every waiver that has expired.
func applyWaivers(findings []bailey.Finding, waivers []bailey.Waiver, controls []*bailey.Control, now time.Time) []bailey.Finding {
	var expired []bailey.Finding
	for i := range waivers {
		w := &waivers[i]
		live := now.Before(w.Expires)
		stands := 0
		for j := range findings {
			if f := &findings[j]; waives(w, f) {
				stands++
				if live && f.Waiver == nil {
					f.Waiver = w
				}
			}
		}
		if !live {
			expired = append(expired, expiredFinding(w, controls, stands))
		}
	}
	return append(findings, expired...)
}

func expiredFinding(w *bailey.Waiver, controls []*bailey.Control, stands int) bailey.Finding {
	control := w.Rule
	for _, c := range controls {
		if strings.HasPrefix(w.Rule, c.ID+"/") {
			control = c.ID
		}
	}
	message := fmt.Sprintf("the waiver of %s by %s expired on %s; ", w.Rule, w.Owner, w.Expires.Format(time.DateOnly))
	severity := bailey.SeverityMedium
	if stands == 0 {
		message += "nothing matches it any more: remove it"
		severity = bailey.SeverityInfo
	} else {
		message += fmt.Sprintf("%d findings count again: fix them, or renew it with a reason", stands)
	}
	object := bailey.Ref{Kind: KindWaiver, Namespace: w.Namespace, Name: w.Rule}
	rule := control + "/" + waiverExpired
	return bailey.Finding{ID: bailey.FindingID(rule, object, w.Kind+"/"+w.Name), Control: control, Rule: rule, Severity: severity,
		Object: object, APIVersion: "bailey.dev/v1", Field: "expires", Message: message, Cause: object}
}

// CompareWaivers says which waivers have been added, widened, prolonged or removed
// between two lists.
func CompareWaivers(base, head []bailey.Waiver) []bailey.WaiverChange {
	var changes []bailey.WaiverChange
	replaced := make([]bool, len(base))
	for _, w := range head {
		what := "adds"
		for i, b := range base {
			switch {
			case sameRange(w, b) && w.Expires.After(b.Expires):
				what = "prolongs"
			case sameRange(w, b):
				what = ""
			case what == "adds" && covers(w, b):
				what = "widens"
			default:
				continue
			}
			replaced[i] = true
			if sameRange(w, b) {
				break
			}
		}
		if what != "" {
			changes = append(changes, bailey.WaiverChange{Waiver: w, What: what})
		}
	}
	for i, b := range base {
		if !replaced[i] {
			changes = append(changes, bailey.WaiverChange{Waiver: b, What: "removes"})
		}
	}
	return changes
}

// sameRange reports whether two waivers take in the same.
func sameRange(a, b bailey.Waiver) bool {
	return a.Rule == b.Rule && a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name
}

// covers reports whether one waiver takes in all that another does, and more.
func covers(wide, narrow bailey.Waiver) bool {
	rule := wide.Rule == narrow.Rule || strings.HasPrefix(narrow.Rule, strings.TrimSuffix(wide.Rule, "/*")+"/")
	return rule && wildcard(wide.Kind, narrow.Kind) && wildcard(wide.Namespace, narrow.Namespace) && wildcard(wide.Name, narrow.Name)
}
