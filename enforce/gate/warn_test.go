package gate

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// TestWarns: what a gate refuses one that warns lets in, unchanged, and says why it would be
// refused; what the one admits the other does without a word.
func TestWarns(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true}, tags: map[string]string{"registry.example.com/shop/web:1": digest("a"), "registry.example.com/shop/web:2": digest("b")}}
	enforces, warns := newGate(t, Options{Trust: b.trust("1")}), newGate(t, Options{Trust: b.trust("1"), Warn: true})
	refused := 0
	for _, kind := range bailey.PodBearing {
		for place, spec := range places {
			for _, image := range []string{good + digest("a"), bad + digest("b")} {
				apiVersion, name, object := wrapped(t, kind, filled(spec, image))
				r := request(t, admissionv1.Create, apiVersion, name, object, "")
				was, is := enforces.Review(t.Context(), imagegate.ImagesWebhook, r), warns.Review(t.Context(), imagegate.ImagesWebhook, r)
				if !is.Allowed || is.Result != nil || was.Allowed != (len(is.Warnings) == 0) {
					t.Errorf("%s, %s, %s: enforced %t, warned %t %q", kind, place, image, was.Allowed, is.Allowed, is.Warnings)
				}
				if !was.Allowed {
					refused++
					first, _, _ := strings.Cut(was.Result.Message, "\n")
					if text := is.Warnings[0]; !strings.HasPrefix(text, "Bailey would refuse this: "+first) || strings.ContainsAny(text, "\n\r") {
						t.Errorf("%s, %s: %q, where it is refused for %q", kind, place, text, was.Result.Message)
					}
				}
			}
		}
	}
	if judged, objected := warns.Counts(); refused == 0 || objected != int64(refused) || judged <= objected {
		t.Errorf("%d were refused; counted are %d of %d", refused, objected, judged)
	}

	// It pins nothing, and judges the digest that a pod's tag has.
	for tag, quiet := range map[string]bool{"1": true, "2": false, "3": false} {
		_, _, object := wrapped(t, bailey.KindPod, `{"containers":[{"name":"a","image":"registry.example.com/shop/web:`+tag+`"}]}`)
		r := request(t, admissionv1.Create, "v1", "Pod", object, "")
		if a := warns.Review(t.Context(), imagegate.PinWebhook, r); !a.Allowed || a.Patch != nil || len(a.Warnings) > 0 {
			t.Errorf("tag %s is pinned: %+v", tag, a)
		}
		if a := warns.Review(t.Context(), imagegate.ImagesWebhook, r); !a.Allowed || quiet != (len(a.Warnings) == 0) {
			t.Errorf("tag %s: %t %q", tag, a.Allowed, a.Warnings)
		}
	}
}

// TestWarnsWhateverHappens: a request that cannot be read, decided or recorded is let through.
func TestWarnsWhateverHappens(t *testing.T) {
	b := &book{down: true}
	g := newGate(t, Options{Trust: b.trust("1"), Warn: true, Rules: &Rules{Lay: func(context.Context, *bailey.Fact, *bailey.Fact) (check.Laid, error) { panic("a defect") }, Fact: (&town{}).rules().Fact}})
	_, _, pod := wrapped(t, bailey.KindPod, filled(places["container"], good+digest("a")))
	for what, r := range map[string]*admissionv1.AdmissionRequest{
		"the registry is down": request(t, admissionv1.Create, "v1", "Pod", pod, ""),
		"no object":            request(t, admissionv1.Create, "v1", "Pod", "", ""),
		"of another kind":      request(t, admissionv1.Create, "v1", "Secret", pod, ""),
		"no namespace":         {UID: "1", Operation: admissionv1.Create},
	} {
		for _, webhook := range webhooks {
			if a := g.Review(t.Context(), webhook, r); !a.Allowed {
				t.Errorf("%s, %s: %+v", what, webhook, a.Result)
			}
		}
	}
	g.o.Record = NewRecorder("test", discard, func(context.Context, []Record) error { return errors.New("the disk is full") })
	key := func() []byte { return []byte(strings.Repeat("k", 32)) }
	g.o.Grants = &Grants{Key: key}
	for _, webhook := range webhooks {
		r := request(t, admissionv1.Create, "v1", "Pod", pod, "")
		if a := g.Review(t.Context(), webhook, r); !a.Allowed {
			t.Errorf("%s: %+v", webhook, a.Result)
		}
	}
	if err := g.o.Record.Close(t.Context()); err == nil {
		t.Error("everything was recorded")
	}
}

// TestLay: a gate beside somebody who follows the cluster judges by what that says, and waits for
// no reading.
func TestLay(t *testing.T) {
	found := bailey.Finding{Object: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "x"}, Rule: "test/company/lonely", Severity: bailey.SeverityHigh, Message: "no Service is for it"}
	var records []string
	for _, warn := range []bool{true, false} {
		laid, failed := check.Laid{Added: []bailey.Finding{found}}, error(nil)
		g := newGate(t, Options{Warn: warn, Rules: &Rules{
			Lay:      func(context.Context, *bailey.Fact, *bailey.Fact) (check.Laid, error) { return laid, failed },
			Fact:     (&town{}).rules().Fact,
			Describe: func([]bailey.Change, bailey.Ref) string { return "make a Service" }, RefuseStale: !warn}})
		g.o.Record = NewRecorder("test", discard, func(_ context.Context, all []Record) error {
			for _, r := range all {
				records = append(records, string(r.Data))
			}
			return nil
		})
		_, _, pod := labelled(t, bailey.KindPod, "db")
		r := request(t, admissionv1.Create, "v1", "Pod", pod, "")
		begun := time.Now()
		a := g.Review(t.Context(), imagegate.RulesWebhook, r)
		switch {
		case time.Since(begun) > readAgain/2:
			t.Errorf("it took %s", time.Since(begun))
		case warn && (!a.Allowed || len(a.Warnings) != 1 || a.Warnings[0] != "Bailey would refuse this: rule test/company/lonely (high): no Service is for it; fix: make a Service; hint: bailey explain test/company/lonely"):
			t.Errorf("it warns: %+v", a)
		case !warn && (a.Allowed || strings.Contains(a.Result.Message, "was read")):
			t.Errorf("it refuses: %+v", a)
		}
		laid, failed = check.Laid{}, errors.New("not judged yet")
		switch a := g.Review(t.Context(), imagegate.RulesWebhook, r); {
		case warn && (!a.Allowed || len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "not judged yet")):
			t.Errorf("it cannot judge, and warns: %+v", a)
		case !warn && (a.Allowed || a.Result.Code != 503 || !strings.Contains(a.Result.Message, "not judged yet\nhint: try again in a moment")):
			t.Errorf("it cannot judge, and refuses: %+v", a)
		}
		if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); a.Allowed != warn {
			t.Errorf("images without a trust policy: %+v", a)
		}
		if err := g.o.Record.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var d Decision
	if err := json.Unmarshal([]byte(records[0]), &d); err != nil || d.Decision != outWarned || len(d.Findings) != 1 || d.Reason == "" {
		t.Errorf("recorded is %+v, %v", records[0], err)
	}
}
