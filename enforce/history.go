package enforce

import (
	"cmp"
	"slices"
	"strconv"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// What history holds at most: objects, and bytes of their JSON.
const (
	historyObjects = 1 << 20
	historyBytes   = 256 << 20
)

// history holds the objects that an audit log's answers have shown, as they were last,
// so that the next write of one can be judged as the update that it was. What was not
// used for longest makes room.
type history struct {
	objects *lru.Cache[objectKey, shown]
	bytes   int
	limit   int
}

type objectKey struct{ group, resource, namespace, name string }

// shown is an object as an answer showed it.
type shown struct {
	text    []byte
	version string // its resourceVersion
	// changed tells that a write came since whose outcome the log does not hold.
	changed bool
}

func newHistory(bytes int) *history {
	h := &history{limit: bytes}
	objects, err := lru.NewWithEvict(historyObjects, func(_ objectKey, s shown) { h.bytes -= len(s.text) })
	if err != nil {
		panic(err) // the size is a constant
	}
	h.objects = objects
	return h
}

func (r *Recorded) key() objectKey { return objectKey{r.Group, r.Resource, r.Namespace, r.Name} }

// answered is the object that the request left behind; nil where the log does not hold it.
func (r *Recorded) answered() *unstructured.Unstructured {
	o := decoded(r.Answer)
	if o == nil || o.GetUID() == "" || o.GetResourceVersion() == "" {
		return nil
	}
	switch group := o.GroupVersionKind().Group; {
	case group == "meta.k8s.io": // a table, or metadata alone
		return nil
	case r.Subresource != "" && group == "autoscaling" && o.GetKind() == "Scale":
		return nil
	}
	return o
}

func decoded(text []byte) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	if len(text) == 0 || utiljson.Unmarshal(text, &o.Object) != nil || o.GetKind() == "" || o.GetAPIVersion() == "" {
		return nil
	}
	return o
}

// connecting are the subresources that are connected to; token makes a token. Both leave
// the object as it is.
var connecting = []string{"exec", "attach", "portforward", "proxy"}

// note keeps what the request left behind.
func (h *history) note(r *Recorded) {
	if r.DryRun || r.Subresource == "token" || slices.Contains(connecting, r.Subresource) {
		return
	}
	key, o := r.key(), r.answered()
	switch {
	case r.Verb == "deletecollection":
		for _, k := range h.objects.Keys() {
			if k.group == r.Group && k.resource == r.Resource && (r.Namespace == "" || k.namespace == r.Namespace) {
				h.objects.Remove(k)
			}
		}
		return
	case r.Verb == "delete" && r.Subresource == "":
		h.objects.Remove(key)
		return
	case o == nil:
		if s, found := h.objects.Peek(key); found {
			s.changed = true
			h.objects.Add(key, s)
		}
		return
	}
	key.name = cmp.Or(o.GetName(), key.name)
	s := shown{text: r.Answer, version: o.GetResourceVersion()}
	if have, found := h.objects.Peek(key); found && newer(have.version, s.version) {
		return // the log holds requests in the order in which they ended
	}
	h.add(key, s)
}

// add takes the object in and lets others go until there is room.
func (h *history) add(key objectKey, s shown) {
	if have, found := h.objects.Peek(key); found {
		h.bytes -= len(have.text)
	}
	h.bytes += len(s.text)
	h.objects.Add(key, s)
	for h.bytes > h.limit {
		if _, _, any := h.objects.RemoveOldest(); !any {
			return
		}
	}
}

// Why an update is not evaluated.
const (
	neverShown    = "it is an update, and no answer in the log shows the object before it (that takes the level RequestResponse)"
	notShownAfter = "it is an update, and the object was changed since the log showed it"
)

// before gives the object as the request found it; nil, with the reason, where the log
// does not show that.
func (h *history) before(r *Recorded, now *unstructured.Unstructured) (old *unstructured.Unstructured, why string) {
	s, found := h.objects.Get(r.key())
	if !found {
		return nil, neverShown
	}
	old = decoded(s.text)
	sent := decoded(r.Body)
	switch {
	case old.GetUID() != uidOf(now, sent, old):
		return nil, neverShown
	case sent != nil && r.Verb == "update" && sent.GetResourceVersion() != "":
		// The server takes such an update only of the object that was sent.
		if sent.GetResourceVersion() != s.version {
			return nil, notShownAfter
		}
		return old, ""
	case s.changed || now == nil || newer(s.version, now.GetResourceVersion()) || now.GetGeneration() > old.GetGeneration()+1:
		return nil, notShownAfter
	}
	return old, ""
}

// uidOf is the UID of the first that bears one.
func uidOf(all ...*unstructured.Unstructured) types.UID {
	for _, o := range all {
		if o != nil && o.GetUID() != "" {
			return o.GetUID()
		}
	}
	return ""
}

// newer reports whether one resourceVersion is later than the other, which is so of
// those that are numbers only; others are not told apart.
func newer(a, b string) bool {
	x, err := strconv.ParseUint(a, 10, 64)
	if err != nil {
		return false
	}
	y, err := strconv.ParseUint(b, 10, 64)
	return err == nil && x > y
}
