package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// lonely finds objects with whose labels no Service of their namespace has anything to do: it
// needs a second object.
var lonely = &bailey.Control{ID: "test/company", Rules: []*bailey.Rule{{
	Name: "lonely", Severity: bailey.SeverityHigh, On: bailey.PodBearing, Needs: []bailey.Kind{bailey.KindService},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		for _, s := range v.List(bailey.KindService, f.Namespace) {
			if s.Labels["app"] == f.Labels["app"] {
				return nil
			}
		}
		return []bailey.Finding{{Field: "metadata.labels", Message: "no Service is for app " + f.Labels["app"]}}
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		return []bailey.Change{{Note: "make a Service"}}
	},
}}}

// town is a cluster in memory.
type town struct {
	mu       sync.Mutex
	services []string
	unseen   bool
	lost     bool // Services can not be read, though they may be
	err      error
	reads    int
	block    chan struct{} // readings wait until it is closed, if it is there
}

func (c *town) set(change func()) { c.mu.Lock(); defer c.mu.Unlock(); change() }

func (c *town) collect(ctx context.Context) (*bailey.Snapshot, error) {
	c.mu.Lock()
	block := c.block
	c.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	if c.unseen {
		b.Miss(bailey.Missing{Kind: bailey.KindService, Reason: bailey.ReasonForbidden, Hint: "allow list of services"})
	}
	if c.lost {
		b.Miss(bailey.Missing{Kind: bailey.KindService, Reason: bailey.ReasonUnreadable, Detail: "list services: 500"})
		return b.Snapshot(), c.err
	}
	for _, app := range c.services {
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindService, Namespace: "shop", Name: app}, Labels: map[string]string{"app": app}, Object: app})
	}
	return b.Snapshot(), c.err
}

func (c *town) rules() *Rules {
	return &Rules{Controls: []*bailey.Control{lonely}, Collect: c.collect, Every: time.Hour,
		Fact: func(o kruntime.Object, apiVersion, kind string) *bailey.Fact {
			m := o.(metav1.Object)
			return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindOf(apiVersion, kind), Namespace: m.GetNamespace(), Name: m.GetName()}, APIVersion: apiVersion, Labels: m.GetLabels(), Object: o}
		},
		Describe: func(fix []bailey.Change, _ bailey.Ref) string { return fix[0].Note },
	}
}

// ruled is a gate with the rule, which has read the town.
func ruled(t *testing.T, c *town, change func(*Rules)) *Gate {
	t.Helper()
	rules := c.rules()
	if change != nil {
		change(rules)
	}
	g := newGate(t, Options{Trust: (&book{}).trust("1"), Rules: rules})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); g.overlay.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if c.block == nil {
		await(t, g.overlay.tried)
	}
	return g
}

// labelled is an object with the label app.
func labelled(t *testing.T, kind bailey.Kind, app string) (apiVersion, name, object string) {
	apiVersion, name, object = wrapped(t, kind, `{"containers":[{"name":"a","image":"x"}]}`)
	return apiVersion, name, strings.Replace(object, `"metadata":{`, `"metadata":{"labels":{"app":"`+app+`"},`, 1)
}

