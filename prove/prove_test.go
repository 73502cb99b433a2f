package prove

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
)

// TestRefuser: who refused is told from the refusal's own form, not from words
// that a policy or a webhook puts into its message.
func TestRefuser(t *testing.T) {
	for name, c := range map[string]struct {
		code    int
		message string
		want    bailey.Refuser
	}{
		"Pod Security": {403, `pods "p" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`, bailey.RefuserPodSecurity},
		"a policy that speaks of Pod Security": {403,
			`pods "p" is forbidden: ValidatingAdmissionPolicy 'pss' with binding 'all' denied request: it violates PodSecurity "restricted"`, bailey.RefuserPolicy},
		"a webhook that speaks of Pod Security": {403,
			`admission webhook "validate.example.com" denied the request: pods "p" is forbidden: violates PodSecurity "restricted"`, bailey.RefuserWebhook},
		"a webhook that speaks of a policy": {400,
			`admission webhook "a.example.com" denied the request: ValidatingAdmissionPolicy 'x' denied request`, bailey.RefuserWebhook},
		"quota":         {403, `pods "p" is forbidden: exceeded quota: small, requested: pods=1`, bailey.RefuserQuota},
		"authorization": {403, `pods is forbidden: User "bob" cannot create resource "pods" in API group "" in the namespace "a"`, bailey.RefuserAuthorization},
		"conflict":      {409, `violates PodSecurity `, ""},
		"throttling":    {429, `pods "p" is forbidden: violates PodSecurity "x"`, ""},
		"a timeout":     {504, `admission webhook "a" denied the request`, ""},
		"schema":        {422, `Pod "p" is invalid: spec.containers: violates PodSecurity `, ""},
	} {
		a := answer{code: c.code, status: metav1.Status{Message: c.message}}
		if got := a.refuser(); got != c.want {
			t.Errorf("%s: refused by %q, want %q", name, got, c.want)
		}
	}
}

// TestOutcomes runs probes against a stand-in API server that answers the try
// and its twin as it is told.
func TestOutcomes(t *testing.T) {
	const refusal = `pods "p" is forbidden: violates PodSecurity "baseline:latest": privileged`
	type reply struct {
		code    int
		message string
	}
	for name, c := range map[string]struct {
		twin, try reply
		want      Outcome
		tried     int
		why       string
	}{
		"held":                 {reply{201, ""}, reply{403, refusal}, Held, 3, ""},
		"broken ends at once":  {reply{201, ""}, reply{201, ""}, Broken, 1, "accepted"},
		"the twin is refused":  {reply{403, refusal}, reply{403, refusal}, Inconclusive, 3, "twin"},
		"somebody else":        {reply{201, ""}, reply{403, "exceeded quota: small"}, Inconclusive, 3, "not refused by PodSecurity"},
		"the server is broken": {reply{201, ""}, reply{500, "oh"}, Inconclusive, 3, "500"},
	} {
		var requests []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			requests = append(requests, r.Method+" "+r.URL.String())
			answer := c.try
			if strings.Contains(string(body), "twin") {
				answer = c.twin
			}
			w.WriteHeader(answer.code)
			_ = json.NewEncoder(w).Encode(metav1.Status{Message: answer.message})
		}))
		prober, err := NewProber(&rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		prober.Repeat = 3
		step := func(name string) bailey.Step {
			return bailey.Step{Verb: "create", APIVersion: "v1", Resource: "pods", Namespace: "shop", Object: map[string]any{"metadata": map[string]any{"name": name}}}
		}
		probe := bailey.Probe{Try: step("try"), Twin: step("twin")}
		probe.Try.Refuser = bailey.RefuserPodSecurity
		x := &bailey.Experiment{Name: "try", Danger: bailey.DangerDryRun, Plan: func(*bailey.View, bailey.Ref) []bailey.Probe { return []bailey.Probe{probe} }}
		results, err := prober.Run(t.Context(), bailey.NewBuilder(bailey.Meta{At: time.Now()}).Snapshot(), x, []bailey.Ref{{Name: "shop"}})
		server.Close()
		if err != nil || len(results) != 1 {
			t.Fatalf("%s: %v, %v", name, results, err)
		}
		if r := results[0]; r.Outcome() != c.want || r.Tried != c.tried || r.Held+r.Broken+r.Inconclusive != r.Tried || !strings.Contains(r.Why, c.why) || (c.why == "") != (r.Why == "") {
			t.Errorf("%s: %s, %+v", name, r.Outcome(), r)
		}
		for _, request := range requests {
			if request != "POST /api/v1/namespaces/shop/pods?dryRun=All&fieldValidation=Strict" {
				t.Errorf("%s: asked %s", name, request)
			}
		}
	}
}

// TestRunRefusesDanger: what does more than dry-run is not run.
func TestRunRefusesDanger(t *testing.T) {
	x := &bailey.Experiment{Name: "kill", Danger: bailey.DangerDisruptive}
	if _, err := (&Prober{}).Run(t.Context(), bailey.NewBuilder(bailey.Meta{}).Snapshot(), x, nil); err == nil {
		t.Error("a disruptive experiment was run")
	}
}
