package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The state folder holds the account, so that a sink that was killed goes on
// counting where it was: state.json, written at each reading, and a journal of
// what came since, written before a batch is acknowledged.
const (
	stateFile     = "state.json"
	journalPrefix = "journal-"
	maxState      = 256 << 20
	maxJournal    = 1 << 30
	stateVersion  = 1
)

// savedState is what state.json holds.
type savedState struct {
	Version  int        `json:"version"`
	Boot     string     `json:"boot"`  // of the machine: its journal is not flushed to the disk
	Clean    bool       `json:"clean"` // written at an orderly end
	Journal  uint64     `json:"journal"`
	Counted  ranges     `json:"counted"`
	Accounts []*account `json:"accounts"`
}

// state is the folder while it is in use.
type state struct {
	dir     string
	number  uint64
	journal *os.File
	dirty   bool // the journal lacks something, so that only a new state.json will do
}

// bootID names the boot of this machine; "" where it cannot be told.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// openState reads the folder, which is made if absent. What cannot be trusted begins
// anew, and the accounts say why.
func openState(dir string) (*state, savedState, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, savedState{}, fmt.Errorf("the sink's state: %w\nhint: --state names a folder that it may write", err)
	}
	s := &state{dir: dir, dirty: true}
	saved, err := readState(filepath.Join(dir, stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, savedState{Version: stateVersion}, nil
	case err != nil:
		return nil, savedState{}, fmt.Errorf("the sink's state: %w\nhint: move the folder %s away to begin anew; the ledger keeps what it has", err, dir)
	}
	s.number = saved.Journal
	if boot := bootID(); !saved.Clean && (boot == "" || boot != saved.Boot) {
		for _, a := range saved.Accounts {
			a.reset("the sink's machine restarted, and what it had noted at last may be lost")
		}
		return s, saved, nil
	}
	if err := s.replay(&saved); err != nil {
		return nil, savedState{}, fmt.Errorf("the sink's journal: %w\nhint: move the folder %s away to begin anew; the ledger keeps what it has", err, dir)
	}
	return s, saved, nil
}