// soon is a webhook's context that ends early, so that refusals do not wait.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestRules(t *testing.T) {
	g := ruled(t, &town{services: []string{"web"}}, nil)
	for _, kind := range bailey.PodBearing {
		apiVersion, name, right := labelled(t, kind, "web")
		_, _, wrong := labelled(t, kind, "db")
		_, _, worse := labelled(t, kind, "evil")
		for what, test := range map[string]struct {
			r     *admissionv1.AdmissionRequest
			admit bool
		}{
			"created":                    {request(t, admissionv1.Create, apiVersion, name, wrong, ""), false},
			"created, twin":              {request(t, admissionv1.Create, apiVersion, name, right, ""), true},
			"made wrong":                 {request(t, admissionv1.Update, apiVersion, name, wrong, right), false},
			"put right":                  {request(t, admissionv1.Update, apiVersion, name, right, wrong), true},
			"as wrong as it was":         {request(t, admissionv1.Update, apiVersion, name, wrong, wrong), true},
			"changed, and still wrong":   {request(t, admissionv1.Update, apiVersion, name, worse, wrong), true},
			"updated from nothing":       {request(t, admissionv1.Update, apiVersion, name, wrong, ""), false},
			"deleted":                    {request(t, admissionv1.Delete, apiVersion, name, "", wrong), true},
			"of another kind":            {request(t, admissionv1.Create, "v1", "ConfigMap", right, ""), false},
			"no object":                  {request(t, admissionv1.Create, apiVersion, name, "", ""), false},
			"an object of another place": {request(t, admissionv1.Create, apiVersion, name, strings.Replace(right, `"shop"`, `"other"`, 1), ""), false},
		} {
			a := g.Review(soon(t), imagegate.RulesWebhook, test.r)
			if a.Allowed != test.admit || len(a.Warnings) > 0 {
				t.Errorf("%s, %s: admitted %t: %+v, %v", kind, what, a.Allowed, a.Result, a.Warnings)
			}
			if what == "created" {
				for _, text := range []string{"rule test/company/lonely (high) at metadata.labels: no Service is for app db", "fix: make a Service", "bailey explain test/company/lonely", "the cluster was read 0s ago"} {
					if !strings.Contains(a.Result.Message, text) {
						t.Errorf("%s: it says %q, without %q", kind, a.Result.Message, text)
					}
				}
			}
		}
	}
	apiVersion, name, wrong := labelled(t, bailey.KindPod, "db")
	r := request(t, admissionv1.Create, apiVersion, name, wrong, "")
	r.Namespace = "kube-system"
	if a := g.Review(soon(t), imagegate.RulesWebhook, r); !a.Allowed {
		t.Errorf("kube-system is not exempt: %+v", a.Result)
	}
	r = request(t, admissionv1.Create, apiVersion, name, wrong, "")
	r.UserInfo.Username = "system:serviceaccount:kube-system:replicaset-controller"
	if a := g.Review(soon(t), imagegate.RulesWebhook, r); !a.Allowed {
		t.Errorf("what a controller makes is judged again: %+v", a.Result)
	}
	r.UserInfo.Username = "system:serviceaccount:shop:replicaset-controller"
	if a := g.Review(soon(t), imagegate.RulesWebhook, r); a.Allowed {
		t.Error("whoever is named like a controller is admitted")
	}
	if a := newGate(t, Options{Trust: (&book{}).trust("1")}).Review(soon(t), imagegate.RulesWebhook, r); a.Allowed || !strings.Contains(a.Result.Message, "--rules") {
		t.Errorf("a gate without rules: %+v", a)
	}
}

// TestRulesReadAgain: what was put in place after the cluster was read counts, since a
// refusal waits for a reading that is newer than its request.
func TestRulesReadAgain(t *testing.T) {
	c := &town{}
	g := ruled(t, c, nil)
	c.set(func() { c.services = []string{"db"} })
	apiVersion, name, object := labelled(t, bailey.KindPod, "db")
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
	defer cancel()
	if a := g.Review(ctx, imagegate.RulesWebhook, request(t, admissionv1.Create, apiVersion, name, object, "")); !a.Allowed {
		t.Errorf("%+v", a.Result)
	}
	_, _, wrong := labelled(t, bailey.KindPod, "evil")
	before := time.Now()
	if a := g.Review(ctx, imagegate.RulesWebhook, request(t, admissionv1.Create, apiVersion, name, wrong, "")); a.Allowed {
		t.Error("it is admitted when the newer reading says the same")
	}
	if c.reads > 3 || time.Since(before) < readAgain/2 {
		t.Errorf("%d readings", c.reads)
	}
}

func TestRulesUnknown(t *testing.T) {
	apiVersion, name, object := labelled(t, bailey.KindPod, "db")
	blocked := make(chan struct{})
	t.Cleanup(func() { close(blocked) })
	for what, test := range map[string]struct {
		town        *town
		refuseStale bool
		admit       bool
		says        string
	}{
		"not seen":                {&town{unseen: true}, false, true, "test/company: Service was not seen (forbidden); hint: allow list of services"},
		"not seen, fail closed":   {&town{unseen: true}, true, false, "test/company: Service was not seen (forbidden); hint: allow list of services"},
		"lost":                    {&town{lost: true}, false, true, "test/company: Service was not seen (unreadable)"},
		"lost, fail closed":       {&town{lost: true}, true, false, "test/company: Service was not seen (unreadable)"},
		"unreadable":              {&town{err: errors.New("connection refused")}, false, true, "test/company: the cluster could not be read: connection refused"},
		"unreadable, fail closed": {&town{err: errors.New("connection refused")}, true, false, "the cluster could not be read: connection refused"},
		"not read yet":            {&town{block: blocked}, false, true, "test/company: the cluster was not read yet"},
	} {
		t.Run(what, func(t *testing.T) {
			var records sync.Map
			g := ruled(t, test.town, func(r *Rules) { r.RefuseStale = test.refuseStale })
			g.o.Record = NewRecorder("test", discard, func(_ context.Context, all []Record) error {
				for _, r := range all {
					records.Store(r.ID, string(r.Data))
				}
				return nil
			})
			r := request(t, admissionv1.Create, apiVersion, name, object, "")
			a := g.Review(soon(t), imagegate.RulesWebhook, r)
			said := fmt.Sprint(a.Warnings)
			if a.Result != nil {
				said = a.Result.Message
			}
			if a.Allowed != test.admit || !strings.Contains(said, test.says) {
				t.Errorf("admitted %t: %s", a.Allowed, said)
			}
			if err := g.o.Record.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			data, _ := records.Load("gate/" + string(r.UID) + "/" + imagegate.RulesWebhook)
			if text, _ := data.(string); !strings.Contains(text, `"unjudged":["`) {
				t.Errorf("the decision log has %q", text)
			}
		})
	}
}

