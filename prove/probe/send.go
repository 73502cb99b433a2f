package probe

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/baileyhq/bailey"
)

const (
	sendEvery = 200 * time.Millisecond
	sendLimit = 3 * time.Second
	sendSize  = 64 << 10 // bytes of one connection, the marker among them
	received  = "received %d\n"
	arrived   = "arrived %d\n"
	lineLimit = 64
)

// markerBytes is what goes over the wire for a marker's text.
func markerBytes(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return []byte(hex.EncodeToString(sum[:]))
}

// send sends the marker until ctx ends, and tells on its port how often it arrived.
func send(ctx context.Context, s *bailey.Send) Report {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(s.Port))
	if err != nil {
		return failed("%v", err)
	}
	var count atomic.Int64
	go answerEach(ctx, l, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(listenPatience))
		fmt.Fprintf(c, arrived, count.Load())
	})
	load := make([]byte, sendSize)
	if _, err := rand.Read(load); err != nil { // random, so that nothing on the way makes it smaller
		return failed("%v", err)
	}
	copy(load, markerBytes(s.Marker))
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	for {
		if deliver(ctx, bracketed(s.To), load) == nil {
			count.Add(1)
		}
		select {
		case <-ctx.Done():
			return accepted("the marker arrived %d times", count.Load())
		case <-tick.C:
		}
	}
}

// deliver sends the load to a listener, and makes sure that it came whole.
func deliver(ctx context.Context, to string, load []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(sendLimit))
	r := bufio.NewReader(io.LimitReader(c, 2*lineLimit))
	if line, err := r.ReadString('\n'); err != nil || line != greeting {
		return fmt.Errorf("%s does not answer like a probe: %q, %v", to, line, err)
	}
	if _, err := c.Write(load); err != nil {
		return err
	}
	if half, ok := c.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	line, err := r.ReadString('\n')
	if want := fmt.Sprintf(received, len(load)); err != nil || line != want {
		return fmt.Errorf("%s says %q, not %q: %v", to, line, want, err)
	}
	return nil
}

// arrivals asks a sender how often its marker arrived.
func arrivals(ctx context.Context, sender string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", bracketed(sender))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(sendLimit))
	line, err := bufio.NewReader(io.LimitReader(c, lineLimit)).ReadString('\n')
	if err != nil {
		return 0, err
	}
	var n int64
	if _, err := fmt.Fscanf(strings.NewReader(line), arrived, &n); err != nil {
		return 0, fmt.Errorf("%s does not answer like a sender: %q", sender, line)
	}
	return n, nil
}
