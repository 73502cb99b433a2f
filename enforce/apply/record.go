package apply

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce"
)

// Record is what was done to one object, and what was there before. It is on disk
// before the object is touched.
type Record struct {
	Object     bailey.Ref `json:"object"`
	APIVersion string     `json:"apiVersion"`
	// Created tells that the object was not there. UID is its own from then on.
	Created bool   `json:"created"`
	UID     string `json:"uid,omitempty"`
	// Before holds, of an object that was there, the value of each field that was
	// set, by its path; null for one that was not there.
	Before []enforce.Field `json:"before,omitempty"`
	// Applied is what was applied last, or was about to be. Earlier is what was seen to
	// be in place of what was applied before that: an apply that was cut off left it.
	Applied map[string]any `json:"applied"`
	Earlier map[string]any `json:"earlier,omitempty"`
	Stage   enforce.Stage  `json:"stage"`
	// AuditedSince is when the audit stage began.
	AuditedSince time.Time `json:"auditedSince,omitzero"`
	At           time.Time `json:"at"`
}

// maxRecord bounds a record's file: an object of etcd is at most 1.5 MB.
const maxRecord = 8 << 20

// Records reads the records of a folder, sorted by object. A folder that is not there
// holds none.
func Records(folder string) ([]Record, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Record
	for _, entry := range entries {
		if entry.IsDir() || !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxRecord {
			return nil, fmt.Errorf("%s is no record of what was applied\nhint: move it out of the folder", path)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var r Record
		if err := json.Unmarshal(data, &r); err != nil || r.Object.Name == "" {
			return nil, fmt.Errorf("%s is not readable as a record of what was applied: %w\nhint: without it, its object cannot be put back; move it away to go on", path, errors.Join(err))
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Record) int { return a.Object.Compare(b.Object) })
	return all, nil
}

// write puts the record on disk, whole or not at all.
func (r *Record) write(folder string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".record-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), recordPath(folder, r.Object))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("what is about to be applied could not be noted, so it is not: %w", err), os.Remove(f.Name()))
	}
	return syncFolder(folder)
}

func (r *Record) remove(folder string) error {
	if err := os.Remove(recordPath(folder, r.Object)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFolder(folder)
}

func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func recordPath(folder string, object bailey.Ref) string {
	sum := sha256.Sum256([]byte(string(object.Kind) + "\x00" + object.Namespace + "\x00" + object.Name))
	return filepath.Join(folder, hex.EncodeToString(sum[:8])+".json")
}
