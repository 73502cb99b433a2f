package enforce

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// labelled is a guard that is in place where a namespace bears a label.
func labelled(name, value string) *bailey.Guard {
	return &bailey.Guard{
		Name: name, Scope: bailey.ScopeNamespace, Needs: []bailey.Kind{bailey.KindNamespace},
		Objects: func(v *bailey.View, scope bailey.Ref) []bailey.Change {
			if v.Get(bailey.KindNamespace, "", scope.Name) == nil {
				return nil
			}
			return []bailey.Change{{Object: scope, APIVersion: "v1", Note: "ask " + name, Patch: []bailey.PatchOp{
				{Op: "add", Path: "/metadata/labels", Value: map[string]any{}},
				{Op: "add", Path: "/metadata/labels/example.com~1" + name, Value: value}, {Op: "add", Path: "/metadata/labels/level", Value: value}}}}
		},
		Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence {
			f := v.Get(bailey.KindNamespace, "", scope.Name)
			return bailey.Presence{InPlace: f != nil && f.Labels["example.com/"+name] == value}
		},
	}
}

func namespaceFact(name string, labels map[string]string) *bailey.Fact {
	return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: name}, APIVersion: "v1", Labels: labels,
		Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}}
}

func TestPlan(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster"})
	b.Saw(bailey.KindNamespace, "")
	b.Add(namespaceFact("shop", map[string]string{"level": "low"}), namespaceFact("done", map[string]string{"example.com/one": "low", "example.com/two": "high"}),
		namespaceFact("flux", map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}), namespaceFact("kube-system", nil))
	p, err := Make(b.Snapshot(), []*bailey.Control{{ID: "a/b", Guards: []*bailey.Guard{labelled("one", "low"), labelled("two", "high")}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Changes) != 2 || p.InPlace != 2 || len(p.Unknown) > 0 {
		t.Fatalf("%+v", p)
	}
	flux, shop := p.Changes[0], p.Changes[1]
	if flux.Managed != "Flux" || flux.Object.Name != "flux" {
		t.Errorf("%+v", flux)
	}
	// Both guards are in one change, the later one's value counts, and what is there already is not told.
	var fields []string
	for _, f := range shop.Differs {
		fields = append(fields, strings.Join(f.Path, ".")+"="+f.Value.(string))
	}
	if got := strings.Join(fields, " "); got != "metadata.labels.example.com/one=low metadata.labels.example.com/two=high metadata.labels.level=high" {
		t.Errorf("differs in %s", got)
	}
	if len(shop.For) != 2 || len(shop.Notes) != 2 || shop.Creates {
		t.Errorf("%+v", shop)
	}
}

func TestPlanNamesWhatWasNotSeen(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster"})
	b.Miss(bailey.Missing{Kind: bailey.KindNamespace, Reason: bailey.ReasonForbidden})
	b.Saw(bailey.KindPod, "")
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "web"}, Object: &corev1.Pod{}})
	p, err := Make(b.Snapshot(), []*bailey.Control{{ID: "a/b", Guards: []*bailey.Guard{labelled("one", "low")}}})
	if err != nil || len(p.Changes) > 0 || len(p.Unknown) != 1 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestFieldsRefusesWhatCannotBeApplied(t *testing.T) {
	for _, patch := range [][]bailey.PatchOp{
		{{Op: "remove", Path: "/spec/externalIPs"}},
		{{Op: "add", Path: "/spec/ports/-", Value: 1}},
		{{Op: "replace", Path: "/spec/ports/0/port", Value: 1}},
	} {
		if got, err := Fields(bailey.Change{Object: bailey.Ref{Kind: bailey.KindService, Namespace: "shop", Name: "web"}, APIVersion: "v1", Patch: patch}); err == nil {
			t.Errorf("%v gives %v", patch, got)
		}
	}
}