func readState(path string) (savedState, error) {
	f, err := os.Open(path)
	if err != nil {
		return savedState{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return savedState{}, err
	}
	return parseState(data)
}

func parseState(data []byte) (savedState, error) {
	var saved savedState
	if len(data) > maxState {
		return saved, fmt.Errorf("%s has more than %d bytes", stateFile, maxState)
	}
	if err := json.Unmarshal(data, &saved); err != nil {
		return saved, fmt.Errorf("%s: %w", stateFile, err)
	}
	if saved.Version != stateVersion {
		return saved, fmt.Errorf("%s has version %d; this program knows %d", stateFile, saved.Version, stateVersion)
	}
	for _, a := range saved.Accounts {
		if a == nil || a.Name == "" || slices.Contains(a.Open, nil) {
			return saved, fmt.Errorf("%s: an account is not whole", stateFile)
		}
	}
	if !saved.Counted.valid() {
		return saved, fmt.Errorf("%s: the ranges are out of order", stateFile)
	}
	return saved, nil
}

// save writes the state whole and begins a new journal.
func (s *state) save(saved savedState) (err error) {
	number := s.number + 1
	saved.Version, saved.Boot, saved.Journal = stateVersion, bootID(), number
	data, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	journal, err := os.OpenFile(s.journalPath(number), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	tmp := filepath.Join(s.dir, stateFile+".tmp")
	defer func() {
		if err != nil {
			_ = journal.Close()
			_ = os.Remove(tmp)
			_ = os.Remove(s.journalPath(number))
		}
	}()
	if err := writeSynced(tmp, data); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(s.dir, stateFile)); err != nil {
		return err
	}
	if s.journal != nil {
		_ = s.journal.Close()
	}
	_ = os.Remove(s.journalPath(s.number))
	s.number, s.journal, s.dirty = number, journal, false
	return nil
}

func (s *state) journalPath(number uint64) string {
	return filepath.Join(s.dir, journalPrefix+strconv.FormatUint(number, 10))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

func (s *state) close() {
	if s.journal != nil {
		_ = s.journal.Close()
		s.journal = nil
	}
}

// note is a line of the journal: what one batch brought that was new.
type note struct {
	Account string     `json:"a"`
	FromLog bool       `json:"l,omitempty"`
	Events  [][2]int64 `json:"e,omitempty"` // index in the ledger, packed time
	Own     []ownEvent `json:"o,omitempty"` // the events of our own requests
	Broken  bool       `json:"b,omitempty"` // the log was interrupted
}

type ownEvent struct {
	Index    uint64 `json:"i"`
	AuditID  string `json:"id"`
	Stage    string `json:"s"`
	Received int64  `json:"r"`
	At       int64  `json:"t"`
}

// append writes a note. Whatever fails makes the journal useless until the next save.
func (s *state) append(n *note) error {
	b := []byte(`{"a":`)
	name, err := json.Marshal(n.Account)
	if err != nil {
		return err
	}
	b = append(b, name...)
	if n.FromLog {
		b = append(b, `,"l":true`...)
	}
	if n.Broken {
		b = append(b, `,"b":true`...)
	}
	for i, e := range n.Events {
		if i == 0 {
			b = append(b, `,"e":[[`...)
		} else {
			b = append(b, `],[`...)
		}
		b = strconv.AppendInt(b, e[0], 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, e[1], 10)
	}
	if len(n.Events) > 0 {
		b = append(b, `]]`...)
	}
	if len(n.Own) > 0 {
		own, err := json.Marshal(n.Own)
		if err != nil {
			return err
		}
		b = append(append(b, `,"o":`...), own...)
	}
	if _, err := s.journal.Write(append(b, "}\n"...)); err != nil {
		s.dirty = true
		return fmt.Errorf("the sink's journal: %w", err)
	}
	return nil
}

// replay enters what the journal holds into the accounts.
func (s *state) replay(saved *savedState) error {
	f, err := os.Open(s.journalPath(saved.Journal))
	if errors.Is(err, fs.ErrNotExist) {
		if saved.Clean {
			return nil
		}
		for _, a := range saved.Accounts {
			a.reset("the sink's journal is gone")
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return replayNotes(io.LimitReader(f, maxJournal), saved)
}

func replayNotes(r io.Reader, saved *savedState) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil // the last line was cut off, so its batch was not acknowledged
		}
		var n note
		if err := json.Unmarshal(bytes.TrimSpace(line), &n); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		a := findAccount(&saved.Accounts, n.Account)
		if a == nil {
			return fmt.Errorf("line %d: no account", number)
		}
		if n.Broken {
			a.Breaks++
		}
		for _, e := range n.Events {
			if e[0] >= 0 && saved.Counted.add(uint64(e[0])) {
				stage := ""
				if e[1]&1 == 1 {
					stage = stageReceived
				}
				a.event(&Event{Stage: stage, At: e[1] >> 1}, n.FromLog)
			}
		}
		for _, e := range n.Own {
			if saved.Counted.add(e.Index) {
				a.event(&Event{AuditID: e.AuditID, Stage: e.Stage, Received: e.Received, At: e.At}, n.FromLog)
			}
		}
	}
}

// maxAccounts bounds how many API servers are kept account of.
const maxAccounts = 256

// findAccount gives the account of this name, made if need be, or nil when there
// are too many.
func findAccount(accounts *[]*account, name string) *account {
	for _, a := range *accounts {
		if a.Name == name {
			return a
		}
	}
	if name == "" || len(*accounts) >= maxAccounts {
		return nil
	}
	a := &account{Name: name}
	*accounts = append(*accounts, a)
	return a
}

// ranges is a set of indexes: ordered, from and up to but not including.
type ranges [][2]uint64

// maxRanges bounds it; the oldest hole is then taken for filled.
const maxRanges = 1 << 16

// add adds an index and reports whether it was new.
func (r *ranges) add(index uint64) bool {
	s := *r
	if n := len(s); n > 0 && s[n-1][1] == index {
		s[n-1][1]++
		return true
	}
	i, found := slices.BinarySearchFunc(s, index, func(one [2]uint64, x uint64) int {
		switch {
		case one[1] <= x:
			return -1
		case one[0] > x:
			return 1
		}
		return 0
	})
	if found {
		return false
	}
	after := i < len(s) && s[i][0] == index+1
	if before := i > 0 && s[i-1][1] == index; before && after {
		s[i-1][1] = s[i][1]
		s = slices.Delete(s, i, i+1)
	} else if before {
		s[i-1][1]++
	} else if after {
		s[i][0]--
	} else if s = slices.Insert(s, i, [2]uint64{index, index + 1}); len(s) > maxRanges {
		s[1][0] = s[0][0]
		s = s[1:]
	}
	*r = s
	return true
}

func (r ranges) valid() bool {
	for i, one := range r {
		if one[0] >= one[1] || i > 0 && r[i-1][1] >= one[0] {
			return false
		}
	}
	return true
}
