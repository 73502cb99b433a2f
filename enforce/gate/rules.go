package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// decideRules refuses an object that adds findings of the chosen rules to what the cluster
// holds. What could not be judged is a warning.
func (g *Gate) decideRules(ctx context.Context, d *Decision, r *admissionv1.AdmissionRequest) {
	v := g.overlay
	switch {
	case v == nil:
		d.refuse(outRefused, "the gate was not told which rules to judge by\nhint: start it with --rules, or take the webhook "+imagegate.RulesWebhook+" out of its configuration")
		return
	case g.settled(d, r):
		return
	case slices.Contains(imagegate.Makers, r.UserInfo.Username):
		d.Decision = outUnchanged // it makes what an object says that was judged
		return
	}
	arrived := time.Now()
	after, err := v.fact(r, r.Object.Raw)
	var before *bailey.Fact
	if err == nil && r.Operation == admissionv1.Update && len(r.OldObject.Raw) > 0 {
		before, err = v.fact(r, r.OldObject.Raw)
	}
	if err != nil {
		d.refuse(outRefused, err.Error())
		return
	}
	v.begin(ctx)
	current, lack := v.latest()
	session := v.blind
	if lack == nil {
		session = current.session
	}
	laid, err := v.lay(ctx, session, before, after)
	standing, waived := v.waive(laid.Added, g.o.Now())
	if err == nil && lack == nil && len(standing) > 0 && v.o.Lay == nil && !g.o.Warn && !current.begun.After(arrived) {
		// What it lacks may be there by now: nothing is refused for what was true before. A
		// warning is not worth the wait.
		if fresh := v.newer(ctx, arrived); fresh != nil {
			if again, err := v.lay(ctx, fresh.session, before, after); err == nil {
				laid, current = again, fresh
				standing, waived = v.waive(laid.Added, g.o.Now())
			}
		}
	}
	if current != nil {
		d.Snapshot = current.begun.UTC()
	}
	switch {
	case err != nil:
		d.Unjudged = []string{"the chosen rules did not judge it: " + err.Error()}
	case len(laid.Unjudged) > 0:
		d.unjudged(laid, lack)
	}
	if len(d.Unjudged) > 0 {
		g.metrics.unjudged.Inc()
	}
	d.waived(waived)
	switch {
	case len(standing) > 0:
		d.Decision = outRefused
		d.found(standing, after.Ref, v.o.Describe)
		if lack == nil && v.o.Lay == nil {
			d.Reason += fmt.Sprintf("\nthe cluster was read %s ago", age(current.begun))
		}
	case len(d.Unjudged) > 0 && v.o.RefuseStale:
		hint := "the gate runs with --refuse-stale; its log says what of the cluster cannot be read"
		if err != nil || v.o.Lay != nil {
			hint = "try again in a moment"
		}
		d.refuse(outUndecided, d.Unjudged[0]+"\nhint: "+hint)
	default:
		d.Decision = outAdmitted
	}
}

// addition is a finding that a request would add, with the waiver that takes it in, if any.
type addition struct {
	bailey.Finding
	waiver *bailey.Waiver
}

// waive tells those that refuse from those that a waiver holds back. One that has expired
// holds nothing back, and is named.
func (v *overlay) waive(added []bailey.Finding, now time.Time) (standing, waived []addition) {
	var waivers []bailey.Waiver
	if v.o.Waivers != nil {
		waivers = v.o.Waivers()
	}
	for _, f := range added {
		w := check.WaiverOf(&f, waivers, now)
		if w != nil && now.Before(w.Expires) {
			waived = append(waived, addition{f, w})
		} else {
			standing = append(standing, addition{f, w})
		}
	}
	return standing, waived
}

