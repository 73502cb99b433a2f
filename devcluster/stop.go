package devcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Stop ends the cluster's processes, the last started first: SIGTERM, and SIGKILL for
// what has not ended after 15 seconds or when the context ends. It waits for them,
// then removes the state folder if that is temporary. It may be called again.
// The error names processes that live on, or what could not be removed.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	select {
	case <-c.stopping:
	default:
		close(c.stopping)
	}
	if c.client != nil {
		c.client.CloseIdleConnections() // the API server waits for open connections
	}
	if err := end(ctx, c.procs); err != nil {
		return fmt.Errorf("devcluster: stop: %w", err)
	}
	c.stopped = true
	for _, l := range c.relays {
		_ = l.Close()
	}
	if c.network != nil {
		_ = c.network.Close()
	}
	return finish(c.Dir, c.journal)
}

// Stop ends whatever runs from the state folder dir, in particular a detached cluster
// and the leftovers of one that was killed, as [Cluster.Stop] does. A folder in which
// nothing runs is a success; one that does not exist, too.
func Stop(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("devcluster: stop: %w", err)
	}
	j, err := readJournal(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = j.judgeable()
	}
	if err != nil {
		return fmt.Errorf("devcluster: stop %s: %w", dir, err)
	}
	if err := end(ctx, j.live()); err != nil {
		return fmt.Errorf("devcluster: stop %s: %w", dir, err)
	}
	return finish(dir, j)
}

// finish leaves the folder as one in which nothing runs, or removes it.
func finish(dir string, j journal) error {
	if err := j.removeNodes(dir); err != nil {
		return fmt.Errorf("devcluster: stop: %w", err)
	}
	if j.Temporary {
		// A file that appears meanwhile makes it fail once.
		err := os.RemoveAll(dir)
		for range 3 {
			if err == nil {
				return nil
			}
			time.Sleep(20 * time.Millisecond)
			err = os.RemoveAll(dir)
		}
		return fmt.Errorf("devcluster: stop: %w", err)
	}
	j.Ready, j.Processes, j.Nodes = false, nil, nil
	if err := j.write(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("devcluster: stop: journal: %w", err)
	}
	return nil
}
