package gate

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// places are the ways in which a pod's spec names an image.
var places = map[string]string{
	"container":                  `{"containers":[{"name":"a","image":"IMAGE"}]}`,
	"second container":           `{"containers":[{"name":"a","image":"GOOD"},{"name":"b","image":"IMAGE"}]}`,
	"init container":             `{"containers":[{"name":"a","image":"GOOD"}],"initContainers":[{"name":"i","image":"IMAGE"}]}`,
	"sidecar":                    `{"containers":[{"name":"a","image":"GOOD"}],"initContainers":[{"name":"s","restartPolicy":"Always","image":"IMAGE"}]}`,
	"ephemeral container":        `{"containers":[{"name":"a","image":"GOOD"}],"ephemeralContainers":[{"name":"e","image":"IMAGE"}]}`,
	"image volume":               `{"containers":[{"name":"a","image":"GOOD"}],"volumes":[{"name":"v","image":{"reference":"IMAGE","pullPolicy":"Always"}}]}`,
	"a place of a newer version": `{"containers":[{"name":"a","image":"GOOD"}],"bootContainers":[{"name":"n","image":"IMAGE"}]}`,
}

func filled(spec, image string) string {
	return strings.NewReplacer("IMAGE", image, "GOOD", good+digest("a")).Replace(spec)
}

// TestEveryPath tries an image that nobody vouches for in every kind, place and operation,
// beside a twin that is vouched for.
func TestEveryPath(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true}}
	g := newGate(t, Options{Trust: b.trust("1")})
	for _, kind := range bailey.PodBearing {
		for place, spec := range places {
			newer := strings.HasPrefix(place, "a place")
			apiVersion, name, wrong := wrapped(t, kind, filled(spec, bad+digest("b")))
			_, _, right := wrapped(t, kind, filled(spec, good+digest("a")))
			_, _, before := wrapped(t, kind, `{"containers":[{"name":"a","image":"`+good+digest("a")+`"}]}`)
			for what, test := range map[string]struct {
				r     *admissionv1.AdmissionRequest
				admit bool
			}{
				"created":              {request(t, admissionv1.Create, apiVersion, name, wrong, ""), false},
				"created, twin":        {request(t, admissionv1.Create, apiVersion, name, right, ""), !newer},
				"updated":              {request(t, admissionv1.Update, apiVersion, name, wrong, before), false},
				"updated, twin":        {request(t, admissionv1.Update, apiVersion, name, right, before), !newer},
				"left as it was":       {request(t, admissionv1.Update, apiVersion, name, wrong, wrong), !newer},
				"updated from nothing": {request(t, admissionv1.Update, apiVersion, name, wrong, ""), false},
				"deleted":              {request(t, admissionv1.Delete, apiVersion, name, "", wrong), true},
			} {
				a := g.Review(t.Context(), imagegate.ImagesWebhook, test.r)
				if a.Allowed != test.admit {
					t.Errorf("%s, %s, %s: admitted %t: %+v", kind, place, what, a.Allowed, a.Result)
				}
				if !a.Allowed && !newer && (!strings.Contains(a.Result.Message, bad) || !strings.Contains(a.Result.Message, "rule shop") || !strings.Contains(a.Result.Message, "bailey sign "+bad)) {
					t.Errorf("%s, %s, %s: nobody can act on %q", kind, place, what, a.Result.Message)
				}
			}
		}
	}
}

// An image that moves to another container is another one: what held a tag by a name
// before the gate came must not come in again under another.
func TestUpdateMovesAnImage(t *testing.T) {
	g := newGate(t, Options{Trust: (&book{}).trust("1")})
	apiVersion, kind, before := wrapped(t, bailey.KindDeployment, `{"containers":[{"name":"a","image":"old:1"}]}`)
	for name, test := range map[string]struct {
		spec  string
		admit bool
	}{
		"reordered, with something else changed": {`{"hostNetwork":true,"containers":[{"name":"a","image":"old:1"}]}`, true},
		"another container":                      {`{"containers":[{"name":"b","image":"old:1"}]}`, false},
		"an init container":                      {`{"containers":[{"name":"a","image":"old:1"}],"initContainers":[{"name":"a","image":"old:1"}]}`, false},
		"a volume":                               {`{"containers":[{"name":"a","image":"old:1"}],"volumes":[{"name":"a","image":{"reference":"old:1"}}]}`, false},
	} {
		_, _, after := wrapped(t, bailey.KindDeployment, test.spec)
		if a := g.Review(t.Context(), imagegate.ImagesWebhook, request(t, admissionv1.Update, apiVersion, kind, after, before)); a.Allowed != test.admit {
			t.Errorf("%s: admitted %t: %+v", name, a.Allowed, a.Result)
		}
	}
}

