package probe

import (
	"bufio"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

// start does a task that lives, on a free port, and gives its address.
func start(t *testing.T, task func(port int) *bailey.Task) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan Report, 1)
	go func() { done <- Do(ctx, task(port)) }()
	t.Cleanup(func() {
		stop()
		if r := <-done; r.Failed {
			t.Error(r.Message)
		}
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for range 500 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nobody listens on %s", address)
	return ""
}

// countUntil asks a sender until it tells of an arrival, or the patience is over.
func countUntil(t *testing.T, sender string, patience time.Duration) int64 {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		n, err := arrivals(t.Context(), sender)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 || time.Now().After(end) {
			return n
		}
	}
}

// TestSend: only what came whole at a listener counts as arrived.
func TestSend(t *testing.T) {
	listener := start(t, func(port int) *bailey.Task { return &bailey.Task{Listen: port} })
	sendTo := func(to string) func(int) *bailey.Task {
		return func(port int) *bailey.Task { return &bailey.Task{Send: &bailey.Send{To: to, Marker: "m", Port: port}} }
	}
	if n := countUntil(t, start(t, sendTo(listener)), 10*time.Second); n == 0 {
		t.Error("nothing arrived at a listener")
	}
	// One that takes the connection, greets, and loses what comes after the marker.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	met := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, greeting)
			line, _ := bufio.NewReader(io.LimitReader(c, 64)).ReadString('\n')
			io.WriteString(c, "received 64\n")
			c.Close()
			met <- line
		}
	}()
	sender := start(t, sendTo(l.Addr().String()))
	if got := <-met; got != string(markerBytes("m")) {
		t.Errorf("the marker on the wire is %q", got)
	}
	<-met // the first was counted by now, if it was
	if n := countUntil(t, sender, 0); n != 0 {
		t.Errorf("%d arrived whole at one that loses bytes", n)
	}
	if r := Do(t.Context(), &bailey.Task{Wire: &bailey.Wire{Marker: "m", To: []string{"127.0.0.1"}}}); !r.Failed || !strings.Contains(r.Message, "a sender or a datagram") {
		t.Errorf("%+v", r)
	}
}
