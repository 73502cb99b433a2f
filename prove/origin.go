package prove

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/baileyhq/bailey"
)

const (
	// originLimit bounds the wait until the audit log covers the moment at which an
	// object was made.
	originLimit = 20 * time.Second
	// originSettle is how long the log must go on without a record of an object. The
	// records of requests that overlap are written in any order.
	originSettle = 2 * time.Second
)

// Origins says whether the audit log holds a request that made an object of the
// core group, of which the creationTimestamp is given. Unknown says why that
// cannot be told; it is empty where it can.
type Origins func(resource, namespace, name string, created time.Time) (found bool, unknown string, err error)

// origin makes a ConfigMap and asks the audit log where it came from.
func (r *run) origin(ctx context.Context, o *bailey.Origin) answer {
	how := "by a request"
	if o.Past {
		how = "straight into etcd"
	}
	name := fmt.Sprintf("%s-%d", o.Name, r.pods.Add(1))
	said := fmt.Sprintf("write ConfigMap %s/%s %s, and look for it in the audit log", o.Namespace, name, how)
	failed := func(err error) answer { return answer{at: r.now().UTC(), said: said, failure: err} }
	if r.o.Origins == nil {
		return failed(fmt.Errorf("the audit log was not given"))
	}
	made := answer{at: r.now().UTC()}
	if o.Past {
		if err := r.plant(ctx, o.Namespace, name); err != nil {
			return failed(err)
		}
	} else {
		made = r.objects.create(ctx, &bailey.Request{Verb: "create", APIVersion: "v1", Resource: "configmaps", Namespace: o.Namespace, Real: true,
			Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}}})
		if !made.accepted {
			return failed(fmt.Errorf("the ConfigMap was not made: %s", made))
		}
	}
	a := r.explained(ctx, o.Namespace, name)
	a.said, a.at, a.auditID, a.took = said, made.at, made.auditID, r.now().Sub(made.at)
	return a
}

// explained asks until the log explains the ConfigMap, or has gone on for a while
// without doing so.
func (r *run) explained(ctx context.Context, namespace, name string) answer {
	var missing time.Time // since when the log covers that moment and holds no record
	get := &bailey.Request{Verb: "get", APIVersion: "v1", Resource: "configmaps", Namespace: namespace, Name: name}
	a, done := poll(ctx, originLimit, pollEvery, func() answer {
		// Each of these requests is one more record, if the policy records it: the log
		// then reaches beyond the moment that is asked about.
		seen := r.clients.do(ctx, get)
		if !seen.accepted {
			return answer{message: "the API server does not give the object: " + seen.String()}
		}
		text, _ := lookup(seen.output, "metadata.creationTimestamp")
		created, err := time.Parse(time.RFC3339, fmt.Sprint(text))
		if err != nil {
			return answer{failure: fmt.Errorf("the object's creationTimestamp: %w", err)}
		}
		found, unknown, err := r.o.Origins("configmaps", namespace, name, created)
		switch {
		case err != nil:
			return answer{failure: err}
		case found:
			return answer{accepted: true, message: "the audit log holds a request that made it"}
		case unknown != "":
			missing = time.Time{}
			return answer{message: unknown}
		case missing.IsZero():
			missing = time.Now()
		}
		if time.Since(missing) < originSettle {
			return answer{message: "the log had no time to settle"}
		}
		return answer{refuser: bailey.RefuserDetection, message: "the audit log covers the moment at which it was made, and holds no request that made it"}
	}, func(a answer) bool { return a.accepted || a.refuser != "" || a.failure != nil })
	if !done {
		a.failure = fmt.Errorf("whether the audit log explains the object is unknown: %s", a.message)
	}
	return a
}

// plant writes a ConfigMap straight into etcd. It wants to see first that the
// storage is this cluster's, which holds the run's namespace, and that ConfigMaps lie
// there in plain text: one that the API server cannot decrypt could not be removed,
// nor its namespace.
func (r *run) plant(ctx context.Context, namespace, name string) error {
	if r.o.Etcd == nil {
		return fmt.Errorf("etcd was not given")
	}
	folder := "/registry/configmaps/" + namespace + "/"
	stored, err := r.o.Etcd.Keys(ctx, folder)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		return fmt.Errorf("nothing is stored under %s: it is another cluster's storage, or has another prefix", folder)
	}
	for _, s := range stored {
		if s.By != "" {
			return fmt.Errorf("ConfigMaps are stored encrypted (%s): the API server might neither read nor remove one in plain text", s.By)
		}
	}
	created, err := r.nextSecond(ctx)
	if err != nil {
		return err
	}
	m := made{APIVersion: "v1", Resource: "configmaps", Namespace: namespace, Name: name, UID: string(uuid.NewUUID())}
	object, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{
		"name": name, "namespace": namespace, "uid": m.UID, "creationTimestamp": created.UTC().Format(time.RFC3339),
		"labels": map[string]any{bailey.RunLabel: r.id, bailey.ProbeLabel: "true"},
	}})
	if err != nil {
		return err
	}
	return r.objects.plant(ctx, m, func(ctx context.Context) error { return r.o.Etcd.Put(ctx, folder+name, object) })
}

// nextSecond waits for the next full second of the API server's clock, and gives
// it: a creationTimestamp has whole seconds, and one that is cut off would lie
// before what the audit log has recorded by now.
func (r *run) nextSecond(ctx context.Context) (time.Time, error) {
	offset, doubt := time.Duration(0), time.Second
	if c := r.ran.Clock; c.Asked {
		offset = time.Duration(c.OffsetMS * float64(time.Millisecond))
		doubt = time.Duration(c.ErrorMS * float64(time.Millisecond))
	}
	server := time.Now().Add(offset)
	next := server.Add(doubt).Truncate(time.Second).Add(time.Second)
	select {
	case <-ctx.Done():
		return next, ctx.Err()
	case <-time.After(next.Add(doubt).Sub(server)):
		return next, nil
	}
}