// TestRulesStale: a reading that is too old is none.
func TestRulesStale(t *testing.T) {
	c := &town{services: []string{"web"}}
	g := ruled(t, c, func(r *Rules) { r.Every, r.RefuseStale = 50*time.Millisecond, true })
	c.set(func() { c.err = errors.New("connection refused") })
	apiVersion, name, object := labelled(t, bailey.KindPod, "web")
	var a *admissionv1.AdmissionResponse
	await(t, func() bool {
		a = g.Review(soon(t), imagegate.RulesWebhook, request(t, admissionv1.Create, apiVersion, name, object, ""))
		return !a.Allowed
	})
	if a.Result.Code != 503 || !strings.Contains(a.Result.Message, "ago, and could not be since: connection refused") {
		t.Errorf("%+v", a.Result)
	}
}

// TestRulesLost: a reading in which a kind that a rule needs could not be read is none, as
// long as there is a whole one that is not too old.
func TestRulesLost(t *testing.T) {
	c := &town{services: []string{"web"}}
	g := ruled(t, c, func(r *Rules) { r.Every, r.RefuseStale = time.Second, true })
	c.set(func() { c.lost = true })
	await(t, func() bool { return g.overlay.failure() != nil })
	if err := g.overlay.failure(); !strings.Contains(err.Error(), "Service could not be read: list services: 500") {
		t.Error(err)
	}
	apiVersion, name, right := labelled(t, bailey.KindPod, "web")
	_, _, wrong := labelled(t, bailey.KindPod, "db")
	review := func(object string) *admissionv1.AdmissionResponse {
		return g.Review(soon(t), imagegate.RulesWebhook, request(t, admissionv1.Create, apiVersion, name, object, ""))
	}
	if a := review(right); !a.Allowed || len(a.Warnings) > 0 {
		t.Errorf("by the reading before: %+v, %q", a.Result, a.Warnings)
	}
	if a := review(wrong); a.Allowed || !strings.Contains(a.Result.Message, "no Service is for app db") || !strings.Contains(a.Result.Message, "the cluster was read 1s ago") {
		t.Errorf("by the reading before: %+v", a.Result)
	}
	var a *admissionv1.AdmissionResponse
	await(t, func() bool { a = review(right); return !a.Allowed })
	if a.Result.Code != 503 || !strings.Contains(a.Result.Message, "Service could not be read") && !strings.Contains(a.Result.Message, "Service was not seen (unreadable)") {
		t.Errorf("when it is too old: %+v", a.Result)
	}
	c.set(func() { c.lost = false })
	await(t, func() bool { return review(right).Allowed })
}

// TestRulesLostForGood: where a kind can never be read, the cluster is not listed without a
// pause, however many refusals want it newer; once it can, that is seen before long.
func TestRulesLostForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes, every = 10 * time.Second, 5 * time.Minute
		c := &town{lost: true}
		rules := c.rules()
		rules.Every = every
		rules.Collect = func(ctx context.Context) (*bailey.Snapshot, error) {
			time.Sleep(takes)
			return c.collect(ctx)
		}
		v := newGate(t, Options{Trust: (&book{}).trust("1"), Rules: rules}).overlay
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); v.run(ctx) }()
		defer func() { cancel(); <-done }()
		for end := time.Now().Add(time.Hour); time.Now().Before(end); {
			soon, cancel := context.WithTimeout(ctx, time.Second)
			if r := v.newer(soon, time.Now()); r != nil {
				t.Fatal("a reading that began before the moment is newer")
			}
			<-soon.Done()
			cancel()
		}
		c.mu.Lock()
		reads := c.reads
		c.lost, c.services = false, []string{"web"}
		c.mu.Unlock()
		// After 50, 100, 200 and then 300 s.
		if reads < 10 || reads > 14 {
			t.Errorf("%d readings in an hour", reads)
		}
		time.Sleep(every + 2*takes)
		if err := v.failure(); err != nil {
			t.Errorf("it can be read: %v", err)
		}
		// And a refusal has the next one soon again.
		enough, end := context.WithTimeout(ctx, readShare*takes+2*takes)
		defer end()
		if v.newer(enough, time.Now()) == nil {
			t.Error("no newer reading is to be had")
		}
	})
}