func TestStages(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	binding := Change{Object: bailey.Ref{Kind: bailey.KindValidatingAdmissionPolicyBinding, Name: "p"},
		Apply: map[string]any{"spec": map[string]any{"validationActions": []any{"Deny", "Audit"}}}}
	refusing := Impact{"p": {Judged: 2, Refused: []Refusal{{Message: "no"}}}}
	fine := Impact{"p": {Judged: 2}}
	for _, test := range []struct {
		name   string
		change Change
		choice Choice
		since  time.Duration // of the audit stage; none if zero
		stage  Stage
		wait   string
		left   bool
	}{
		{name: "first", change: binding, choice: Choice{Impact: fine}, stage: StageAudit, wait: "for 7 days"},
		{name: "too early", change: binding, choice: Choice{Impact: fine}, since: 6 * 24 * time.Hour, stage: StageAudit, wait: "until 2026-11-26 12:00 UTC"},
		{name: "quiet", change: binding, choice: Choice{Impact: fine}, since: 7 * 24 * time.Hour, stage: StageDeny},
		{name: "refuses what runs", change: binding, choice: Choice{Impact: refusing}, since: 8 * 24 * time.Hour, stage: StageAudit, wait: "--accept-refusals"},
		{name: "accepted", change: binding, choice: Choice{Impact: refusing, AcceptRefusals: true}, since: 8 * 24 * time.Hour, stage: StageDeny},
		{name: "undecided", change: binding, choice: Choice{Impact: Impact{"p": {Judged: 2, Undecided: map[string]int{"namespace shop was not seen": 1}}}},
			since: 8 * 24 * time.Hour, stage: StageAudit, wait: "1 objects not decided, since namespace shop was not seen"},
		{name: "not read", change: binding, choice: Choice{Impact: Impact{"p": {Unseen: []string{"secrets"}}}}, since: 8 * 24 * time.Hour, stage: StageAudit, wait: "secrets not read"},
		{name: "not read and accepted", change: binding, choice: Choice{Impact: Impact{"p": {Unseen: []string{"secrets"}}}, AcceptUnobserved: true}, since: 8 * 24 * time.Hour, stage: StageDeny},
		{name: "not evaluated", change: binding, since: 8 * 24 * time.Hour, stage: StageAudit, wait: "was not evaluated"},
		{name: "owned elsewhere", change: Change{Object: binding.Object, Apply: binding.Apply, Managed: "Helm"}, stage: StageDeny, wait: "Helm", left: true},
		{name: "no audit stage", change: Change{Object: bailey.Ref{Kind: bailey.KindNetworkPolicy, Name: "n"}, Apply: map[string]any{}}, stage: StageDeny, wait: "--accept-unobserved", left: true},
		{name: "unobserved", change: Change{Object: bailey.Ref{Kind: bailey.KindNetworkPolicy, Name: "n"}, Apply: map[string]any{}}, choice: Choice{AcceptUnobserved: true}, stage: StageDeny},
	} {
		test.choice.Now, test.choice.Quiet = now, DefaultQuiet
		test.choice.AuditedSince = func(bailey.Ref) time.Time {
			if test.since == 0 {
				return time.Time{}
			}
			return now.Add(-test.since)
		}
		got := (&Plan{Changes: []Change{test.change}}).Stages(test.choice)[0]
		if got.Stage != test.stage || !strings.Contains(got.Wait, test.wait) || (got.Wait == "") != (test.wait == "") || (got.Fields == nil) != test.left {
			t.Errorf("%s: stage %s, %q, fields %v", test.name, got.Stage, got.Wait, got.Fields)
		}
		if test.stage == StageAudit && strings.Contains(strings.Join(actions(got.Fields), " "), "Deny") {
			t.Errorf("%s: it denies", test.name)
		}
	}
	if got := actions(binding.Apply); len(got) != 2 || got[0] != "Deny" {
		t.Errorf("the plan was changed: %v", got)
	}
}

func actions(fields map[string]any) []string {
	list, _ := under(fields, "spec")["validationActions"].([]any)
	var all []string
	for _, a := range list {
		all = append(all, a.(string))
	}
	return all
}
