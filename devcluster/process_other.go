//go:build !linux

package devcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
)

const supported = false

var (
	errLocked      = errors.New("locked by another process")
	errUnsupported = errors.New("not supported on " + runtime.GOOS)
)

func startChild(*exec.Cmd, bool, *netns) error  { return errUnsupported }
func isolate(*exec.Cmd)                         {}
func startTime(int) (string, bool, error)       { return "", false, errUnsupported }
func self() (identity, error)                   { return identity{PID: os.Getpid()}, errUnsupported }
func machine() string                           { return runtime.GOOS }
func sameBoot(a, b string) bool                 { return a == b }
func bearing(string) []identity                 { return nil }
func tryLock(string) (unlock func(), err error) { return nil, errUnsupported }
func ownFolder(string) bool                     { return false }

// netns stands for a network namespace, of which there is none here.
type netns struct{ io.Closer }

func newNamespace() (*netns, error)                                   { return nil, errUnsupported }
func namespaceOf(int) (*netns, error)                                 { return nil, errUnsupported }
func (*netns) ip(context.Context, ...string) error                    { return errUnsupported }
func (*netns) forward() error                                         { return errUnsupported }
func (*netns) relay(net.Listener, string)                             {}
func (*netns) dial(context.Context, string, string) (net.Conn, error) { return nil, errUnsupported }
func (*netns) listen(context.Context, string, string) (net.Listener, error) {
	return nil, errUnsupported
}

func makeCgroups(string) error    { return errUnsupported }
func removeCgroups(string) error  { return nil }
func removeTree(dir string) error { return os.RemoveAll(dir) }

// NodeSupported says why no node can be started here.
func NodeSupported() error {
	return fmt.Errorf("devcluster: a node runs on Linux only, not on %s", runtime.GOOS)
}
