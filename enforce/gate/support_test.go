package gate

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imageref"
)

// digest is one that is told by a letter.
func digest(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

// book is a trust policy and a registry in memory: what is vouched for, and where tags point.
type book struct {
	mu       sync.Mutex
	good     map[string]bool   // by digest
	tags     map[string]string // by name:tag
	down     bool
	verified int
	resolved int
	// unnamed are registries that no rule names, strangers what the policy says of their images.
	unnamed   map[string]bool
	strangers error
	wait      chan struct{} // verifications wait until it is closed, if it is there
}

var errDown = errors.New("registry.example.com cannot be reached: connection refused")

func (b *book) trust(revision string) *Trust {
	return &Trust{
		Revision: revision,
		Rule:     func(namespace string, _ imageref.Ref) string { return strings.TrimSuffix(namespace, "-2") },
		Unnamed:  func(_ string, image imageref.Ref) (bool, error) { return b.unnamed[image.Registry], b.strangers },
		Resolve: func(_ context.Context, image imageref.Ref) (string, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.resolved++
			if b.down {
				return "", errDown
			}
			if d, found := b.tags[image.Name()+":"+image.Tag]; found {
				return d, nil
			}
			return "", &Refusal{Reason: "is not in the registry"}
		},
		Verify: func(ctx context.Context, _ string, image imageref.Ref) (Verdict, error) {
			b.mu.Lock()
			b.verified++
			wait, down, good := b.wait, b.down, b.good[image.Digest]
			b.mu.Unlock()
			if wait != nil {
				select {
				case <-wait:
				case <-ctx.Done():
					return Verdict{}, ctx.Err()
				}
			}
			switch {
			case down:
				return Verdict{}, errDown
			case good:
				return Verdict{By: "release"}, nil
			}
			return Verdict{}, &Refusal{Rule: "shop", Reason: "is signed by nobody whom the rule trusts"}
		},
	}
}

func (b *book) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func (b *book) verifications() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.verified
}

func newGate(t testing.TB, o Options) *Gate {
	t.Helper()
	if o.Namespace == "" {
		o.Namespace = "bailey"
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const good, bad = "registry.example.com/shop/web@", "registry.example.com/shop/evil@"

// request is the admission request of an object in YAML's JSON form.
func request(t testing.TB, operation admissionv1.Operation, apiVersion, kind, object, old string) *admissionv1.AdmissionRequest {
	t.Helper()
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	r := &admissionv1.AdmissionRequest{
		UID: types.UID(rand.Text()), Kind: metav1.GroupVersionKind{Group: group, Version: version, Kind: kind},
		Namespace: "shop", Name: "x", Operation: operation,
	}
	r.UserInfo.Username = "jane"
	if object != "" {
		r.Object = runtime.RawExtension{Raw: []byte(object)}
	}
	if old != "" {
		r.OldObject = runtime.RawExtension{Raw: []byte(old)}
	}
	return r
}

// wrapped puts a pod spec, in JSON, into an object of a pod-bearing kind.
func wrapped(t testing.TB, kind bailey.Kind, spec string) (apiVersion, name, object string) {
	t.Helper()
	name, group := kind.Split()
	apiVersion = "v1"
	if group != "" {
		apiVersion = group + "/v1"
	}
	body := `"spec":{"template":{"spec":` + spec + `}}`
	switch kind {
	case bailey.KindPod:
		body = `"spec":` + spec
	case bailey.KindPodTemplate:
		body = `"template":{"spec":` + spec + `}`
	case bailey.KindCronJob:
		body = `"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":{"spec":` + spec + `}}}}`
	}
	object = fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"x","namespace":"shop"},%s}`, apiVersion, name, body)
	if !json.Valid([]byte(object)) {
		t.Fatalf("no JSON: %s", object)
	}
	return apiVersion, name, object
}

var discard = slog.New(slog.DiscardHandler)
