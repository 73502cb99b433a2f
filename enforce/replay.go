package enforce

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/baileyhq/bailey/enforce/policy"
)

// Recorded is a request that was admitted, as an audit log holds it.
type Recorded struct {
	Verb                           string
	Group, Resource, Subresource   string
	Namespace, Name, User, AuditID string
	Groups                         []string
	// Body is the object that was sent; empty where the audit policy keeps none.
	Body []byte
}

// Replayed is what the planned policies would have refused of an audit log's requests.
type Replayed struct {
	// Evaluated counts the writes that a policy decided upon.
	Evaluated int `json:"evaluated"`
	// Refused is by policy, the most frequent first.
	Refused map[string][]RefusedRequests `json:"refused"`
	// NotEvaluated counts, by the reason, the writes that could not be.
	NotEvaluated map[string]int `json:"notEvaluated"`
}

// RefusedRequests are like requests of one user that a policy would have refused.
type RefusedRequests struct {
	User      string `json:"user"`
	Verb      string `json:"verb"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Count     int    `json:"count"`
	// Message is what the first would have been told; AuditID is its own.
	Message string `json:"message"`
	AuditID string `json:"auditID"`
}

// refusedKinds bounds how many different requests are told apart for a policy.
const refusedKinds = 1000

// Replay judges one request of an audit log as if the plan had been in place. Reads and
// deletions are passed over: no planned policy looks at them.
func (j *Judge) Replay(ctx context.Context, r *Recorded) error {
	switch r.Verb {
	case "create", "update", "patch":
	default:
		return nil
	}
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	if len(j.lookingAt(schema.GroupResource{Group: r.Group, Resource: resource})) == 0 {
		return nil
	}
	why := ""
	switch {
	case len(r.Body) == 0:
		why = "the audit log holds no body of it (the audit policy's level is Metadata)"
	case r.Verb == "patch":
		why = "it is a patch, and the log does not hold what it was applied to"
	case r.Verb == "update" || r.Subresource != "":
		why = "it is an update, and the log does not hold the object before it"
	}
	if why != "" {
		j.notEvaluated(why)
		return nil
	}
	o := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(r.Body, &o.Object); err != nil || o.GetKind() == "" {
		j.notEvaluated("its body is no object")
		return nil
	}
	o.SetNamespace(cmp.Or(o.GetNamespace(), r.Namespace))
	gvk := o.GroupVersionKind()
	denials, undecided, err := j.set.Review(ctx, &policy.Request{
		Operation: admission.Create, Kind: gvk, Resource: schema.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: r.Resource},
		Namespace: r.Namespace, Name: o.GetName(), Object: o, Options: &metav1.CreateOptions{}, User: &user.DefaultInfo{Name: r.User, Groups: r.Groups},
	})
	if err != nil {
		return err
	}
	for _, u := range undecided {
		j.notEvaluated(u.Why)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.replayed.Evaluated++
	for _, d := range denials {
		j.count(r, &d)
	}
	return nil
}

func (j *Judge) count(r *Recorded, d *policy.Denial) {
	all := j.replayed.Refused[d.Policy]
	for i := range all {
		if q := &all[i]; q.User == r.User && q.Resource == r.Resource && q.Namespace == r.Namespace {
			q.Count++
			return
		}
	}
	if len(all) < refusedKinds {
		j.replayed.Refused[d.Policy] = append(all, RefusedRequests{r.User, r.Verb, r.Resource, r.Namespace, 1, d.Message, r.AuditID})
		return
	}
	all[len(all)-1].Count++
}

func (j *Judge) notEvaluated(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.replayed.NotEvaluated[why]++
}

// Replayed is what Replay has seen so far.
func (j *Judge) Replayed() Replayed {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, all := range j.replayed.Refused {
		slices.SortFunc(all, func(a, b RefusedRequests) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.User, b.User))
		})
	}
	return j.replayed
}

// String is "create pods in shop by system:serviceaccount:ci:runner, 12 times".
func (q RefusedRequests) String() string {
	text := q.Verb + " " + q.Resource
	if q.Namespace != "" {
		text += " in " + q.Namespace
	}
	text += " by " + q.User
	if q.Count > 1 {
		text += fmt.Sprintf(", %d times", q.Count)
	}
	return text
}
