package probe

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// TestSight reads the loopback device as if it were the wire, while a sender's marker
// arrives at a listener over it.
func TestSight(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("reading packets needs root")
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	listener := start(t, func(port int) *bailey.Task { return &bailey.Task{Listen: port} })
	sendTo := func(to string) string {
		return start(t, func(port int) *bailey.Task {
			return &bailey.Task{Send: &bailey.Send{To: to, Marker: "sent", Port: port}}
		})
	}
	sender := sendTo(listener)
	look := func(sender, marker string, device int, to string) Report {
		t.Helper()
		addresses := []netip.Addr{netip.MustParseAddr(to)}
		tap, err := openTap(addresses)
		if err != nil {
			t.Fatal(err)
		}
		defer tap.close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s := sight{tap: tap, devices: map[int]string{device: "wire0"}, to: addresses, marker: markerBytes(marker)}
		return s.sender(ctx, sender)
	}
	if r := look(sender, "sent", lo.Index, "127.0.0.1"); !r.Accepted || !strings.Contains(r.Message, "wire0") {
		t.Errorf("in plain text: %+v", r)
	}
	if r := look(sender, "another", lo.Index, "127.0.0.1"); r.Refuser != bailey.RefuserTransit {
		t.Errorf("what carries another marker: %+v", r)
	}
	if r := look(sender, "sent", lo.Index+100000, "127.0.0.1"); !r.Failed || !strings.Contains(r.Message, "the wire is elsewhere") {
		t.Errorf("another device: %+v", r)
	}
	if r := look(sender, "sent", lo.Index, "127.9.9.9"); !r.Failed || !strings.Contains(r.Message, "the wire is elsewhere") {
		t.Errorf("for another address: %+v", r)
	}
	stop := noise(t)
	if r := look(sender, "sent", lo.Index, "127.9.9.9"); !r.Failed || !strings.Contains(r.Message, "the wire is elsewhere") {
		t.Errorf("for another address, beside other traffic: %+v", r)
	}
	stop()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	unheard := sendTo(nobody.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	tap, err := openTap([]netip.Addr{netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	defer tap.close()
	s := sight{tap: tap, devices: map[int]string{lo.Index: "wire0"}, marker: markerBytes("another")}
	if r := s.sender(ctx, unheard); !r.Failed || !strings.Contains(r.Message, "did not arrive") {
		t.Errorf("nobody listens: %+v", r)
	}
}

// noise sends to an address of IPv6 that nothing was asked about, until it is stopped.
func noise(t *testing.T) (stop func()) {
	t.Helper()
	c, err := net.Dial("udp", "[::1]:9")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer c.Close()
		data := make([]byte, 32<<10)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				_, _ = c.Write(data) // nobody listens
			}
		}
	}()
	return func() { close(done); <-ended }
}
