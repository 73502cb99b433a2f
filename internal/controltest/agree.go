package controltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/enforce/policy"
)

// agreement is every guard that has admission policies, and what they take as parameters.
type agreement struct {
	t      *testing.T
	guards []*agreed
	params []*unstructured.Unstructured
	// as is who sends objects to an API server.
	as *http.Client
	*generator
}

// agreed is a guard with how often its rules and its policies said the same.
type agreed struct {
	*bailey.Guard
	control  string
	policies []*admissionv1.ValidatingAdmissionPolicy
	bindings []*admissionv1.ValidatingAdmissionPolicyBinding
	// judged tells that its rules look at what its policies do: what they say is compared.
	judged            bool
	refused, admitted int
}

const seed = 20261126

// allowed are the registries of generated pods, with some that are not.
const allowed = `{apiVersion: v1, kind: ConfigMap, metadata: {name: ` + bailey.RegistriesParam + `, namespace: kube-system}, data: {registries: "registry.example.com\nregistry.example\ndocker.io/library/busybox\n"}}`

func newAgreement(t *testing.T, controls []*bailey.Control, cases string) *agreement {
	t.Helper()
	a := &agreement{t: t, generator: newGenerator(t, seed, controls, cases)}
	for _, c := range controls {
		for _, g := range c.Guards {
			policies, bindings := admissionPolicies(t, g)
			if len(policies) == 0 {
				continue
			}
			judged := slices.ContainsFunc(g.Covers, func(r *bailey.Rule) bool { return looksAtBad(t, policies, r) })
			a.guards = append(a.guards, &agreed{Guard: g, control: c.ID, policies: policies, bindings: bindings, judged: judged})
			a.addParams(paramsIn(t, []byte(allowed), policies))
			for _, r := range g.Covers {
				for _, bad := range r.Bad {
					a.addParams(paramsIn(t, []byte(bad), policies))
				}
			}
		}
	}
	if len(a.guards) == 0 {
		t.Fatal("no guard has a policy")
	}
	return a
}

// addParams adds those whose name is not taken.
func (a *agreement) addParams(more []*unstructured.Unstructured) {
	for _, u := range more {
		if !slices.ContainsFunc(a.params, func(p *unstructured.Unstructured) bool {
			return p.GetKind() == u.GetKind() && p.GetName() == u.GetName()
		}) {
			a.params = append(a.params, u)
		}
	}
}

func (a *agreement) policies() (all []*admissionv1.ValidatingAdmissionPolicy, bindings []*admissionv1.ValidatingAdmissionPolicyBinding) {
	for _, g := range a.guards {
		all, bindings = append(all, g.policies...), append(bindings, g.bindings...)
	}
	return all, bindings
}

// snapshot is the object with the parameters, as rules see them.
func (a *agreement) snapshot(text []byte) *bailey.Snapshot {
	facts := Facts(a.t, text)
	for _, p := range a.params {
		if param, err := json.Marshal(p.Object); err != nil {
			a.t.Fatal(err)
		} else {
			facts = append(facts, Facts(a.t, param)...)
		}
	}
	return caseSettings{version: bailey.LatestVersion}.snapshot(facts, nil)
}

// compare sets what each guard's policies refuse beside what its rules find. What is
// refused is nil for a policy of which nothing is known.
func (a *agreement) compare(o *unstructured.Unstructured, text []byte, refuses func(policy string) (refused bool, said string)) {
	s := a.snapshot(text)
	ref := bailey.Ref{Kind: bailey.KindOf(o.GetAPIVersion(), o.GetKind()), Namespace: o.GetNamespace(), Name: o.GetName()}
	request := creation(a.t, text)
	for _, g := range a.guards {
		if !g.judged || !slices.ContainsFunc(g.policies, func(p *admissionv1.ValidatingAdmissionPolicy) bool { return looksAt(p, request) }) {
			continue
		}
		finding, unknown := "", false
		for key, outcome := range evaluate(g.Covers, s).outcomes {
			if key.object == ref {
				unknown = unknown || outcome.kind == "unknown"
				if outcome.kind == "finding" {
					finding = key.rule
				}
			}
		}
		if unknown {
			continue
		}
		refused, said := false, ""
		for _, p := range g.policies {
			if no, why := refuses(p.Name); no {
				refused, said = true, why
			}
		}
		switch {
		case finding != "" && !refused:
			a.t.Errorf("%s: rule %s finds something in it, and guard %s admits it:\n%s", g.control, finding, g.Name, text)
		case finding == "" && refused:
			a.t.Errorf("%s: no covered rule finds anything in it, and guard %s says %q:\n%s", g.control, g.Name, said, text)
		case refused:
			g.refused++
		default:
			g.admitted++
		}
	}
}

