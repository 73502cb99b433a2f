package devcluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const dialLimit = 10 * time.Second

// netns is a network namespace. It lives as long as this handle or a process in
// it does, so one whose processes were all killed is gone by itself.
type netns struct{ *os.File }

// newNamespace makes an empty network namespace.
func newNamespace() (*netns, error) {
	var made *netns
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		made = &netns{f}
		return err
	})
	return made, err
}

// namespaceOf returns the network namespace that a process is in.
func namespaceOf(pid int) (*netns, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return nil, err
	}
	return &netns{f}, nil
}

// onOwnThread runs f on an OS thread that serves nothing else, and puts the thread back
// into the network namespace that it came from. Where that fails the thread ends with
// its goroutine, and no other code can find itself in the wrong namespace.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// do runs f within the namespace. A socket stays in the namespace it was made in, so
// what f opens can be used from anywhere afterwards. f must not start goroutines that
// make sockets, and a child it starts with a parent-death signal dies with the thread.
func (n *netns) do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(n.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return f()
	})
}

// dial connects to an IP address and port from within the namespace.
func (n *netns) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	if err := literal(address); err != nil {
		return nil, err
	}
	err = n.do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// listen listens on an IP address and port within the namespace.
func (n *netns) listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	if err := literal(address); err != nil {
		return nil, err
	}
	err = n.do(func() error {
		l, err = (&net.ListenConfig{}).Listen(ctx, network, address)
		return err
	})
	return l, err
}

// literal refuses host names: the resolver would ask from another thread, in another
// namespace.
func literal(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err == nil && net.ParseIP(host) == nil {
		err = fmt.Errorf("%q is not an IP address", host)
	}
	return err
}

// ip runs the commands of one `ip -batch` within the namespace.
func (n *netns) ip(ctx context.Context, commands ...string) error {
	cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := n.do(cmd.Run); err != nil {
		return fmt.Errorf("set up the network: ip: %w%s", err, indentedTail(strings.TrimSpace(output.String())))
	}
	return nil
}

// forward lets the namespace pass packets on between its links.
func (n *netns) forward() error {
	return n.do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) })
}

// relay hands each connection that l gets to the address within the namespace, until l
// is closed. The API server and etcd listen in the cluster's namespace on the very
// address that l listens on outside, so one URL serves on both sides.
func (n *netns) relay(l net.Listener, address string) {
	for {
		outer, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer outer.Close()
			ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
			inner, err := n.dial(ctx, "tcp", address)
			cancel()
			if err != nil {
				return // the client sees a closed connection, as it would a refused one
			}
			defer inner.Close()
			var both sync.WaitGroup
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from) // either end may go at any time
				if half, ok := to.(interface{ CloseWrite() error }); ok {
					_ = half.CloseWrite()
				}
			}
			both.Go(func() { pass(inner, outer) })
			both.Go(func() { pass(outer, inner) })
			both.Wait()
		}()
	}
}
