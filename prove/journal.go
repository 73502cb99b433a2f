package prove

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/baileyhq/bailey"
)

// journalLineLimit bounds a line of a journal, in bytes.
const journalLineLimit = 1 << 20

// made is one object that a run made, or was about to make.
type made struct {
	APIVersion string `json:"apiVersion"`
	Resource   string `json:"resource"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

func (m made) String() string {
	if m.Namespace == "" {
		return m.Resource + " " + m.Name
	}
	return m.Resource + " " + m.Namespace + "/" + m.Name
}

// same reports whether two entries name one object.
func (m made) same(o made) bool {
	return m.APIVersion == o.APIVersion && m.Resource == o.Resource && m.Namespace == o.Namespace && m.Name == o.Name
}

// entry is a line of a journal; one field is set.
type entry struct {
	At      time.Time     `json:"at"`
	Begin   *journalBegin `json:"begin,omitempty"`
	Unit    *journalUnit  `json:"unit,omitempty"`   // an experiment begins for a scope
	Intend  *made         `json:"intend,omitempty"` // before the request
	Made    *made         `json:"made,omitempty"`   // after it, with the UID
	Refused *made         `json:"refused,omitempty"`
	Gone    *made         `json:"gone,omitempty"`
	Owe     *debt         `json:"owe,omitempty"`  // what must be put back, before it is changed
	Paid    int           `json:"paid,omitempty"` // the number of the debt that was
	Done    bool          `json:"done,omitempty"` // the experiment ended, and its evidence is kept
	End     bool          `json:"end,omitempty"`  // the run ended and left nothing
}

type journalBegin struct {
	Run     string `json:"run"`
	Cluster string `json:"cluster"`
	Version string `json:"version"`
}

type journalUnit struct {
	Control    string        `json:"control"`
	Experiment string        `json:"experiment"`
	Danger     bailey.Danger `json:"danger"`
	Scope      bailey.Scope  `json:"scope"`
}

// journal is what a run is about to do, on disk before it is done. It is locked
// while the run lives: who can lock it may clean up after it.
type journal struct {
	file *os.File
	path string
	now  func() time.Time
}

var errBusy = errors.New("another process holds it")

// createJournal begins the journal of a run in the folder.
func createJournal(dir, run, cluster, version string, now func() time.Time) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, run+".jsonl")
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, path: path + ".new", now: now}
	if err := j.lock(); err != nil {
		_ = f.Close()
		return nil, err
	}
	if err := j.write(entry{Begin: &journalBegin{Run: run, Cluster: cluster, Version: version}}); err != nil {
		return nil, errors.Join(err, j.close())
	}
	// It bears its name only now that it is locked: a reaper that finds it cannot
	// take it for one that nobody holds.
	if err := os.Rename(j.path, path); err != nil {
		return nil, errors.Join(err, j.close())
	}
	j.path = path
	return j, syncFolder(dir)
}

func (j *journal) lock() error {
	err := unix.Flock(int(j.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy
	}
	return err
}

// write puts a line on disk before it returns.
func (j *journal) write(e entry) error {
	e.At = j.now().UTC()
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("the journal %s cannot be written, and nothing is done without it: %w", j.path, err)
	}
	return j.file.Sync()
}

func (j *journal) close() error { return j.file.Close() }

// finish ends a journal that left nothing: it is no longer needed.
func (j *journal) finish() error {
	return errors.Join(j.write(entry{End: true}), os.Remove(j.path), j.close())
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// openJournal opens what a run left, and fails with errBusy if the run lives.
func openJournal(path string, now func() time.Time) (*journal, []entry, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	j := &journal{file: f, path: path, now: now}
	if err := j.lock(); err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	entries, whole, err := readJournal(f)
	if err == nil {
		err = f.Truncate(whole) // what is written next must not join half a line
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, entries, nil
}

// readJournal reads the lines of a journal, and says how many bytes they have. A last line that is not whole was
// being written when the run was killed: what it was to announce was not done.
func readJournal(r io.Reader) (entries []entry, whole int64, err error) {
	lines := bufio.NewReaderSize(io.LimitReader(r, 64<<20), 64<<10)
	for number := 1; ; number++ {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return entries, whole, nil
		}
		if err != nil {
			return nil, whole, err
		}
		if len(line) > journalLineLimit {
			return nil, whole, fmt.Errorf("line %d is longer than %d bytes", number, journalLineLimit)
		}
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, whole, fmt.Errorf("line %d is damaged: %w\nhint: look for objects with the label %s and the file's name, then remove the file", number, err, bailey.RunLabel)
		}
		entries = append(entries, e)
		whole += int64(len(line))
	}
}

// journals lists the journals in the folder.
func journals(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".jsonl") {
			paths = append(paths, filepath.Join(dir, f.Name()))
		}
	}
	return paths, err
}

// CutOff names the runs in the folder that were killed and not cleaned up after.
func CutOff(dir string) ([]string, error) { return runsOf(dir, false) }

// Live names the runs in the folder that are under way.
func Live(dir string) ([]string, error) { return runsOf(dir, true) }

func runsOf(dir string, live bool) (runs []string, err error) {
	paths, err := journals(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return runs, err
		}
		busy := errors.Is((&journal{file: f}).lock(), errBusy)
		if err := f.Close(); err != nil {
			return runs, err
		}
		if busy == live {
			runs = append(runs, strings.TrimSuffix(filepath.Base(path), ".jsonl"))
		}
	}
	return runs, nil
}
