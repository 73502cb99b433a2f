package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrFenced tells that what is kept of the cluster is written in a later term by now: whoever
// is told must write no more.
var ErrFenced = errors.New("another server writes this cluster's history now")

// term is the one in which a store writes a cluster.
type term struct {
	cluster string
	number  int64
}

// TakeOver begins a new term of writing a cluster, which is added if it is not there, and gives
// the store to write with. Once somebody else takes over, nothing of the cluster can be written
// with it (ErrFenced); this store, which is in no term, writes on. It is closed by closing this one.
func (s *Store) TakeOver(ctx context.Context, cluster string, at time.Time) (*Store, error) {
	if clean(cluster) == "" {
		return nil, errNoUID
	}
	return s.begin(ctx, cluster, func(r *reader) error { return r.addCluster(clean(cluster), "", at) })
}

// Tenure is what tells whether somebody still writes a cluster's history: as long as somebody does, it changes,
// within a minute or so.
type Tenure struct {
	// Heard is when the cluster was last heard of, by the clock of whoever wrote it.
	Heard      time.Time
	term, last int64
}

// Tenure gives that of a cluster as it stands.
func (s *Store) Tenure(ctx context.Context, cluster string) (t Tenure, err error) {
	err = s.read(ctx, func(r *reader) error {
		t, err = r.tenure(cluster, "")
		return err
	})
	return t, err
}

func (r *reader) tenure(cluster, lock string) (t Tenure, err error) {
	var heard int64
	err = r.row("SELECT heard_at, term, last_at FROM clusters WHERE uid = ?"+lock, clean(cluster)).Scan(&heard, &t.term, &t.last)
	t.Heard = moment(heard)
	return t, noCluster(err, cluster)
}

// Succeed takes a cluster over as TakeOver does, where nobody was there since the tenure was read: ErrConflict
// otherwise. Of several that read the same, one succeeds.
func (s *Store) Succeed(ctx context.Context, cluster string, was Tenure) (*Store, error) {
	return s.begin(ctx, cluster, func(r *reader) error {
		is, err := r.tenure(cluster, s.e.Lock)
		if err == nil && is != was {
			err = fmt.Errorf("store: somebody writes the history of cluster %q: %w", cluster, ErrConflict)
		}
		return err
	})
}

// begin begins a term of a cluster, where first allows it.
func (s *Store) begin(ctx context.Context, cluster string, first func(r *reader) error) (*Store, error) {
	in := &Store{e: s.e, term: term{cluster: clean(cluster)}}
	err := s.change(ctx, func(r *reader) error {
		if err := first(r); err != nil {
			return err
		}
		if _, err := r.exec("UPDATE clusters SET term = term + 1 WHERE uid = ?", in.term.cluster); err != nil {
			return err
		}
		return r.row("SELECT term FROM clusters WHERE uid = ?", in.term.cluster).Scan(&in.term.number)
	})
	if err != nil {
		return nil, err
	}
	return in, nil
}

// Watching notes that whoever writes a cluster's history is there, while nothing is heard of the cluster.
func (s *Store) Watching(ctx context.Context, cluster string, at time.Time) error {
	return s.write(ctx, cluster, at, func(w *writer) error {
		_, err := w.exec("UPDATE clusters SET last_at = ? WHERE n = ?", w.at, w.cluster)
		return err
	})
}

// InTerm fails with ErrFenced once the term has ended, and with ErrUnavailable where nothing can be written in it.
// A store that is in no term is not asked.
func (s *Store) InTerm(ctx context.Context) error {
	if s.term.number == 0 {
		return nil
	}
	var now int64
	if err := s.readBy(ctx, s.e.ask(), func(r *reader) error {
		if err := r.writable(); err != nil {
			return err
		}
		return noCluster(r.row("SELECT term FROM clusters WHERE uid = ?", s.term.cluster).Scan(&now), s.term.cluster)
	}); err != nil {
		return err
	}
	return s.term.allows(s.term.cluster, now)
}

// allows fails if a cluster whose row is locked is in a later term than this.
func (t term) allows(cluster string, now int64) error {
	if t.number != 0 && t.cluster == cluster && t.number != now {
		return fmt.Errorf("store: cluster %q is in term %d, and this is %d: %w", cluster, now, t.number, ErrFenced)
	}
	return nil
}
