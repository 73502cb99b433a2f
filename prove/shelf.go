package prove

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Keep writes an envelope into the folder, durable, and gives its path.
func Keep(dir, id string, at time.Time, envelope []byte) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%.12s.dsse.json", at.UTC().Format("20060102T150405Z"), id))
	if err := writeNew(path, envelope); err != nil {
		return "", fmt.Errorf("the evidence could not be kept: %w\nhint: make room, then prove again", err)
	}
	return path, nil
}

// Kept is one piece of evidence in a folder, or why it does not count.
type Kept struct {
	Path      string
	Statement *Statement
	Err       error
}

// Load reads and verifies the evidence in a folder, oldest first. A piece that
// does not verify is given with its error: it raises no rung. Of several copies of
// one piece the first is given: copies are no further tries.
func Load(ctx context.Context, dir string, trusted []ed25519.PublicKey, since time.Time) ([]Kept, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Name() < files[j].Name() })
	var all []Kept
	seen := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".dsse.json") || f.Name() < since.UTC().Format("20060102T150405Z") {
			continue
		}
		k := Kept{Path: filepath.Join(dir, f.Name())}
		if k.Statement, k.Err = LoadFile(ctx, k.Path, trusted); k.Err == nil {
			id := k.Statement.Predicate.Evidence.ID
			if seen[id] {
				continue
			}
			seen[id] = true
		}
		all = append(all, k)
	}
	return all, nil
}

// LoadFile reads and verifies one piece of evidence.
func LoadFile(ctx context.Context, path string, trusted []ed25519.PublicKey) (*Statement, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > evidenceLimit {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, evidenceLimit>>20)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := Open(ctx, data, trusted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}
