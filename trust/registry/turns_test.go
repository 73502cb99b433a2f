package registry_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey/internal/registrytest"
	"github.com/baileyhq/bailey/trust"
	"github.com/baileyhq/bailey/trust/registry"
)

// TestLargeTakeTurns: of images with large attestations two are judged at a time, by whatever
// client; one that waits ends with its context, and small ones wait for none.
func TestLargeTakeTurns(t *testing.T) {
	r := registrytest.Start(t)
	client := func() *registry.Client {
		return &registry.Client{Keychain: r.Keychain(), Transport: r.Transport}
	}
	push := func(repository string, size int) string {
		digest := r.Push(t, repository, "1")
		bundle := []byte(`{"x":"` + strings.Repeat("x", size) + `"}`)
		if _, err := client().Attach(t.Context(), r.Host+"/"+repository, digest, bundle, trust.PredicateSignature, time.Now()); err != nil {
			t.Fatal(err)
		}
		return digest
	}
	large, small := push("shop/large", 1<<20), push("shop/small", 1000)
	entered, release := make(chan int, 8), make(chan struct{})
	var held sync.WaitGroup
	judge := func(ctx context.Context) error {
		return client().Judge(ctx, r.Host+"/shop/large", large, func(found []*trust.Bundle) {
			entered <- len(found)
			<-release
		})
	}
	for range 2 {
		held.Go(func() {
			if err := judge(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for range 2 {
		if n := <-entered; n != 1 {
			t.Errorf("%d were found", n)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := judge(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third while two are held: %v", err)
	}
	if err := client().Judge(t.Context(), r.Host+"/shop/small", small, func([]*trust.Bundle) {}); err != nil {
		t.Errorf("a small one: %v", err)
	}
	close(release)
	held.Wait()
	if err := judge(t.Context()); err != nil {
		t.Errorf("after the others: %v", err)
	}
}
