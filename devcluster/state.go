package devcluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const (
	// journalName is also the marker by which a state folder is known: nothing
	// without it is ever removed.
	journalName = "bailey-devcluster.json"
	tempPrefix  = "bailey-devcluster-"
	// idVariable is in the environment of each component, with the journal's ID.
	idVariable = "BAILEY_DEVCLUSTER_ID"
)

// identity names one process for good: a process id may be recycled, but not with
// the same start time.
type identity struct {
	Component string `json:"component"`
	PID       int    `json:"pid"`
	Start     string `json:"start"`
}

// journal is what a state folder says about itself.
type journal struct {
	ID        string     `json:"id"`
	Machine   string     `json:"machine"`   // boot and PID namespace in which the process ids mean something
	Owner     identity   `json:"owner"`     // who started it
	Detached  bool       `json:"detached"`  // it may outlive its owner
	Temporary bool       `json:"temporary"` // the folder goes when the cluster does
	Ready     bool       `json:"ready"`     // Start came to its end
	Binary    string     `json:"binary"`
	RESTHost  string     `json:"restHost"`
	Etcd      string     `json:"etcd"`
	Processes []identity `json:"processes"` // in the order of their start

	Network bool         `json:"network,omitempty"` // it is in a network namespace of its own
	Nodes   []nodeRecord `json:"nodes,omitempty"`
}

func readJournal(dir string) (journal, error) {
	var j journal
	path := filepath.Join(dir, journalName)
	b, err := os.ReadFile(path)
	if err != nil {
		return j, err
	}
	if err := json.Unmarshal(b, &j); err != nil || j.ID == "" {
		return j, fmt.Errorf("%s is damaged: %v\nhint: remove the folder if nothing in it is wanted", path, err)
	}
	return j, nil
}

func (j *journal) write(dir string) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, journalName), append(b, '\n'))
}

// writeFile replaces a file at once, with mode 0600.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// judgeable returns an error when the journal's process ids mean nothing here
// although they may be in use: same boot, another PID namespace.
func (j *journal) judgeable() error {
	here := machine()
	if j.Machine == here || !sameBoot(j.Machine, here) {
		return nil
	}
	return errors.New("it was started in another PID namespace (a container?)\nhint: stop it from there")
}

// live returns the processes of the cluster that still run: those in the journal
// and those which bear its ID.
func (j *journal) live() []*process {
	if !sameBoot(j.Machine, machine()) {
		return nil
	}
	var live []*process
	seen := map[int]bool{}
	for _, id := range j.Processes {
		if p := (&process{identity: id}); p.alive() {
			live = append(live, p)
			seen[id.PID] = true
		}
	}
	for _, id := range bearing(idVariable + "=" + j.ID) {
		if p := (&process{identity: id}); !seen[id.PID] && p.alive() {
			live = append(live, p)
		}
	}
	slices.SortStableFunc(live, func(a, b *process) int { return order(a.Component) - order(b.Component) })
	return live
}

// ownerAlive reports whether whoever started the cluster still runs.
func (j *journal) ownerAlive() bool {
	return sameBoot(j.Machine, machine()) && (&process{identity: j.Owner}).alive()
}

// order is the order in which components start; they stop in reverse. What is none of
// them is a node or belongs to one.
func order(component string) int {
	components := []string{Etcd, APIServer, ControllerManager, Scheduler}
	if i := slices.Index(components, component); i >= 0 {
		return i
	}
	return len(components)
}

// removeNodes removes what ended nodes leave: their cgroups and root folders.
func (j *journal) removeNodes(dir string) error {
	if !j.Network {
		return nil
	}
	return errors.Join(removeCgroups(cgroupOf(j.ID)), removeTree(filepath.Join(dir, "nodes")))
}

// claim makes dir the state folder of a cluster that this process starts, ends what
// an earlier one left there, and returns its new journal and the previous one. The
// caller holds the folder's lock.
func claim(ctx context.Context, dir string, o Options) (now, before journal, err error) {
	before, err = readJournal(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		entries, err := os.ReadDir(dir)
		if err != nil {
			return now, before, err
		}
		if len(entries) > 0 {
			return now, before, fmt.Errorf("%s holds files that are not a dev cluster's\nhint: name an empty or a new folder", dir)
		}
	case err != nil:
		return now, before, err
	default:
		if err := before.judgeable(); err != nil {
			return now, before, fmt.Errorf("%s: %w", dir, err)
		}
		live := before.live()
		if len(live) > 0 && !before.Detached && before.ownerAlive() {
			return now, before, fmt.Errorf("a cluster of process %d runs in %s\nhint: stop it first, or name another folder", before.Owner.PID, dir)
		}
		if err := end(ctx, live); err != nil {
			return now, before, err
		}
		if err := before.removeNodes(dir); err != nil {
			return now, before, err
		}
	}
	owner, err := self()
	if err != nil {
		return now, before, err
	}
	now = journal{
		ID:        rand.Text(),
		Machine:   machine(),
		Owner:     owner,
		Detached:  o.Detach,
		Temporary: o.State == "" && !o.Keep,
		Binary:    o.Binary,
		Network:   o.Network,
	}
	return now, before, now.write(dir)
}

// sweep removes the temporary folders of clusters that were killed: those that bear
// the marker, belong to this user, and whose owner and processes have ended. The
// processes of a start that was cut short are ended first. What it cannot judge, it
// leaves.
func sweep(ctx context.Context, parent string) {
	entries, err := filepath.Glob(filepath.Join(parent, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range entries {
		if !ownFolder(dir) {
			continue
		}
		unlock, err := tryLock(dir)
		if err != nil {
			continue // somebody is at it
		}
		if j, err := readJournal(dir); err == nil && j.Temporary && j.judgeable() == nil && !j.ownerAlive() {
			live := j.live()
			if len(live) > 0 && !(j.Detached && j.Ready) && end(ctx, live) == nil {
				live = nil
			}
			if len(live) == 0 && j.removeNodes(dir) == nil {
				_ = os.RemoveAll(dir)
			}
		}
		unlock()
	}
}
