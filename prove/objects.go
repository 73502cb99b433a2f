package prove

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
)

const (
	// goneLimit bounds the wait until a namespace has gone with what is in it.
	goneLimit = 90 * time.Second
	// objectLimit bounds how many objects of one run are there at a time: its blast radius.
	objectLimit = 500
)

// objects are what a run made and has not removed yet.
type objects struct {
	clients *clients
	journal *journal
	run     string
	mu      sync.Mutex
	held    []made
}

// create makes an object for real: journal first, then the request, then its UID.
func (o *objects) create(ctx context.Context, r *bailey.Request) answer {
	object := deepCopy(r.Object)
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	if name == "" {
		return answer{failure: fmt.Errorf("%s without a name: the journal could not tell it again", r.Resource)}
	}
	labels, _ := metadata["labels"].(map[string]any)
	if labels == nil {
		labels = map[string]any{}
		metadata["labels"] = labels
	}
	labels[bailey.RunLabel], labels[bailey.ProbeLabel] = o.run, "true"
	m := made{APIVersion: r.APIVersion, Resource: r.Resource, Namespace: r.Namespace, Name: name}
	if r.Resource == "namespaces" {
		m.Namespace = ""
	}
	if err := o.intend(m); err != nil {
		return answer{failure: err}
	}
	request := *r
	request.Object = object
	// Once the intention is on disk the request is seen through, so that a stop
	// leaves no doubt whether the object was made.
	a := o.clients.do(context.WithoutCancel(ctx), &request)
	if !a.accepted {
		if a.failure == nil && a.code/100 == 4 {
			o.release(m)
			if err := o.journal.write(entry{Refused: &m}); err != nil {
				a.failure = err
			}
		}
		return a
	}
	uid, _ := lookup(a.output, "metadata.uid")
	m.UID, _ = uid.(string)
	o.release(m)
	o.hold(m)
	if err := o.journal.write(entry{Made: &m}); err != nil {
		a.failure = err
	}
	return a
}

// intend puts on disk that an object is going to be made.
func (o *objects) intend(m made) error {
	o.mu.Lock()
	over := len(o.held) >= objectLimit
	o.mu.Unlock()
	if over {
		return fmt.Errorf("%d objects of the run are there, and it makes no more", objectLimit)
	}
	if err := o.journal.write(entry{Intend: &m}); err != nil {
		return err
	}
	o.hold(m)
	return nil
}

// plant makes an object past the API server, under a UID that is chosen, and thus
// on disk, before. Where that fails it is held all the same: it may have been stored.
func (o *objects) plant(ctx context.Context, m made, put func(context.Context) error) error {
	if err := o.intend(m); err != nil {
		return err
	}
	if err := put(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return o.journal.write(entry{Made: &m})
}

func (o *objects) hold(m made) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = append(o.held, m)
}

func (o *objects) release(m made) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = slices.DeleteFunc(o.held, m.same)
}

// mark gives a place to which sweep goes back.
func (o *objects) mark() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.held)
}

// sweep removes what was made since the mark, the newest first, and waits until
// it has gone. It does so whatever became of the run.
func (o *objects) sweep(ctx context.Context, mark int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goneLimit)
	defer cancel()
	o.mu.Lock()
	held := slices.Clone(o.held[min(mark, len(o.held)):])
	o.mu.Unlock()
	slices.Reverse(held)
	return o.takeAway(ctx, held)
}

// discard removes one object, and waits until it has gone, whatever became of the run.
func (o *objects) discard(ctx context.Context, resource, namespace, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goneLimit)
	defer cancel()
	o.mu.Lock()
	i := slices.IndexFunc(o.held, func(m made) bool { return m.Resource == resource && m.Namespace == namespace && m.Name == name })
	var one []made
	if i >= 0 {
		one = slices.Clone(o.held[i : i+1])
	}
	o.mu.Unlock()
	return o.takeAway(ctx, one)
}

func (o *objects) takeAway(ctx context.Context, held []made) error {
	var failures []error
	for _, m := range held {
		if err := o.remove(ctx, m); err != nil {
			failures = append(failures, err)
		}
	}
	for _, m := range held {
		if err := o.awaitGone(ctx, m); err != nil {
			failures = append(failures, err)
			continue
		}
		o.release(m)
		if err := o.journal.write(entry{Gone: &m}); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// remove asks for the object's deletion, of that UID and no other. Where the UID is
// not known (the run was killed between the request and its answer), it is read
// from the object that bears the journalled name and the run's label.
func (o *objects) remove(ctx context.Context, m made) error {
	if m.UID == "" {
		a := o.clients.do(ctx, &bailey.Request{Verb: "get", APIVersion: m.APIVersion, Resource: m.Resource, Namespace: m.Namespace, Name: m.Name})
		if a.code == http.StatusNotFound {
			return nil
		}
		if !a.accepted {
			return fmt.Errorf("%s may be left behind: %s", m, a)
		}
		label, _ := lookup(a.output, `metadata.labels.bailey\.dev/run`)
		if label != o.run {
			return fmt.Errorf("%s bears the name of a probe and not the label of run %s: it is left alone", m, o.run)
		}
		uid, _ := lookup(a.output, "metadata.uid")
		m.UID, _ = uid.(string)
		if m.UID == "" {
			return fmt.Errorf("%s has no UID: it is left alone", m)
		}
	}
	body := map[string]any{"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": map[string]any{"uid": m.UID}, "propagationPolicy": "Background"}
	if m.Resource == "pods" {
		body["gracePeriodSeconds"] = 1
	}
	a := o.clients.do(ctx, &bailey.Request{Verb: "delete", APIVersion: m.APIVersion, Resource: m.Resource, Namespace: m.Namespace, Name: m.Name, Object: body, Real: true})
	if a.accepted || a.code == http.StatusNotFound || a.code == http.StatusConflict {
		return nil // a conflict: another object has the name now, and ours has gone
	}
	return fmt.Errorf("%s could not be removed: %s", m, a)
}

func (o *objects) awaitGone(ctx context.Context, m made) error {
	get := &bailey.Request{Verb: "get", APIVersion: m.APIVersion, Resource: m.Resource, Namespace: m.Namespace, Name: m.Name}
	a, gone := poll(ctx, goneLimit, pollEvery, func() answer { return o.clients.do(ctx, get) }, func(a answer) bool {
		uid, _ := lookup(a.output, "metadata.uid")
		return a.code == http.StatusNotFound || a.accepted && m.UID != "" && uid != m.UID
	})
	if !gone {
		return fmt.Errorf("%s is still there after %s: %s", m, goneLimit, a)
	}
	return nil
}

func deepCopy(object map[string]any) map[string]any {
	fresh := make(map[string]any, len(object))
	for key, value := range object {
		fresh[key] = copyValue(value)
	}
	return fresh
}

func copyValue(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return deepCopy(v)
	case []any:
		fresh := make([]any, len(v))
		for i := range v {
			fresh[i] = copyValue(v[i])
		}
		return fresh
	}
	return value
}
