package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	greeting       = "bailey probe\n"
	listenPatience = 2 * time.Second // for what a client may send
	listenAtOnce   = 64              // connections
	receiveLimit   = 1 << 20         // bytes of one connection
)

// listen answers each connection with a line, and one that ends with a second that
// says how many bytes came. They are dropped.
func listen(ctx context.Context, port int) Report {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return failed("%v", err)
	}
	answerEach(ctx, l, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(listenPatience))
		if _, err := io.WriteString(c, greeting); err != nil {
			return
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(c, receiveLimit)); err == nil {
			fmt.Fprintf(c, received, n)
		}
	})
	return accepted("listened on port %d", port)
}

// answerEach hands every connection to answer, a bounded number at a time, until ctx ends.
func answerEach(ctx context.Context, l net.Listener, answer func(net.Conn)) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	free := make(chan struct{}, listenAtOnce)
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		free <- struct{}{}
		go func() {
			defer func() { _ = c.Close(); <-free }()
			answer(c)
		}()
	}
}
