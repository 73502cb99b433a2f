package prove

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
)

// reply is what the stand-in API server answers.
type reply struct {
	code int
	body string // a Status message, or an object's JSON
}

// standIn is an API server that answers pods by their name, and reviews by that of
// the user. What a real one says
// is tried elsewhere; here it must say what no real one does on demand.
func standIn(t *testing.T, answer func(name string, n int) reply) (*rest.Config, *[]string) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	count := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := strings.Contains(r.URL.Path, "/subjectaccessreviews")
		if !strings.Contains(r.URL.Path, "/pods") && !review {
			_, _ = io.WriteString(w, "{}")
			return
		}
		var pod struct {
			Metadata struct{ Name string }
			Spec     struct{ User string }
		}
		_ = json.NewDecoder(r.Body).Decode(&pod)
		if review {
			pod.Metadata.Name = pod.Spec.User
		}
		mu.Lock()
		asked = append(asked, r.Method+" "+r.URL.String()+" "+pod.Metadata.Name)
		count[pod.Metadata.Name]++
		reply := answer(pod.Metadata.Name, count[pod.Metadata.Name])
		mu.Unlock()
		w.WriteHeader(reply.code)
		if strings.HasPrefix(reply.body, "{") {
			_, _ = io.WriteString(w, reply.body)
			return
		}
		_ = json.NewEncoder(w).Encode(metav1.Status{Message: reply.body})
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}, &asked
}

func podStep(name string, refusers ...bailey.Refuser) bailey.Step {
	return bailey.Step{Refusers: refusers, Request: &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: "shop",
		Object: map[string]any{"metadata": map[string]any{"name": name}}}}
}

func runProbes(t *testing.T, config *rest.Config, change func(*Options), probes ...bailey.Probe) *Record {
	t.Helper()
	control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{{Name: "try", Danger: bailey.DangerDryRun, Scope: bailey.ScopeCluster,
		Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { return probes }}}}
	s := bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot()
	o := Options{Config: config, Folder: t.TempDir(), Repeat: 4, Rate: 10000}
	if change != nil {
		change(&o)
	}
	ran, err := Run(t.Context(), "run1", Plan(s, []*bailey.Control{control}, Choice{Worst: bailey.DangerDryRun}), o)
	if err != nil || len(ran.Records) != 1 {
		t.Fatalf("%d records, %v", len(ran.Records), err)
	}
	return ran.Records[0]
}

const podSecurityRefusal = `pods "p" is forbidden: violates PodSecurity "baseline:latest": privileged`

// TestOutcomes: one acceptance is enough to break; nothing counts as held but a
// refusal by whom the probe names, beside a twin that passed.
func TestOutcomes(t *testing.T) {
	always := func(twin, try reply) func(string, int) reply {
		return func(name string, _ int) reply {
			if name == "twin" {
				return twin
			}
			return try
		}
	}
	for name, c := range map[string]struct {
		answer func(string, int) reply
		mended string
		want   Outcome
		tried  int
		why    string
	}{
		"held":                 {always(reply{201, "{}"}, reply{403, podSecurityRefusal}), "", Held, 4, ""},
		"broken ends at once":  {always(reply{201, "{}"}, reply{201, "{}"}), "", Broken, 1, "accepted"},
		"the twin is refused":  {always(reply{403, podSecurityRefusal}, reply{403, podSecurityRefusal}), "", Inconclusive, 4, "twin"},
		"somebody else":        {always(reply{201, "{}"}, reply{403, `pods "p" is forbidden: exceeded quota: small`}), "", Inconclusive, 4, "not refused by PodSecurity"},
		"the server is broken": {always(reply{201, "{}"}, reply{500, "oh"}), "", Inconclusive, 4, "500"},
		"throttled":            {always(reply{201, "{}"}, reply{429, podSecurityRefusal}), "", Inconclusive, 4, "429"},
		"every fourth passes": {func(name string, n int) reply {
			return map[bool]reply{true: {201, "{}"}, false: {403, podSecurityRefusal}}[name == "twin" || n%4 == 0]
		}, "", Broken, 4, "accepted"},
		"put right":               {always(reply{201, "{}"}, reply{201, `{"spec":{"containers":[{"resources":{"requests":{"cpu":"1"}}}]}}`}), "spec.containers.0.resources.requests.cpu", Held, 4, ""},
		"accepted, not put right": {always(reply{201, "{}"}, reply{201, `{"spec":{"containers":[{}]}}`}), "spec.containers.0.resources.requests.cpu", Broken, 1, "accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			config, asked := standIn(t, c.answer)
			try := podStep("try", bailey.RefuserPodSecurity)
			try.Mended = c.mended
			record := runProbes(t, config, nil, bailey.Probe{Name: "n", Path: "p", Try: try, Twin: podStep("twin")})
			r := record.Results[0]
			if r.Outcome() != c.want || r.Tried != c.tried || r.Held+r.Broken+r.Inconclusive != r.Tried || (c.why == "") != (len(r.Why) == 0) || c.why != "" && !strings.Contains(r.Why[0], c.why) {
				t.Errorf("%s: %+v", r.Outcome(), r)
			}
			for _, request := range *asked {
				if !strings.HasPrefix(request, "POST /api/v1/namespaces/shop/pods?dryRun=All&fieldValidation=Strict ") {
					t.Errorf("asked %s", request)
				}
			}
		})
	}
}