// fact reads an object of the request.
func (v *overlay) fact(r *admissionv1.AdmissionRequest, raw []byte) (*bailey.Fact, error) {
	o := newObject(r.Kind)
	if len(raw) == 0 {
		return nil, errors.New("the request holds no object")
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, o); err != nil {
		return nil, fmt.Errorf("the object cannot be read: %w", err)
	}
	gvk := schema.GroupVersionKind(r.Kind)
	if own := o.GetObjectKind().GroupVersionKind(); own != gvk {
		return nil, fmt.Errorf("the request is about a %s, and its object is a %q", gvk.Kind, own.Kind)
	}
	if meta := o.(metav1.Object); meta.GetNamespace() != r.Namespace {
		return nil, fmt.Errorf("the request is about namespace %s, and its object is of %q", r.Namespace, meta.GetNamespace())
	}
	version, kind := gvk.ToAPIVersionAndKind()
	return v.o.Fact(o, version, kind), nil
}

// unjudged notes which controls lacked what; lack is why there is no reading at all.
func (d *Decision) unjudged(laid check.Laid, lack error) {
	if lack != nil {
		var ids []string
		for _, u := range laid.Unjudged {
			ids = append(ids, u.Control)
		}
		d.Unjudged = []string{short(strings.Join(ids, ", ") + ": " + lack.Error())}
		return
	}
	for _, u := range laid.Unjudged {
		text := fmt.Sprintf("%s: %s was not seen (%s)", u.Control, u.Missing.Kind, u.Missing.Reason)
		if u.Missing.Hint != "" {
			text += "; hint: " + u.Missing.Hint
		}
		d.Unjudged = append(d.Unjudged, short(text))
	}
}

// waived notes findings that do not refuse, and which waivers hold them back.
func (d *Decision) waived(findings []addition) {
	for i := range findings {
		f := &findings[i]
		if i == maxShown {
			d.Waived = append(d.Waived, fmt.Sprintf("and %d more findings are waived", len(findings)-i))
			break
		}
		d.note(f)
		d.Waived = append(d.Waived, short(fmt.Sprintf("rule %s is waived until %s by %s: %s", f.Rule, lastDay(f.waiver), f.waiver.Owner, f.waiver.Reason)))
	}
}

// lastDay is the last moment of a waiver, as its file has it if that is a date.
func lastDay(w *bailey.Waiver) string {
	if last := w.Expires.UTC(); !last.Equal(last.Truncate(24 * time.Hour)) {
		return last.Format(time.RFC3339)
	}
	return w.Expires.UTC().AddDate(0, 0, -1).Format(time.DateOnly)
}

func (d *Decision) note(f *addition) {
	n := RuleFinding{Rule: f.Rule, Severity: f.Severity, Object: f.Object.String(), Field: f.Field, Message: short(f.Message)}
	if w := f.waiver; w != nil {
		n.Waiver = &RuleWaiver{Rule: w.Rule, Owner: short(w.Owner), Reason: short(w.Reason), Expires: w.Expires.UTC()}
	}
	d.Findings = append(d.Findings, n)
}

// found notes findings, and makes the reason of them.
func (d *Decision) found(added []addition, object bailey.Ref, describe func([]bailey.Change, bailey.Ref) string) {
	d.against = nil
	for i := range added {
		f := &added[i]
		if i == maxShown {
			d.against = append(d.against, fmt.Sprintf("and %d more findings", len(added)-i))
			break
		}
		d.note(f)
		var b strings.Builder
		fmt.Fprintf(&b, "rule %s (%s)", f.Rule, f.Severity)
		if f.Object != object {
			b.WriteString(" on " + short(f.Object.String()))
		}
		if f.Field != "" {
			b.WriteString(" at " + short(f.Field))
		}
		b.WriteString(": " + short(f.Message))
		if w := f.waiver; w != nil {
			b.WriteString("\nits waiver by " + short(w.Owner) + " ended with " + lastDay(w))
		}
		if fix := describe(f.Fix, f.Object); fix != "" {
			b.WriteString("\nfix: " + short(fix))
		}
		b.WriteString("\nhint: bailey explain " + f.Rule)
		d.against = append(d.against, b.String())
	}
	d.Reason = strings.Join(d.against, "\n")
}
