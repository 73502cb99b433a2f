package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// strict is a server whose gate trusts nobody and finds every tag. It remembers nothing: a
// fuzzer that runs an input again must see it take the same way.
func strict(t testing.TB) *Server {
	b := &book{tags: map[string]string{"registry.example.com/shop/web:1": digest("a")}}
	return NewServer(newGate(t, Options{Trust: b.trust("1"), RefusedFor: 1, FailedFor: 1, TagFor: 1}), ServerOptions{})
}

// seeds are reviews of every kind, place and operation.
func seeds(t testing.TB) [][]byte {
	var all [][]byte
	for _, kind := range bailey.PodBearing {
		for _, spec := range places {
			apiVersion, name, object := wrapped(t, kind, filled(spec, bad+digest("b")))
			_, _, before := wrapped(t, kind, `{"containers":[{"name":"a","image":"`+good+digest("a")+`"}]}`)
			for _, r := range []*admissionv1.AdmissionRequest{
				request(t, admissionv1.Create, apiVersion, name, object, ""),
				request(t, admissionv1.Update, apiVersion, name, object, before),
			} {
				r.UID = "0d6d4a3e-3a4c-4a57-8c1e-1f2f3a4b5c6d"
				data, err := json.Marshal(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": r})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, data)
			}
		}
	}
	return all
}

// post gives the answer to a review; nil if there is none, which the API server takes
// for a refusal.
func post(t testing.TB, s *Server, path string, body []byte) *admissionv1.AdmissionResponse {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path+"?timeout=10s", bytes.NewReader(body)))
	if w.Code != http.StatusOK {
		return nil
	}
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("the answer is no AdmissionReview: %v: %s", err, w.Body.Bytes())
	}
	return answer.Response
}

// checkAdmission wants a reason for an admission, found by other means than the gate's: the
// request deletes, is of an exempt namespace, or names no image that was not there before.
func checkAdmission(t testing.TB, body []byte, a *admissionv1.AdmissionResponse) {
	if a == nil || !a.Allowed {
		return
	}
	var review struct {
		Request struct {
			Namespace, Operation string
			Object, OldObject    any
		}
	}
	if err := json.Unmarshal(body, &review); err != nil {
		t.Fatalf("what is no JSON is admitted: %s", body)
	}
	r := review.Request
	if r.Operation == "DELETE" || strings.HasPrefix(r.Namespace, "kube-") || r.Namespace == "bailey" {
		return
	}
	before := map[string]bool{}
	if r.Operation == "UPDATE" {
		texts(r.OldObject, func(image string) { before[image] = true })
	}
	texts(r.Object, func(image string) {
		if !before[image] {
			t.Fatalf("admitted with image %q:\n%s", image, body)
		}
	})
}

// texts gives the texts that name an image in an object's spec or template.
func texts(object any, yield func(string)) {
	switch v := object.(type) {
	case map[string]any:
		for key, inner := range v {
			image, _ := inner.(map[string]any)
			text, _ := inner.(string)
			if reference, found := image["reference"].(string); found {
				text = reference
			}
			switch {
			case key == "metadata" || key == "status":
			case key == "image" && text != "" && text != "auto":
				yield(text)
			default:
				texts(inner, yield)
			}
		}
	case []any:
		for _, inner := range v {
			texts(inner, yield)
		}
	}
}

// TestNoAdmissionByError sends 10,000 reviews with random damage: bytes and words changed,
// parts cut out, repeated or put into one another.
func TestNoAdmissionByError(t *testing.T) {
	s, all := strict(t), seeds(t)
	words := []string{"containers", "initContainers", "ephemeralContainers", "image", "reference", "volumes", "name", "template", "spec", "Pod", "Deployment", "CronJob",
		"CREATE", "UPDATE", "DELETE", "CONNECT", "null", "{}", "[]", "\"\"", "shop", "kube-system", "bailey", "object", "oldObject", "apps", "batch", "v1", "kind", "metadata", "auto", "istio-proxy", "1e999", "\\u0000", "operation", "request", "true"}
	random := rand.New(rand.NewPCG(20261126, 4))
	answered, admitted := 0, 0
	for n := range 10_000 {
		body := bytes.Clone(all[random.IntN(len(all))])
		for range 1 + random.IntN(4) {
			at := random.IntN(len(body))
			to := min(len(body), at+random.IntN(40))
			switch random.IntN(6) {
			case 0:
				body[at] ^= byte(1 << random.IntN(8))
			case 1: // cut out
				body = append(body[:at:at], body[to:]...)
			case 2: // repeat
				body = append(body[:to:to], body[at:]...)
			case 3: // a word for another
				from, into := words[random.IntN(len(words))], words[random.IntN(len(words))]
				body = bytes.Replace(body, []byte(from), []byte(into), 1+random.IntN(2))
			case 4: // all of them
				from, into := words[random.IntN(len(words))], words[random.IntN(len(words))]
				body = bytes.ReplaceAll(body, []byte(from), []byte(into))
			case 5: // a part of another review
				other := all[random.IntN(len(all))]
				begin := random.IntN(len(other))
				body = append(append(body[:at:at], other[begin:min(len(other), begin+random.IntN(200))]...), body[to:]...)
			}
			if len(body) == 0 {
				body = []byte{'{'}
			}
		}
		for _, path := range []string{imagegate.ImagesPath, imagegate.PinPath, imagegate.GrantPath, imagegate.SealPath} {
			a := post(t, s, path, body)
			if a == nil {
				continue
			}
			answered++
			if a.Allowed {
				admitted++
			}
			if path == imagegate.ImagesPath {
				checkAdmission(t, body, a)
			} else if path != imagegate.PinPath && a.Allowed && !bytes.Contains(body, []byte("Lease")) {
				t.Fatalf("review %d: %s admits what is no Lease", n, path)
			}
		}
	}
	if answered < 5000 || admitted == 0 {
		t.Errorf("%d answers, %d of them admissions: too little was tried", answered, admitted)
	}
}

func FuzzReview(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	s := strict(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		checkAdmission(t, body, post(t, s, imagegate.ImagesPath, body))
		post(t, s, imagegate.PinPath, body)
	})
}

func FuzzGrant(f *testing.F) {
	key := func() []byte { return []byte(strings.Repeat("k", 32)) }
	g := newGate(f, Options{Trust: (&book{}).trust("1"), Grants: &Grants{Key: key}})
	s := NewServer(g, ServerOptions{})
	for _, annotations := range []string{`{}`, `{"gate.bailey.dev/digest":"` + digest("a") + `","gate.bailey.dev/reason":"the registry burns","gate.bailey.dev/granted-by":"{}","gate.bailey.dev/seal":"AAAA"}`} {
		f.Add([]byte(fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","namespace":"shop","operation":"CREATE","kind":{"group":"coordination.k8s.io","version":"v1","kind":"Lease"},`+
			`"object":{"metadata":{"name":"x","labels":{"gate.bailey.dev/breakglass":""},"annotations":%s},"spec":{"leaseDurationSeconds":60}}}}`, annotations)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a := post(t, s, imagegate.GrantPath, body)
		if a == nil || !a.Allowed {
			return
		}
		var review struct {
			Request struct{ Namespace, Operation string }
		}
		if err := json.Unmarshal(body, &review); err != nil {
			t.Fatal(err)
		}
		if r := review.Request; r.Operation != "DELETE" && !strings.HasPrefix(r.Namespace, "kube-") && r.Namespace != "bailey" {
			t.Fatalf("a grant without the gate's seal is admitted: %s", body)
		}
	})
}
