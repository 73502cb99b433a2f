package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
)

// RestartAPIServer ends the API server by a signal (SIGTERM lets it finish what it does,
// SIGKILL does not), starts it again with the same arguments, and waits until it is
// ready. Only the Cluster that Start returned can do it.
func (c *Cluster) RestartAPIServer(ctx context.Context, signal os.Signal) error {
	start, err := c.StopAPIServer(ctx, signal)
	if err != nil {
		return err
	}
	return start(ctx)
}

// StopAPIServer ends the API server by a signal, and gives the function that starts it again
// with the same arguments and waits until it is ready.
func (c *Cluster) StopAPIServer(ctx context.Context, signal os.Signal) (start func(context.Context) error, err error) {
	c.mu.Lock()
	i := slices.IndexFunc(c.procs, func(p *process) bool { return p.Component == APIServer })
	args := c.apiServer
	if i < 0 || args == nil || c.stopped {
		c.mu.Unlock()
		return nil, errors.New("devcluster: stop the API server: this is not a cluster that Start returned, or it was stopped")
	}
	old := c.procs[i]
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
	c.mu.Unlock()
	if err := old.signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("devcluster: stop the API server: %w", err)
	}
	if !old.wait(ctx, termLimit) {
		_ = old.signal(syscall.SIGKILL)
		if !old.wait(context.WithoutCancel(ctx), killLimit) {
			return nil, fmt.Errorf("devcluster: stop the API server: %s (pid %d) does not end", APIServer, old.PID)
		}
	}
	// The old one is forgotten first: it would be taken for one that ended by itself.
	c.mu.Lock()
	c.procs = slices.Delete(slices.Clone(c.procs), i, i+1)
	c.mu.Unlock()
	err = c.update(func(j *journal) {
		j.Processes = slices.DeleteFunc(j.Processes, func(id identity) bool { return id == old.identity })
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := c.run(APIServer, c.detached, args); err != nil {
			return err
		}
		// It keeps its place: components are stopped in the reverse order.
		c.mu.Lock()
		last := len(c.procs) - 1
		c.procs = slices.Insert(slices.Clone(c.procs[:last]), i, c.procs[last])
		c.mu.Unlock()
		return c.Ready(ctx)
	}, nil
}
