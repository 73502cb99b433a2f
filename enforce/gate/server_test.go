package gate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// TestAnnouncedBodies: connections that announce bodies and do not send them keep nobody
// out, and are ended soon.
func TestAnnouncedBodies(t *testing.T) {
	s := strict(t)
	server := httptest.NewServer(s)
	defer server.Close()
	var idle []net.Conn
	for range 50 {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: gate\r\nContent-Length: %d\r\n\r\n{", imagegate.ImagesPath, maxBody)
		idle = append(idle, c)
	}
	await(t, func() bool { // all of them are being read
		if s.room.TryAcquire(bodiesAtOnce - 49) {
			s.room.Release(bodiesAtOnce - 49)
			return false
		}
		return true
	})
	for range 2 { // on one connection, so that no deadline of the first is left on it
		resp, err := http.Post(server.URL+imagegate.ImagesPath+"?timeout=10s", "application/json", strings.NewReader(string(seeds(t)[0])))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("beside announced bodies a review is answered by %s", resp.Status)
		}
	}
	for _, c := range idle[:2] {
		_ = c.SetReadDeadline(time.Now().Add(5 * bodyLimit))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("who sends nothing is answered by %v: %v", resp, err)
		}
	}
	await(t, func() bool { return s.room.TryAcquire(bodiesAtOnce) })
}
