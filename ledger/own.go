package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

const (
	maxOwnState = 1 << 20
	maxControls = 4096 // announced and not known to be signed: so many writes can fail in a row
)

// ownState is what the writer keeps in its private folder about its own doings, so
// that an open takes nothing for its own that somebody else put beside it.
type ownState struct {
	// Config is the SHA-256 of ledger.json, in hex. Next is that of a change that was begun.
	Config string `json:"config"`
	Next   string `json:"next,omitempty"`
	// Controls are the SHA-256, in hex, of the key and shred entries that may not be signed yet.
	Controls []string `json:"controls,omitempty"`
}

// own is the file of it.
type own struct {
	path string

	mu     sync.Mutex
	state  ownState
	landed map[string]uint64 // the index of each of Controls that is known
}

func readOwn(dir string) (*own, error) {
	o := &own{path: filepath.Join(dir, ownFile), landed: map[string]uint64{}}
	data, err := readBounded(os.DirFS(dir), ownFile, maxOwnState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing, so that nobody can tell what this writer made from what somebody put there\nhint: restore private/ from a backup; without it the ledger can be read, verified and exported, and not be written", ownFile)
	}
	if err != nil {
		return nil, err
	}
	if o.state, err = parseOwnState(data); err != nil {
		return nil, fmt.Errorf("%s: %w", ownFile, err)
	}
	return o, nil
}

func parseOwnState(data []byte) (ownState, error) {
	var s ownState
	if err := strictJSON(data, &s); err != nil {
		return s, err
	}
	sums := append([]string{s.Config}, s.Controls...)
	if s.Next != "" {
		sums = append(sums, s.Next)
	}
	for _, sum := range sums {
		if !validSum(sum) {
			return s, fmt.Errorf("%.80q is no SHA-256", sum)
		}
	}
	return s, nil
}

// change changes the state on the disk, and in memory if that went well.
func (o *own) change(next ownState) error {
	data, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := writeDurable(o.path, append(data, '\n')); err != nil {
		return err
	}
	o.state = next
	return nil
}

// announce notes a control entry before it goes into the log.
func (o *own) announce(sum string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.state.Controls) >= maxControls {
		return fmt.Errorf("%d key and shred entries in a row could not be written\nhint: close the ledger and open it again", maxControls)
	}
	next := o.state
	next.Controls = append(slices.Clone(next.Controls), sum)
	return o.change(next)
}

// land notes where an announced entry is.
func (o *own) land(sum string, index uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.landed[sum] = index
}

// forget drops the entries below size, which are signed.
func (o *own) forget(size uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.state
	next.Controls = slices.DeleteFunc(slices.Clone(next.Controls), func(sum string) bool {
		index, ok := o.landed[sum]
		return ok && index < size
	})
	if err := o.change(next); err != nil {
		return err
	}
	for sum, index := range o.landed {
		if index < size {
			delete(o.landed, sum)
		}
	}
	return nil
}

// settle drops them all, once the log that was found is signed, and keeps the configuration that was found.
func (o *own) settle(config string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.state.Controls) == 0 && o.state.Config == config {
		return nil
	}
	return o.change(ownState{Config: config, Next: o.state.Next})
}

// begin notes a change of configuration before it is made, end after.
func (o *own) begin(sum string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.state
	next.Next = sum
	return o.change(next)
}

func (o *own) end(sum string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.state
	next.Config, next.Next = sum, ""
	return o.change(next)
}

// announced reports whether the writer made this control entry.
func (o *own) announced(sum string) bool { return slices.Contains(o.state.Controls, sum) }