// TestRulesWaived: a finding that a waiver takes in does not refuse, and the requester is
// told; one that has expired does not count, and is named.
func TestRulesWaived(t *testing.T) {
	now := time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)
	waiver := bailey.Waiver{Rule: "test/company/lonely", Kind: "Pod", Namespace: "shop", Reason: "it is moved", Owner: "jane", Expires: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)}
	var waivers []bailey.Waiver
	g := ruled(t, &town{}, func(r *Rules) { r.Waivers = func() []bailey.Waiver { return waivers } })
	g.o.Now = func() time.Time { return now }
	records := map[string]string{}
	g.o.Record = NewRecorder("test", discard, func(_ context.Context, all []Record) error {
		for _, r := range all {
			records[r.ID] = string(r.Data)
		}
		return nil
	})
	apiVersion, name, object := labelled(t, bailey.KindPod, "db")
	review := func(change func(*bailey.Waiver)) *admissionv1.AdmissionResponse {
		w := waiver
		change(&w)
		waivers = []bailey.Waiver{w}
		return g.Review(soon(t), imagegate.RulesWebhook, request(t, admissionv1.Create, apiVersion, name, object, ""))
	}
	a := review(func(*bailey.Waiver) {})
	if !a.Allowed || len(a.Warnings) != 1 || a.Warnings[0] != "rule test/company/lonely is waived until 2027-01-31 by jane: it is moved" {
		t.Errorf("%+v, %q", a.Result, a.Warnings)
	}
	waivedUID := string(a.UID)
	for what, change := range map[string]func(*bailey.Waiver){
		"of another namespace": func(w *bailey.Waiver) { w.Namespace = "other" },
		"of another kind":      func(w *bailey.Waiver) { w.Kind = "Deployment" },
		"of another rule":      func(w *bailey.Waiver) { w.Rule = "test/company/other" },
	} {
		if a := review(change); a.Allowed || strings.Contains(a.Result.Message, "waiver") {
			t.Errorf("%s: %+v, %q", what, a.Result, a.Warnings)
		}
	}
	if a := review(func(w *bailey.Waiver) { w.Expires = now }); a.Allowed || len(a.Warnings) > 0 || !strings.Contains(a.Result.Message, "its waiver by jane ended with 2027-01-15T12:00:00Z") {
		t.Errorf("expired: %+v, %q", a.Result, a.Warnings)
	}
	if err := g.o.Record.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := records["gate/"+waivedUID+"/"+imagegate.RulesWebhook]; !strings.Contains(text, `"waiver":{"rule":"test/company/lonely","owner":"jane"`) || !strings.Contains(text, `"decision":"admitted"`) {
		t.Errorf("the decision log has %q", text)
	}
}

// TestRulesOnEverySeed sends the fuzz target's seeds, through the server.
func TestRulesOnEverySeed(t *testing.T) {
	s := NewServer(ruled(t, &town{services: []string{""}}, nil), ServerOptions{})
	for _, body := range seeds(t) {
		if a := post(t, s, imagegate.RulesPath, body); a == nil || !a.Allowed {
			t.Errorf("%+v: %s", a, body)
		}
	}
}

// FuzzRules wants of every review an answer that no defect made.
func FuzzRules(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	g := newGate(f, Options{Trust: (&book{}).trust("1"), Rules: (&town{}).rules()})
	g.overlay.first = true // and nothing was read: no refusal waits for a newer reading
	s := NewServer(g, ServerOptions{})
	f.Fuzz(func(t *testing.T, body []byte) {
		a := post(t, s, imagegate.RulesPath, body)
		if a != nil && (a.Result != nil && strings.Contains(a.Result.Message, "defect") || strings.Contains(fmt.Sprint(a.Warnings), "defect")) {
			t.Fatalf("%+v: %s", a, body)
		}
	})
}
