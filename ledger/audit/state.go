package audit

import (
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
// what came since, which has a batch before the ledger has it.
const (
	stateFile     = "state.json"
	journalPrefix = "journal-"
	maxState      = 256 << 20
	maxJournal    = 64 << 20 // then state.json is written, and the journal begun anew
	stateVersion  = 2
)

// savedState is what state.json holds.
type savedState struct {
	Version  int        `json:"version"`
	Boot     string     `json:"boot"`  // of the machine: its journal is not flushed to the disk
	Clean    bool       `json:"clean"` // written at an orderly end
	Journal  uint64     `json:"journal"`
	Counted  ranges     `json:"counted"`
	Accounts []*account `json:"accounts"`
	// Pending is what the ledger was handed, or was to be, of which it is not noted
	// whether it was stored; by number.
	Pending map[uint64]*intent `json:"pending,omitempty"`
}

// begin begins every account anew, and says why.
func (saved *savedState) begin(why string) {
	for _, a := range saved.Accounts {
		a.reset(why)
	}
	clear(saved.Pending)
}

// state is the folder while it is in use.
type state struct {
	dir     string
	number  uint64
	journal *os.File
	size    int64 // of the journal
	dirty   bool  // the journal lacks something, so that only a new state.json will do
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
		return s, savedState{Version: stateVersion, Pending: map[uint64]*intent{}}, nil
	case err != nil:
		return nil, savedState{}, fmt.Errorf("the sink's state: %w\nhint: move the folder %s away to begin anew; the ledger keeps what it has", err, dir)
	}
	s.number = saved.Journal
	if boot := bootID(); !saved.Clean && (boot == "" || boot != saved.Boot) {
		saved.begin("the sink's machine restarted, and what it had noted at last may be lost")
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
	if saved.Pending == nil {
		saved.Pending = map[uint64]*intent{}
	}
	for number, in := range saved.Pending {
		if in == nil || in.Number != number || !in.whole() || findAccount(&saved.Accounts, in.Account) == nil {
			return saved, fmt.Errorf("%s: what is pending is not whole", stateFile)
		}
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
	s.number, s.journal, s.size, s.dirty = number, journal, 0, false
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