// fewObjects are too few to want both answers of every guard.
const fewObjects = 1000

// report logs how often each guard was compared, and wants both answers of each, if there
// were objects enough.
func (a *agreement) report(objects int) {
	for _, g := range a.guards {
		if !g.judged {
			continue
		}
		a.t.Logf("%s %s: %d refused, %d admitted", g.control, g.Name, g.refused, g.admitted)
		if objects >= fewObjects && (g.refused == 0 || g.admitted == 0) {
			a.t.Errorf("%s %s: of %d objects %d refused and %d admitted: too little was tried", g.control, g.Name, objects, g.refused, g.admitted)
		}
	}
}

// Agree generates objects and wants the rules of every guard to find something in
// exactly those that the API server's evaluator refuses. The cases are files of the
// controls, by a pattern.
func Agree(t *testing.T, controls []*bailey.Control, cases string, objects int) {
	a := newAgreement(t, controls, cases)
	policies, bindings := a.policies()
	set := compile(t, Sample{Text: a.paramText(), settings: caseSettings{version: bailey.LatestVersion}}, policies, bindings)
	for range objects {
		o := a.next(t, "default")
		text, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		denials, undecided, err := set.Review(t.Context(), creation(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if len(undecided) > 0 {
			t.Fatalf("%v of\n%s", undecided, text)
		}
		a.compare(o, text, func(name string) (bool, string) {
			i := slices.IndexFunc(denials, func(d policy.Denial) bool { return d.Policy == name })
			if i < 0 {
				return false, ""
			}
			if denials[i].Failed {
				t.Errorf("policy %s fails: %s\n%s", name, denials[i].Message, text)
			}
			return true, denials[i].Message
		})
	}
	a.report(objects)
}

// paramText is the parameters as one text.
func (a *agreement) paramText() []byte {
	var b bytes.Buffer
	for _, p := range a.params {
		text, err := json.Marshal(p.Object)
		if err != nil {
			a.t.Fatal(err)
		}
		fmt.Fprintf(&b, "---\n%s\n", text)
	}
	return b.Bytes()
}

// AgreeLive puts every guard's policies in place on the API server together, and sends
// generated objects by dry-run until it has judged so many: once where the policies warn,
// which tells of each of them, and once where they deny. The rules of each guard must
// find something in exactly those that its policies refuse, and what is refused must be
// what some policy warned of. The control plane is the caller's own.
func AgreeLive(t *testing.T, cluster *devcluster.Cluster, controls []*bailey.Control, cases string, objects int) {
	a := newAgreement(t, controls, cases)
	a.as = WithoutGrants(t, cluster)
	warns, denies := devclustertest.NamespaceIn(t, cluster, nil), devclustertest.NamespaceIn(t, cluster, nil)
	a.install(cluster, warns, denies)
	judged, tried, refused := 0, 0, 0
	for ; judged < objects && tried < 5*objects; tried++ {
		o := a.next(t, warns)
		label(o, warns)
		text, err := json.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		code, said, warnings := a.send(cluster, o, text)
		if code != http.StatusCreated {
			if strings.Contains(said, "ValidatingAdmissionPolicy") {
				t.Fatalf("a policy that warns refused: %s\n%s", said, text)
			}
			continue // it is no object, or another plug-in has something against it
		}
		judged++
		complete := len(strings.Join(warnings, "")) < warningRunes
		warned := func(policy string) (bool, string) {
			i := slices.IndexFunc(warnings, func(w string) bool { return strings.Contains(w, "ValidatingAdmissionPolicy '"+policy+"'") })
			if i < 0 {
				return false, ""
			}
			return true, warnings[i]
		}
		if complete {
			a.compare(o, text, warned)
		}
		inForce := o.DeepCopy()
		if inForce.GetNamespace() != "" {
			inForce.SetNamespace(denies)
		}
		label(inForce, denies)
		again, err := json.Marshal(inForce.Object)
		if err != nil {
			t.Fatal(err)
		}
		code, said, _ = a.send(cluster, inForce, again)
		policies, _ := a.policies()
		by := slices.IndexFunc(policies, func(p *admissionv1.ValidatingAdmissionPolicy) bool {
			return strings.Contains(said, "ValidatingAdmissionPolicy '"+p.Name+"'")
		})
		told := slices.ContainsFunc(policies, func(p *admissionv1.ValidatingAdmissionPolicy) bool { no, _ := warned(p.Name); return no })
		switch {
		case code == http.StatusCreated && told:
			t.Errorf("the policies warn of it and admit it: %q\n%s", warnings, text)
		case code != http.StatusCreated && by < 0:
			t.Errorf("it was admitted with warnings, and is refused by somebody else: %s\n%s", said, text)
		case code != http.StatusCreated:
			refused++
			if no, _ := warned(policies[by].Name); !no && complete {
				t.Errorf("policy %s refuses what it does not warn of: %s\n%s", policies[by].Name, said, text)
			}
		}
	}
	t.Logf("%d objects made, %d of them judged: %d refused, %d admitted", tried, judged, refused, judged-refused)
	if judged < objects {
		t.Errorf("only %d of %d objects were such as a server takes", judged, tried)
	}
	a.report(judged)
}

// warningRunes is how much of warnings the API server gives whole; beyond it some are left out.
const warningRunes = 3500

func label(o *unstructured.Unstructured, value string) {
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[testLabel] = value
	o.SetLabels(labels)
}

// install creates the policies with two bindings each, and waits until all are in force.
func (a *agreement) install(cluster *devcluster.Cluster, warns, denies string) {
	const path = "/apis/admissionregistration.k8s.io/v1/"
	l := &live{t: a.t, cluster: cluster}
	for _, g := range a.guards {
		l.bindings = append(l.bindings, g.bindings...)
	}
	for _, p := range a.params {
		if !l.isLocal(p) { // what each namespace has is as its controller makes it
			l.create(pathOf(p), p.GetName(), p.Object)
		}
	}
	for _, g := range a.guards {
		for _, p := range g.policies {
			l.create(path+"validatingadmissionpolicies", p.Name, p)
		}
		for _, b := range g.bindings {
			// The server learns of bindings in this order: where one warns, its other denies.
			for _, in := range []struct {
				namespace string
				action    admissionv1.ValidationAction
			}{{denies, admissionv1.Deny}, {warns, admissionv1.Warn}} {
				b := b.DeepCopy()
				b.Name += "-" + in.namespace
				b.Spec.ValidationActions = []admissionv1.ValidationAction{in.action}
				b.Spec.MatchResources = &admissionv1.MatchResources{ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{testLabel: in.namespace}}}
				l.create(path+"validatingadmissionpolicybindings", b.Name, b)
			}
		}
	}
	for _, g := range a.guards {
		if g.judged {
			a.await(cluster, g, warns)
		}
	}
}

// await waits until the guard's policies warn of what is bad.
func (a *agreement) await(cluster *devcluster.Cluster, g *agreed, warns string) {
	l := &live{t: a.t, cluster: cluster, guard: g.Guard, policies: g.policies, namespace: warns}
	begin := time.Now()
	awaited := 0
	for _, document := range l.bads() {
		if len(evaluate(g.Covers, a.snapshot(document)).findings) == 0 {
			continue // with other parameters only
		}
		awaited++
		o := l.object(document)
		text, err := json.Marshal(o.Object)
		if err != nil {
			a.t.Fatal(err)
		}
		for _, _, warnings := a.send(cluster, o, text); !l.isRefusal(strings.Join(warnings, "\n")); _, _, warnings = a.send(cluster, o, text) {
			if time.Since(begin) > time.Minute {
				a.t.Fatalf("guard %s is not in force: the server says %q to %s", g.Name, warnings, text)
			}
			time.Sleep(50 * time.Millisecond) // polls the server's informers
		}
	}
	if awaited == 0 {
		a.t.Fatalf("guard %s: no Bad object of its rules is bad beside the parameters that are in place", g.Name)
	}
}

// send creates the object by dry-run, and gives the status, the message of a refusal and
// the warnings.
func (a *agreement) send(cluster *devcluster.Cluster, o *unstructured.Unstructured, text []byte) (code int, said string, warnings []string) {
	ctx, cancel := context.WithTimeout(a.t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, cluster.RESTHost+pathOf(o)+"?dryRun=All", bytes.NewReader(text))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := a.as.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		a.t.Fatal(err)
	}
	if response.StatusCode != http.StatusCreated {
		var status metav1.Status
		if json.Unmarshal(body, &status) != nil {
			a.t.Fatalf("%s: %s", response.Status, body)
		}
		said = status.Message
	}
	return response.StatusCode, said, response.Header.Values("Warning")
}