// TestSharedTwin: probes with the same twin ask it once a round, and no more.
func TestSharedTwin(t *testing.T) {
	config, asked := standIn(t, func(name string, _ int) reply {
		if name == "twin" {
			return reply{201, "{}"}
		}
		return reply{403, podSecurityRefusal}
	})
	probe := func(name string) bailey.Probe {
		return bailey.Probe{Name: name, Try: podStep(name, bailey.RefuserPodSecurity), Twin: podStep("twin")}
	}
	runProbes(t, config, nil, probe("a"), probe("b"), probe("c"))
	twins := 0
	for _, request := range *asked {
		if strings.HasSuffix(request, " twin") {
			twins++
		}
	}
	if twins != 4 || len(*asked) != 4*4 {
		t.Errorf("%d twins of %d requests", twins, len(*asked))
	}
}

// TestGiven: where nobody claims to refuse, nothing is tried and nothing counts.
func TestGiven(t *testing.T) {
	for claimed, want := range map[int]Outcome{201: Unclaimed, 403: Held, 500: Inconclusive} {
		config, asked := standIn(t, func(name string, _ int) reply {
			switch name {
			case "given":
				return reply{claimed, podSecurityRefusal}
			case "twin":
				return reply{201, "{}"}
			}
			return reply{403, podSecurityRefusal}
		})
		given := podStep("given", bailey.RefuserPodSecurity)
		record := runProbes(t, config, nil, bailey.Probe{Name: "n", Given: &given, Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("twin")})
		if got := record.Results[0].Outcome(); got != want {
			t.Errorf("given %d: %s, %+v", claimed, got, record.Results[0])
		}
		if requests := map[int]int{201: givenTries, 500: 1}[claimed]; requests > 0 && len(*asked) != requests {
			t.Errorf("given %d: %d requests", claimed, len(*asked))
		}
		if paths := record.Evidence().Paths; (want == Unclaimed) != (len(paths) == 0) {
			t.Errorf("given %d: %+v", claimed, paths)
		}
		if unclaimed := record.Evidence().Unclaimed; (want == Unclaimed) != slices.Equal(unclaimed, []string{"n"}) {
			t.Errorf("given %d: not claimed is %q", claimed, unclaimed)
		}
	}
}

// TestGivenTwin: where what goes beside the forbidden is refused by itself, it cannot be
// told whether the platform claims to refuse the forbidden.
func TestGivenTwin(t *testing.T) {
	for code, want := range map[int]Outcome{201: Held, 403: Untold, 500: Inconclusive} {
		config, _ := standIn(t, func(name string, _ int) reply {
			switch name {
			case "beside":
				return reply{code, podSecurityRefusal}
			case "twin":
				return reply{201, "{}"}
			}
			return reply{403, podSecurityRefusal}
		})
		given, beside := podStep("given", bailey.RefuserPodSecurity), podStep("beside")
		record := runProbes(t, config, nil, bailey.Probe{Name: "n", Given: &given, GivenTwin: &beside, Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("twin")})
		if got := record.Results[0].Outcome(); got != want {
			t.Errorf("%d: %s, %+v", code, got, record.Results[0])
		}
	}
}

