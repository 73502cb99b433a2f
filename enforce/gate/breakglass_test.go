package gate

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// emergency is a gate with break-glass, a clock that can be set and who may grant.
type emergency struct {
	*Gate
	now     time.Time
	may     []string
	leases  []coordinationv1.Lease
	records []Record
	broken  error // of the ledger
}

func newEmergency(t *testing.T) *emergency {
	e := &emergency{now: time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC), may: []string{"anna"}}
	key := []byte(strings.Repeat("k", 32))
	recorder := NewRecorder("gate-0", discard, func(_ context.Context, records []Record) error {
		e.records = append(e.records, records...)
		return e.broken
	})
	e.Gate = newGate(t, Options{
		Trust: (&book{}).trust("1"), Now: func() time.Time { return e.now }, Record: recorder, RefusedFor: 1,
		Grants: &Grants{
			Key:  func() []byte { return key },
			List: func(context.Context, string) ([]coordinationv1.Lease, error) { return e.leases, nil },
			May: func(_ context.Context, who authenticationv1.UserInfo, namespace string) (bool, error) {
				return namespace == "shop" && slices.Contains(e.may, who.Username), nil
			},
		},
	})
	return e
}

const grantText = `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"fire","namespace":"shop","labels":{"gate.bailey.dev/breakglass":""},` +
	`"annotations":{"gate.bailey.dev/digest":"DIGEST","gate.bailey.dev/reason":"the build is down, INC-1234"}},"spec":{"leaseDurationSeconds":7200}}`

func leaseRequest(t *testing.T, user, object, old string) *admissionv1.AdmissionRequest {
	operation := admissionv1.Create
	if old != "" {
		operation = admissionv1.Update
	}
	r := request(t, operation, "coordination.k8s.io/v1", "Lease", object, old)
	r.UserInfo.Username = user
	return r
}

