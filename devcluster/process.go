package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// How long a component may take to end: from SIGTERM to SIGKILL, and after that.
const (
	termLimit = 15 * time.Second
	killLimit = 5 * time.Second
)

// process is a component, started here or found in a journal.
type process struct {
	identity

	// Of a process that was started here; nil for one that was found.
	done chan struct{} // closed when it has ended
	cmd  *exec.Cmd
}

// startProcess starts cmd, in the network namespace unless nil. It dies with this process
// unless detach is set.
func startProcess(component string, cmd *exec.Cmd, detach bool, network *netns) (*process, error) {
	if err := startChild(cmd, detach, network); err != nil {
		return nil, err
	}
	p := &process{identity: identity{Component: component, PID: cmd.Process.Pid}, done: make(chan struct{}), cmd: cmd}
	// Nobody has waited for it yet, so its entry in /proc is there even if it has ended.
	start, _, err := startTime(p.PID)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	p.Start = start
	go func() {
		_ = cmd.Wait() // the state is read by how
		close(p.done)
	}()
	return p, nil
}

func (p *process) alive() bool {
	if p.done != nil {
		select {
		case <-p.done:
			return false
		default:
			return true
		}
	}
	if p.PID <= 0 {
		return false
	}
	start, running, err := startTime(p.PID)
	return err == nil && running && start == p.Start
}

// how says how the process ended.
func (p *process) how() string {
	if p.done == nil || p.alive() {
		return "ended"
	}
	return p.cmd.ProcessState.String()
}

// signal sends s to the process and to no other: the handle is taken first and the
// start time compared after, so a recycled process id is never hit.
func (p *process) signal(s os.Signal) error {
	h, err := os.FindProcess(p.PID)
	if err != nil {
		return err
	}
	defer func() { _ = h.Release() }()
	if !p.alive() {
		return os.ErrProcessDone
	}
	return h.Signal(s)
}

// wait returns whether the process ended before the limit and the context did.
func (p *process) wait(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if p.done != nil {
		select {
		case <-p.done:
			return true
		case <-ctx.Done():
			return !p.alive()
		}
	}
	for p.alive() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

// end stops processes in reverse order, each with SIGTERM and, after a limit or when
// the context has ended, SIGKILL. Controller-manager and scheduler go together.
// It returns an error only for processes that live on.
func end(ctx context.Context, procs []*process) error {
	var errs []error
	for hi := len(procs); hi > 0; {
		lo := hi - 1
		for lo > 0 && order(procs[lo].Component) > order(APIServer) && order(procs[lo-1].Component) > order(APIServer) {
			lo--
		}
		group := procs[lo:hi]
		hi = lo
		for _, p := range group {
			_ = p.signal(syscall.SIGTERM) // if this fails, what follows still judges
		}
		for _, p := range group {
			if p.wait(ctx, termLimit) {
				continue
			}
			err := p.signal(os.Kill)
			// The context has perhaps ended; what is being killed is awaited all the same.
			if !p.wait(context.WithoutCancel(ctx), killLimit) {
				errs = append(errs, fmt.Errorf("%s (pid %d) does not end: %v", p.Component, p.PID, err))
			}
		}
	}
	return errors.Join(errs...)
}