// TestSetupBinds: what the setup returns is what later steps use; a name that
// nobody bound makes the probe inconclusive, and nothing is sent.
func TestSetupBinds(t *testing.T) {
	config, asked := standIn(t, func(name string, _ int) reply {
		switch name {
		case "setup":
			return reply{201, `{"metadata":{"name":"setup","uid":"quo\"ted"}}`}
		case "try":
			return reply{403, podSecurityRefusal}
		}
		return reply{201, "{}"}
	})
	setup := podStep("setup")
	setup.Bind = map[string]string{"uid": "metadata.uid"}
	bound := bailey.Probe{Name: "bound", Setup: []bailey.Step{setup}, Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("twin-${uid}")}
	record := runProbes(t, config, nil, bound, bailey.Probe{Name: "unbound", Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("${nobody}")})
	if record.Results[0].Outcome() != Held || record.Results[1].Outcome() != Inconclusive || !strings.Contains(record.Results[1].Why[0], "${nobody}") {
		t.Errorf("%+v", record.Results)
	}
	if !strings.HasSuffix((*asked)[1], `twin-quo"ted`) {
		t.Errorf("%q", *asked)
	}
}

// TestWithin: a try with patience is asked again until it is refused.
func TestWithin(t *testing.T) {
	config, _ := standIn(t, func(name string, n int) reply {
		if name == "twin" || n < 2 {
			return reply{201, "{}"}
		}
		return reply{403, podSecurityRefusal}
	})
	try := podStep("try", bailey.RefuserPodSecurity)
	try.Within = 10 * time.Second
	record := runProbes(t, config, nil, bailey.Probe{Name: "n", Try: try, Twin: podStep("twin")})
	if record.Results[0].Outcome() != Held {
		t.Errorf("%+v", record.Results[0])
	}
}

// TestWithinIsOver: the patience is that of the probe, not of each try.
func TestWithinIsOver(t *testing.T) {
	config, _ := standIn(t, func(name string, n int) reply {
		switch {
		case name == "twin", n == 1, n == 3:
			return reply{201, "{}"}
		case n == 2:
			time.Sleep(time.Second) // beside the second that is waited, longer than the patience
		}
		return reply{403, podSecurityRefusal}
	})
	try := podStep("try", bailey.RefuserPodSecurity)
	try.Within = 1500 * time.Millisecond
	record := runProbes(t, config, nil, bailey.Probe{Name: "n", Try: try, Twin: podStep("twin")})
	if r := record.Results[0]; r.Held != 1 || r.Broken != 1 || r.Tried != 2 {
		t.Errorf("%+v", r)
	}
}

// TestStopSwitch: a file stops a run within seconds, and lets none begin.
func TestStopSwitch(t *testing.T) {
	stop := filepath.Join(t.TempDir(), "STOP")
	config, _ := standIn(t, func(name string, n int) reply {
		if n == 3 {
			if err := os.WriteFile(stop, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
		if name == "twin" {
			return reply{201, "{}"}
		}
		return reply{403, podSecurityRefusal}
	})
	control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{{Name: "try", Danger: bailey.DangerDryRun, Scope: bailey.ScopeCluster,
		Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
			return []bailey.Probe{{Name: "n", Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("twin")}}
		}}}}
	planned := Plan(bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot(), []*bailey.Control{control}, Choice{Worst: bailey.DangerDryRun})
	begin := time.Now()
	ran, err := Run(t.Context(), "run1", planned, Options{Config: config, Folder: t.TempDir(), Repeat: 1000, Rate: 20, Stop: stop})
	if !errors.Is(err, ErrStopped) || len(ran.Records) != 1 || ran.Records[0].Interrupted == "" || !ran.Records[0].Evidence().Interrupted {
		t.Errorf("%v %+v", err, ran.Records)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it ran on for %s", took)
	}
	if _, err := Run(t.Context(), "run2", planned, Options{Config: config, Folder: t.TempDir(), Stop: stop}); !errors.Is(err, ErrStopped) {
		t.Errorf("a run began while the switch was thrown: %v", err)
	}
}

// TestSickSystem: a platform that no longer answers ends the run.
func TestSickSystem(t *testing.T) {
	config, asked := standIn(t, func(string, int) reply { return reply{503, "no"} })
	control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{{Name: "try", Danger: bailey.DangerDryRun, Scope: bailey.ScopeCluster,
		Plan: func(*bailey.View, bailey.Ref) []bailey.Probe {
			return []bailey.Probe{{Name: "n", Try: podStep("try", bailey.RefuserPodSecurity), Twin: podStep("twin")}}
		}}}}
	planned := Plan(bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot(), []*bailey.Control{control}, Choice{Worst: bailey.DangerDryRun})
	_, err := Run(t.Context(), "run1", planned, Options{Config: config, Folder: t.TempDir(), Repeat: 1000, Rate: 10000})
	if !errors.Is(err, ErrSick) || len(*asked) > 2*sickLimit {
		t.Errorf("%v after %d requests", err, len(*asked))
	}
}

