package report

import (
	"strings"

	"github.com/baileyhq/bailey"
)

// raisedText says why a finding weighs more where it is than anywhere; "" if it does not:
// "medium anywhere, high here: Service web leads to it, and container web is privileged".
func raisedText(f *bailey.Finding) string {
	if f.Base == bailey.SeverityNone || f.Base == f.Severity {
		return ""
	}
	return f.Base.String() + " anywhere, " + f.Severity.String() + " here: " + factorsText(f)
}

// severityText says where a finding's severity comes from; "" where it is not weighed.
func severityText(f *bailey.Finding) string {
	switch raised := raisedText(f); {
	case raised != "":
		return raised
	case f.Base == bailey.SeverityNone:
		return ""
	case len(f.Factors) == 0:
		return f.Severity.String() + ", as anywhere: nothing that was seen leads to it from outside, or gives it more than it is"
	}
	return f.Severity.String() + ", as anywhere: " + factorsText(f)
}

// weight is what is shown of it: everything where that was asked for, else what differs.
func (o Options) weight(f *bailey.Finding) string {
	if o.Explain {
		return severityText(f)
	}
	return raisedText(f)
}

func factorsText(f *bailey.Finding) string {
	texts := make([]string, len(f.Factors))
	for i := range f.Factors {
		texts[i] = clean(f.Factors[i].Text)
	}
	return strings.Join(texts, "; ")
}
