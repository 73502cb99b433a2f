package probe

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// TestDialFirst waits for the address that shows that there is a network, and
// learns nothing where it does not answer.
func TestDialFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*retryEvery/2)
	defer cancel()
	if r := Do(ctx, &bailey.Task{Dial: &bailey.Dial{Address: address, First: address}}); !r.Failed {
		t.Errorf("without a network: %+v", r)
	}

	done := make(chan Report, 1)
	go func() { done <- Do(t.Context(), &bailey.Task{Dial: &bailey.Dial{Address: address, First: address}}) }()
	select { // the first connections are refused
	case r := <-done:
		t.Fatalf("it did not wait: %+v", r)
	case <-time.After(2 * retryEvery):
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if r := <-done; !r.Accepted {
		t.Errorf("with a network: %+v", r)
	}
}