// TestReview: "no" is a refusal only if every authorizer could say it.
func TestReview(t *testing.T) {
	for body, want := range map[string]Outcome{
		`{"status":{"allowed":false}}`: Held,
		`{"status":{"allowed":false,"reason":"RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found"}}`:                            Held,
		`{"status":{"allowed":false,"evaluationError":"Post \"https://authorizer/\": dial tcp 10.0.0.9:443: connect: connection refused"}}`: Inconclusive,
		`{"status":{"allowed":true,"evaluationError":"a webhook failed"}}`:                                                                  Broken,
	} {
		config, _ := standIn(t, func(user string, _ int) reply {
			if user == "admin" {
				return reply{201, `{"status":{"allowed":true}}`}
			}
			return reply{201, body}
		})
		ask := func(user string, refusers ...bailey.Refuser) bailey.Step {
			return bailey.Step{Refusers: refusers, Review: &bailey.Review{User: user, Verb: "create", Resource: "pods", Namespace: "shop"}}
		}
		record := runProbes(t, config, nil, bailey.Probe{Name: "n", Try: ask("mallory", bailey.RefuserAuthorization), Twin: ask("admin")})
		if r := record.Results[0]; r.Outcome() != want || r.Broken == 0 && r.Tried != 4 {
			t.Errorf("%s: %+v", body, r)
		}
	}
}

// TestOutOfReach: addresses that cannot be reached are no sickness of the API server.
func TestOutOfReach(t *testing.T) {
	config, _ := standIn(t, func(string, int) reply { return reply{201, "{}"} })
	var probes []bailey.Probe
	for _, host := range []string{"a", "b", "c", "d"} {
		dial := bailey.Step{Task: &bailey.Task{Dial: &bailey.Dial{Address: host + ".invalid:443"}}, Refusers: []bailey.Refuser{bailey.RefuserNetwork}}
		probes = append(probes, bailey.Probe{Name: host, Try: dial, Twin: dial})
	}
	record := runProbes(t, config, func(o *Options) { o.Repeat = 16 }, probes...)
	if outcome, why := record.Verdict(); outcome != Inconclusive || record.Interrupted != "" || record.Results[3].Tried != 16 {
		t.Errorf("%s: %s, interrupted %q, %+v", outcome, why, record.Interrupted, record.Results)
	}
}

// TestPlanSkips: what is too dangerous, or has no place to act from, is named.
func TestPlanSkips(t *testing.T) {
	plan := func(*bailey.View, bailey.Ref) []bailey.Probe { return []bailey.Probe{{Name: "n"}} }
	control := &bailey.Control{ID: "test/a", Experiments: []*bailey.Experiment{
		{Name: "asks", Danger: bailey.DangerNone, Plan: plan},
		{Name: "makes", Danger: bailey.DangerIsolated, Plan: plan},
		{Name: "disturbs", Danger: bailey.DangerDisruptive, Plan: plan},
		{Name: "needs-a-node", Danger: bailey.DangerNone, Places: []bailey.Place{bailey.PlaceNode}, Plan: plan},
		{Name: "reads-unseen", Danger: bailey.DangerNone, Needs: []bailey.Kind{bailey.KindPod}, Plan: func(v *bailey.View, _ bailey.Ref) []bailey.Probe {
			v.List(bailey.KindPod, "")
			return []bailey.Probe{{Name: "n"}}
		}},
		{Name: "panics", Danger: bailey.DangerNone, Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { panic("oh") }},
		{Name: "nothing", Danger: bailey.DangerNone, Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { return nil }},
	}}
	got := map[string]string{}
	for _, u := range Plan(bailey.NewBuilder(bailey.Meta{}).Snapshot(), []*bailey.Control{control}, Choice{Worst: bailey.DangerDryRun}).Units {
		got[u.Experiment.Name] = u.Skipped
	}
	for name, part := range map[string]string{"makes": "--isolated", "disturbs": "--allow-disruptive", "needs-a-node": "--probe-image", "reads-unseen": "Pod was not seen", "panics": "oh"} {
		if !strings.Contains(got[name], part) {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	if why, planned := got["asks"]; !planned || why != "" {
		t.Errorf("asks: %q", why)
	}
	if _, planned := got["nothing"]; planned {
		t.Error("an experiment with nothing to try is in the plan")
	}
}
