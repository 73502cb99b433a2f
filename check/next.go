package check

import (
	"fmt"
	"time"

	"github.com/baileyhq/bailey"
)

// next answers, for a verdict, what would change it, with the command.
func (l *ladder) next(st *standing) string {
	id := l.control.ID
	switch st.rung {
	case bailey.RungGap:
		switch {
		case st.broken:
			if st.proof != nil && len(st.proof.Broken) > 0 {
				return "an experiment was broken (" + st.proof.Broken[0] + "): put it right, then `bailey prove " + id + "`"
			}
			return "an experiment was broken: `bailey explain " + id + "` says what it tries"
		case st.findings > 0 && st.findings == st.waived:
			return fmt.Sprintf("waived until %s: fix the cause before then", st.waivedUntil.Format(time.DateOnly))
		case st.findings == 1:
			return "fix 1 finding: `bailey explain " + id + "`"
		}
		return fmt.Sprintf("fix %d findings: `bailey explain %s`", st.findings, id)
	case bailey.RungUnknown:
		switch {
		case len(l.control.Rules) == 0:
			if len(l.control.Experiments) > 0 {
				return "this version has no rules for it; `bailey prove " + id + l.danger() + "` may find it broken"
			}
			return "this version does not check it"
		case len(st.missing) > 0:
			m := st.missing[0]
			for _, other := range st.missing { // what its reader can do something about comes first
				if other.Reason != bailey.ReasonProvider {
					m = other
					break
				}
			}
			if m.Reason == bailey.ReasonProvider {
				return "the rest is the provider's: " + m.Hint
			}
			if m.Hint != "" {
				return m.Hint
			}
			return fmt.Sprintf("%s was not seen (%s): `bailey explain %s` says what it reads", m.Kind, m.Reason, id)
		}
		return "nothing of what it judges was seen: `bailey explain " + id + "` says what it reads"
	case bailey.RungSound, bailey.RungGuarded:
		if len(l.control.Experiments) > 0 {
			return "prove it: `bailey prove " + id + l.danger() + "`"
		}
		if st.rung == bailey.RungSound && len(l.control.Guards) > 0 {
			return "put a guard in place: `bailey explain " + id + "` shows it"
		}
		return "nothing: no experiment of this version proves it"
	}
	return "its proof must be renewed before its window ends"
}

// danger gives the flag that the control's experiments need, if any.
func (l *ladder) danger() string {
	for _, x := range l.control.Experiments {
		if x.Danger == bailey.DangerIsolated {
			return " --isolated"
		}
	}
	return ""
}