// TestOddRequests: what the gate does not know, it refuses.
func TestOddRequests(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true}}
	g := newGate(t, Options{Trust: b.trust("1")})
	_, _, pod := wrapped(t, bailey.KindPod, filled(places["container"], good+digest("a")))
	many := `{"containers":[` + strings.Repeat(`{"name":"a","image":"`+good+digest("a")+`"},`, maxImages) + `{"name":"a","image":"` + good + digest("a") + `"}]}`
	_, _, crowd := wrapped(t, bailey.KindPod, many)
	for name, test := range map[string]struct {
		r      *admissionv1.AdmissionRequest
		change func(*admissionv1.AdmissionRequest)
		why    string // admitted if empty
	}{
		"as it should be":             {r: request(t, admissionv1.Create, "v1", "Pod", pod, "")},
		"a kind that bears no pods":   {r: request(t, admissionv1.Create, "v1", "ConfigMap", `{"apiVersion":"v1","kind":"ConfigMap"}`, ""), why: "does not know objects"},
		"a version from the future":   {r: request(t, admissionv1.Create, "apps/v2", "Deployment", pod, ""), why: "does not know objects"},
		"a kind under another group":  {r: request(t, admissionv1.Create, "example.com/v1", "Pod", pod, ""), why: "does not know objects"},
		"another object than is told": {r: request(t, admissionv1.Create, "apps/v1", "Deployment", pod, ""), why: "its object is a \"Pod\""},
		"no object":                   {r: request(t, admissionv1.Create, "v1", "Pod", "", ""), why: "holds no object"},
		"null":                        {r: request(t, admissionv1.Create, "v1", "Pod", "null", ""), why: "its object is a \"\""},
		"no JSON":                     {r: request(t, admissionv1.Create, "v1", "Pod", "{", ""), why: "cannot be read"},
		"a list for a text":           {r: request(t, admissionv1.Create, "v1", "Pod", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":["a"]}]}}`, ""), why: "cannot be read"},
		"a connection":                {r: request(t, admissionv1.Connect, "v1", "Pod", pod, ""), why: "operation"},
		"no namespace":                {r: request(t, admissionv1.Create, "v1", "Pod", pod, ""), change: func(r *admissionv1.AdmissionRequest) { r.Namespace = "" }, why: "names no namespace"},
		"the gate's own namespace":    {r: request(t, admissionv1.Create, "v1", "Pod", "{", ""), change: func(r *admissionv1.AdmissionRequest) { r.Namespace = "bailey" }},
		"the control plane's":         {r: request(t, admissionv1.Create, "v1", "Pod", "{", ""), change: func(r *admissionv1.AdmissionRequest) { r.Namespace = "kube-system" }},
		"a name that looks like it":   {r: request(t, admissionv1.Create, "v1", "Pod", "{", ""), change: func(r *admissionv1.AdmissionRequest) { r.Namespace = "kube-system-2" }, why: "cannot be read"},
		"a crowd":                     {r: request(t, admissionv1.Create, "v1", "Pod", crowd, ""), why: "more than 500"},
		"no pods at all":              {r: request(t, admissionv1.Create, "v1", "ReplicationController", `{"apiVersion":"v1","kind":"ReplicationController","spec":{}}`, "")},
		"a pod without an image":      {r: request(t, admissionv1.Create, "v1", "Pod", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a"}]}}`, ""), why: "is empty"},
		"a reference that is none":    {r: request(t, admissionv1.Create, "v1", "Pod", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","image":"A/B"}]}}`, ""), why: "upper-case"},
		"a tag that was not pinned":   {r: request(t, admissionv1.Create, "v1", "Pod", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","image":"a:1"}]}}`, ""), why: "names no digest"},
		"a template to be filled in":  {r: request(t, admissionv1.Create, "apps/v1", "Deployment", `{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"containers":[{"name":"istio-proxy","image":"auto"},{"name":"a"}]}}}}`, "")},
		"and a pod that was not":      {r: request(t, admissionv1.Create, "v1", "Pod", `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"istio-proxy","image":"auto"}]}}`, ""), why: "names no digest"},
	} {
		if test.change != nil {
			test.change(test.r)
		}
		a := g.Review(t.Context(), imagegate.ImagesWebhook, test.r)
		if a.Allowed != (test.why == "") || !a.Allowed && !strings.Contains(a.Result.Message, test.why) {
			t.Errorf("%s: admitted %t: %+v", name, a.Allowed, a.Result)
		}
	}
	if a := g.Review(t.Context(), "other.example.com", request(t, admissionv1.Create, "v1", "Pod", pod, "")); a.Allowed {
		t.Error("a webhook that is none admits")
	}
}

// TestPin holds the patch to the object that it gives: every tag becomes the digest that
// it has, and that is what is judged.
func TestPin(t *testing.T) {
	b := &book{good: map[string]bool{digest("a"): true}, tags: map[string]string{"registry.example.com/shop/web:1": digest("a"), "docker.io/library/nginx:latest": digest("b")}}
	g := newGate(t, Options{Trust: b.trust("1")})
	pinPods := newGate(t, Options{Trust: b.trust("1"), PinPodsOnly: true})
	for _, kind := range bailey.PodBearing {
		for place, spec := range places {
			if strings.HasPrefix(place, "a place") {
				continue
			}
			apiVersion, name, object := wrapped(t, kind, filled(spec, "registry.example.com/shop/web:1"))
			r := request(t, admissionv1.Create, apiVersion, name, object, "")
			a := g.Review(t.Context(), imagegate.PinWebhook, r)
			after := patched(t, object, a)
			_, _, want := wrapped(t, kind, filled(spec, "registry.example.com/shop/web:1@"+digest("a")))
			if !jsonpatch.Equal(after, []byte(want)) {
				t.Errorf("%s, %s: pinned to\n%s", kind, place, after)
			}
			if a := g.Review(t.Context(), imagegate.ImagesWebhook, request(t, admissionv1.Create, apiVersion, name, string(after), "")); !a.Allowed {
				t.Errorf("%s, %s: what was pinned is refused: %s", kind, place, a.Result.Message)
			}
			if a := pinPods.Review(t.Context(), imagegate.PinWebhook, r); !a.Allowed || (len(a.Patch) > 0) != (kind == bailey.KindPod) {
				t.Errorf("%s, %s: with --pin pods the patch is %s", kind, place, a.Patch)
			}
			// A template that keeps its tag is judged by what the tag is now.
			if a := pinPods.Review(t.Context(), imagegate.ImagesWebhook, r); a.Allowed != (kind != bailey.KindPod) {
				t.Errorf("%s, %s: with its tag it is admitted: %t", kind, place, a.Allowed)
			}
		}
	}
	apiVersion, kind, object := wrapped(t, bailey.KindPod, `{"containers":[{"name":"a","image":"nginx"}]}`)
	if after := patched(t, object, g.Review(t.Context(), imagegate.PinWebhook, request(t, admissionv1.Create, apiVersion, kind, object, ""))); !strings.Contains(string(after), `"nginx:latest@`+digest("b")) {
		t.Errorf("%s", after)
	}
	apiVersion, kind, object = wrapped(t, bailey.KindPod, `{"containers":[{"name":"a","image":"nginx:7"}]}`)
	if a := g.Review(t.Context(), imagegate.PinWebhook, request(t, admissionv1.Create, apiVersion, kind, object, "")); a.Allowed || !strings.Contains(a.Result.Message, "not in the registry") {
		t.Errorf("a tag that is not there: %+v", a)
	}
}

func patched(t *testing.T, object string, a *admissionv1.AdmissionResponse) []byte {
	t.Helper()
	if !a.Allowed {
		t.Fatalf("refused: %+v", a.Result)
	}
	patch, err := jsonpatch.DecodePatch(a.Patch)
	if err != nil {
		t.Fatalf("%v: %s", err, a.Patch)
	}
	after, err := patch.Apply([]byte(object))
	if err != nil {
		t.Fatal(err)
	}
	return after
}

// TestPanic: a defect of the gate refuses.
func TestPanic(t *testing.T) {
	trust := (&book{}).trust("1")
	trust.Verify = nil
	g := newGate(t, Options{Trust: trust})
	apiVersion, kind, object := wrapped(t, bailey.KindPod, filled(places["second container"], good+digest("a")))
	r := request(t, admissionv1.Create, apiVersion, kind, object, "")
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); a.Allowed || !strings.Contains(a.Result.Message, "defect of Bailey") {
		t.Errorf("%+v", a)
	}
	trust = (&book{}).trust("1")
	trust.Rule = nil
	g.SetTrust(trust)
	if a := g.Review(t.Context(), imagegate.ImagesWebhook, r); a.Allowed || !strings.Contains(a.Result.Message, "defect of Bailey") {
		t.Errorf("%+v", a)
	}
}

// TestRecord: every decision about an image is a record, but for dry-runs, and no request
// waits for the ledger.
func TestRecord(t *testing.T) {
	written := make(chan Record, 100)
	hold := make(chan struct{})
	b := &book{good: map[string]bool{digest("a"): true}}
	recorder := NewRecorder("gate-0", discard, func(_ context.Context, records []Record) error {
		<-hold
		for _, r := range records {
			written <- r
		}
		return nil
	})
	g := newGate(t, Options{Trust: b.trust("7"), Record: recorder, Log: discard})
	apiVersion, kind, right := wrapped(t, bailey.KindPod, filled(places["container"], good+digest("a")))
	_, _, wrong := wrapped(t, bailey.KindPod, filled(places["container"], bad+digest("b")))
	for uid, object := range map[string]string{"u1": right, "u2": wrong, "u3": right} {
		r := request(t, admissionv1.Create, apiVersion, kind, object, "")
		if uid == "u3" {
			yes := true
			r.DryRun = &yes
		}
		g.Review(t.Context(), imagegate.ImagesWebhook, r)
	}
	close(hold)
	if err := recorder.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(written)
	seen := map[outcome]Decision{}
	n := 0
	for r := range written {
		var d Decision
		if err := json.Unmarshal(r.Data, &d); err != nil {
			t.Fatal(err)
		}
		seen[d.Decision] = d
		n++
	}
	if d := seen[outRefused]; n != 2 || d.User != "jane" || d.Policy != "7" || d.Gate != "gate-0" || d.Images[0].Digest != digest("b") || d.Images[0].Rule != "shop" || d.Reason == "" {
		t.Errorf("%d records: %+v", n, seen)
	}
	if d := seen[outAdmitted]; d.Images[0].By != "release" || d.Images[0].Place != `container "a" (spec.containers[0].image)` {
		t.Errorf("%+v", d)
	}
}

// TestSpellings: one image has one name, whatever way it is written.
func TestSpellings(t *testing.T) {
	for text, want := range map[string]string{
		"Registry.Example.COM/shop/web:1":            "registry.example.com/shop/web",
		"registry.example.com:443/shop/web":          "registry.example.com/shop/web",
		"registry.example.com:00443/shop/web":        "registry.example.com/shop/web",
		"registry.example.com:05000/shop/web":        "registry.example.com:5000/shop/web",
		"[2001:DB8::1]:443/web":                      "[2001:db8::1]/web",
		"[2001:db8::1]/web":                          "[2001:db8::1]/web",
		"nginx":                                      "docker.io/library/nginx",
		"index.docker.io/nginx":                      "docker.io/library/nginx",
		"registry-1.docker.io/library/nginx:1":       "docker.io/library/nginx",
		"DOCKER.IO/nginx":                            "docker.io/library/nginx",
		"docker.io:443/library/nginx@" + digest("a"): "docker.io/library/nginx",
	} {
		if r, err := parse(text); err != nil || r.Name() != want {
			t.Errorf("%s is %s, %v", text, r.Name(), err)
		}
	}
}
