package prove

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Store is what is kept at rest: etcd itself, or a snapshot of it.
type Store interface {
	// Keys gives, for each key under the prefix, how its value is encrypted.
	Keys(ctx context.Context, prefix string) ([]Stored, error)
	// Look gives how the value of one key is encrypted (nil if the key is not
	// stored), and whether the value as it is stored holds the text.
	Look(ctx context.Context, key, text string) (*Stored, bool, error)
	// Taken is the moment that the store shows; zero for one that shows the present.
	// An error tells that it is a copy whose age cannot be told.
	Taken(ctx context.Context) (time.Time, error)
	// Put writes past the API server; a snapshot refuses.
	Put(ctx context.Context, key string, value []byte) error
}

// Stored is one value at rest, without the value.
type Stored struct {
	Key string
	// By is the provider and the key's name, "aescbc:key1", or "kms:v2:vault:<key
	// id>"; empty for plain text.
	By string
	// Revision is that of the last change: the newest value was written with the
	// current key.
	Revision int64
}

// etcd reads how what is stored is encrypted.
func (r *run) etcd(ctx context.Context, e *bailey.Etcd) answer {
	a := answer{at: r.now().UTC(), said: "read how " + e.Prefix + " is stored"}
	if r.o.Etcd == nil {
		a.failure = fmt.Errorf("the storage was not given")
		return a
	}
	if e.Holds != "" {
		a.said = "read whether " + e.Prefix + " is stored as this cluster's"
		a.accepted, a.message, a.failure = r.sameCluster(ctx, e)
		a.took = r.now().Sub(a.at)
		return a
	}
	all, err := r.o.Etcd.Keys(ctx, e.Prefix)
	if err != nil {
		a.failure = err
		return a
	}
	a.took = r.now().Sub(a.at)
	if len(all) == 0 {
		a.failure = fmt.Errorf("nothing is stored under %s", e.Prefix)
		return a
	}
	if a.taken, err = r.o.Etcd.Taken(ctx); err != nil {
		a.failure = err
		return a
	}
	a.accepted, a.message = judgeStored(all)
	if !a.accepted {
		a.refuser = bailey.RefuserEncryption
	}
	return a
}

// sameCluster tells this cluster's storage from another's, by the object under
// the key: by a text that only it holds, or where it is encrypted by the revision
// of its last change, which is the object's resourceVersion.
func (r *run) sameCluster(ctx context.Context, e *bailey.Etcd) (bool, string, error) {
	stored, holds, err := r.o.Etcd.Look(ctx, e.Prefix, e.Holds)
	switch {
	case err != nil:
		return false, "", err
	case stored == nil:
		return false, "", fmt.Errorf("%s is not stored there: it is another cluster's storage, or has another prefix", e.Prefix)
	case stored.By == "" && holds:
		return true, e.Prefix + " can be read, and is this cluster's", nil
	case stored.By == "":
		return false, "", fmt.Errorf("%s is another cluster's: it does not hold %s", e.Prefix, e.Holds)
	case fmt.Sprint(stored.Revision) == e.Revision:
		return true, fmt.Sprintf("%s is encrypted by %s, and was changed last at this cluster's revision", e.Prefix, stored.By), nil
	}
	return false, "", fmt.Errorf("%s is encrypted by %s, and was changed last at revision %d, not %s: it is another cluster's, or has changed since", e.Prefix, stored.By, stored.Revision, e.Revision)
}

// judgeStored says whether something is not under the key that the newest value
// was written with. Whether that key is current, the storage does not tell.
func judgeStored(all []Stored) (readable bool, message string) {
	newest := all[0]
	count := map[string]int{}
	for _, s := range all {
		count[s.By]++
		if s.Revision > newest.Revision {
			newest = s
		}
	}
	var old []string
	for _, s := range all {
		if s.By == "" || s.By != newest.By {
			old = append(old, s.Key)
		}
	}
	keys := make([]string, 0, len(count))
	for by, n := range count {
		if by == "" {
			by = "plain text"
		}
		keys = append(keys, fmt.Sprintf("%d under %s", n, by))
	}
	sort.Strings(keys)
	sort.Strings(old)
	message = strings.Join(keys, ", ")
	if len(old) > 0 {
		const named = 3
		more := ""
		if len(old) > named {
			more = fmt.Sprintf(" and %d more", len(old)-named)
		}
		message += fmt.Sprintf("; not under the key of the newest: %s%s", strings.Join(old[:min(named, len(old))], ", "), more)
	}
	return len(old) > 0, message
}