// grant makes one as the user, by way of both webhooks, and gives its text.
func (e *emergency) grant(t *testing.T, user, text string) (string, error) {
	t.Helper()
	a := e.Review(t.Context(), imagegate.SealWebhook, leaseRequest(t, user, text, ""))
	if !a.Allowed {
		return "", errors.New(a.Result.Message)
	}
	patch, err := jsonpatch.DecodePatch(a.Patch)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := patch.Apply([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if a := e.Review(t.Context(), imagegate.GrantWebhook, leaseRequest(t, user, string(sealed), "")); !a.Allowed {
		return "", errors.New(a.Result.Message)
	}
	return string(sealed), nil
}

func (e *emergency) hold(t *testing.T, text string) {
	t.Helper()
	var l coordinationv1.Lease
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatal(err)
	}
	e.leases = []coordinationv1.Lease{l}
}

func TestBreakglass(t *testing.T) {
	e := newEmergency(t)
	text := strings.Replace(grantText, "DIGEST", digest("b"), 1)
	if _, err := e.grant(t, "jane", text); err == nil || !strings.Contains(err.Error(), "does not hold the verb breakglass") {
		t.Fatalf("jane, who may not: %v", err)
	}
	sealed, err := e.grant(t, "anna", text)
	if err != nil {
		t.Fatal(err)
	}
	pod := podOf(t, bad+digest("b"))
	review := func() *admissionv1.AdmissionResponse {
		time.Sleep(time.Microsecond) // a refusal is remembered for a nanosecond here
		return e.Review(t.Context(), imagegate.ImagesWebhook, pod)
	}
	if a := review(); a.Allowed {
		t.Fatal("admitted without a grant")
	}
	e.hold(t, sealed)
	a := review()
	if !a.Allowed || len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "Lease shop/fire of anna until 2026-11-26T05:00:00Z: the build is down") || a.AuditAnnotations["breakglass"] == "" {
		t.Fatalf("%+v %+v", a, a.Result)
	}
	uses := 0
	for _, r := range e.records {
		if strings.HasSuffix(r.ID, imagegate.ImagesWebhook) && strings.Contains(string(r.Data), `"granted"`) && strings.Contains(string(r.Data), "anna") {
			uses++
		}
	}
	if uses != 1 {
		t.Errorf("%d records of one use", uses)
	}
	e.broken = errors.New("no space left on device")
	if a := review(); a.Allowed || !strings.Contains(a.Result.Message, "no space left") {
		t.Errorf("used without a record: %+v", a)
	}
	e.broken = nil
	if a := e.Review(t.Context(), imagegate.ImagesWebhook, podOf(t, bad+digest("c"))); a.Allowed {
		t.Error("another digest is admitted by it")
	}
	for name, change := range map[string]func(string) string{
		"another digest":    func(s string) string { return strings.ReplaceAll(s, digest("b"), digest("c")) },
		"another reason":    func(s string) string { return strings.Replace(s, "INC-1234", "INC-9999", 1) },
		"a longer time":     func(s string) string { return strings.Replace(s, "7200", "86400", 1) },
		"a later beginning": func(s string) string { return strings.Replace(s, "T03:00:00", "T04:00:00", 1) },
		"another grantor":   func(s string) string { return strings.ReplaceAll(s, "anna", "root") },
		"another name":      func(s string) string { return strings.ReplaceAll(s, `"fire"`, `"flood"`) },
		"no seal":           func(s string) string { return strings.ReplaceAll(s, "gate.bailey.dev/seal", "x") },
	} {
		forged := change(sealed)
		if forged == sealed {
			t.Fatalf("%s: nothing is changed in %s", name, sealed)
		}
		e.hold(t, forged)
		want := digest("b")
		if name == "another digest" {
			want = digest("c")
		}
		if a := e.Review(t.Context(), imagegate.ImagesWebhook, podOf(t, bad+want)); a.Allowed {
			t.Errorf("%s: the forged grant admits", name)
		}
		if name != "another name" { // which is what an update cannot change
			if a := e.Review(t.Context(), imagegate.GrantWebhook, leaseRequest(t, "anna", forged, sealed)); a.Allowed {
				t.Errorf("%s: the grant may be changed", name)
			}
		}
		if a := e.Review(t.Context(), imagegate.GrantWebhook, leaseRequest(t, "anna", forged, "")); a.Allowed {
			t.Errorf("%s: the forged grant may be made", name)
		}
	}
	// A copy in another namespace is a grant of whoever copies it, or none.
	r := leaseRequest(t, "jane", sealed, "")
	if a := e.Review(t.Context(), imagegate.SealWebhook, r); a.Allowed {
		t.Error("a copied annotation grants")
	}
	e.hold(t, strings.ReplaceAll(sealed, `"shop"`, `"other"`))
	pod.Namespace = "other"
	if a := review(); a.Allowed {
		t.Error("a grant of another namespace admits")
	}
	pod.Namespace = "shop"
	// An ordinary Lease does not become a grant.
	plain := strings.ReplaceAll(sealed, imagegate.GrantLabel, "x")
	if a := e.Review(t.Context(), imagegate.GrantWebhook, leaseRequest(t, "anna", sealed, plain)); a.Allowed {
		t.Error("a Lease may be made into a grant")
	}
	// Nor does one stay a grant when its time is over, or its grantor's right is gone.
	e.hold(t, sealed)
	if a := review(); !a.Allowed {
		t.Fatal(a.Result)
	}
	e.may = nil
	if a := review(); a.Allowed || !strings.Contains(a.Result.Message, "may not grant any more") {
		t.Errorf("%+v", a)
	}
	e.may = []string{"anna"}
	e.now = e.now.Add(2 * time.Hour)
	if a := review(); a.Allowed || !strings.Contains(a.Result.Message, "ended at 2026-11-26T05:00:00Z") {
		t.Errorf("%+v", a)
	}
}

func TestGrantsThatAreNone(t *testing.T) {
	e := newEmergency(t)
	text := strings.Replace(grantText, "DIGEST", digest("b"), 1)
	for why, change := range map[string][2]string{
		"digest":               {digest("b"), "sha256:b"},
		"10 to 1000 character": {"the build is down, INC-1234", "x"},
		"at most 86400":        {"7200", "86401"},
		"needs a name":         {`"name":"fire"`, `"generateName":"fire-"`},
		"leaseDurationSeconds": {`"leaseDurationSeconds":7200`, `"leaseTransitions":1`},
		"cannot be read":       {"7200", `"7200"`},
	} {
		if _, err := e.grant(t, "anna", strings.Replace(text, change[0], change[1], 1)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	e.o.Grants.Key = func() []byte { return nil }
	if _, err := e.grant(t, "anna", text); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("without a key: %v", err)
	}
	e.o.Grants = nil
	if _, err := e.grant(t, "anna", text); err == nil || !strings.Contains(err.Error(), "--ledger") {
		t.Errorf("without break-glass: %v", err)
	}
}
