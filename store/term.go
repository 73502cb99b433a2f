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
	in := &Store{e: s.e, term: term{cluster: clean(cluster)}}
	if in.term.cluster == "" {
		return nil, errNoUID
	}
	err := s.change(ctx, func(r *reader) error {
		if err := r.addCluster(in.term.cluster, "", at); err != nil {
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

// InTerm fails with ErrFenced once the term has ended, and with ErrUnavailable where nothing can be written in it.
func (s *Store) InTerm(ctx context.Context) error {
	var now int64
	if err := s.read(ctx, func(r *reader) error {
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
