package store

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// ErrOvertaken: a push does not follow the last that was kept, or another began after it.
var ErrOvertaken = errors.New("this push does not follow the last that was kept")

// PushWhole keeps the whole state of a cluster that its spoke pushes, as Replace does, and the push's
// mark. Of two that are written at once, by processes of their own too, the one that began later is
// kept: the other ends with ErrOvertaken, and nothing that follows it is kept.
func (s *Store) PushWhole(ctx context.Context, cluster, name string, at time.Time, mark string, d Delta) error {
	if err := s.PutCluster(ctx, cluster, name, at); err != nil {
		return err
	}
	alone := s.claimed()
	if err := s.write(ctx, cluster, time.Time{}, func(w *writer) error { return w.setPushed(alone.claim) }); err != nil {
		return err
	}
	if err := alone.Replace(ctx, cluster, at, d); err != nil {
		return err
	}
	return alone.write(ctx, cluster, time.Time{}, func(w *writer) error { return w.setPushed(mark) })
}

// PushNext keeps what a spoke pushes after the push with the mark after, as Apply does, and its own
// mark; ErrOvertaken if that was not the last. Without a delta the cluster was heard of.
func (s *Store) PushNext(ctx context.Context, cluster string, at time.Time, after, mark string, d *Delta) error {
	if d != nil && d.large() {
		return s.pushInTurns(ctx, cluster, after, mark, func(alone *Store) error { return alone.applyInTurns(ctx, cluster, at, d) })
	}
	return s.write(ctx, cluster, at, func(w *writer) error {
		if err := w.follow(after); err != nil {
			return err
		}
		var err error
		if d == nil {
			err = w.hear()
		} else {
			err = w.apply(d)
		}
		return errors.Join(err, w.setPushed(mark))
	})
}

// follow fails unless the last push that was kept is the one with the mark after.
func (w *writer) follow(after string) error {
	if after == "" || after[0] == '~' || w.pushed != clean(after) {
		return ErrOvertaken
	}
	return nil
}

// pushInTurns has a push that follows another be written in several transactions, by the store that write is
// handed, and keeps its mark.
func (s *Store) pushInTurns(ctx context.Context, cluster, after, mark string, write func(alone *Store) error) error {
	alone := s.claimed()
	if err := s.write(ctx, cluster, time.Time{}, func(w *writer) error {
		if err := w.follow(after); err != nil {
			return err
		}
		return w.setPushed(alone.claim)
	}); err != nil {
		return err
	}
	if err := write(alone); err != nil {
		return err
	}
	return alone.write(ctx, cluster, time.Time{}, func(w *writer) error { return w.setPushed(mark) })
}

// claimed is the store for one push that is written in turns: its claim stands where the mark does,
// and is none, so that no push follows one that was interrupted.
func (s *Store) claimed() *Store {
	alone := *s
	alone.claim = "~" + rand.Text()
	return &alone
}

func (w *writer) setPushed(mark string) error {
	_, err := w.exec("UPDATE clusters SET pushed = ? WHERE n = ?", clean(mark), w.cluster)
	return err
}
