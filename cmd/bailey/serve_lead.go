package main

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// part is something that goes on until ctx ends.
type part func(ctx context.Context) error

// lead runs the parts that one process at a time may run: what writes history and what acts on
// the cluster. All end when ctx does, and with the first that ends.
func (s *serving) lead(ctx context.Context, parts ...part) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range parts {
		group.Go(func() error { return ended(ctx, run(ctx)) })
	}
	return group.Wait()
}

// ended gives the error of a part that ended: all others end with it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
