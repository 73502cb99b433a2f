package docgen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Stale gives the paths, sorted, at which the folder root does not hold these
// pages: missing ones, ones that differ, and generated ones that no control has
// any more. Paths are from root.
func Stale(root string, pages map[string][]byte) ([]string, error) {
	var stale []string
	for path, want := range pages {
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the page %s: %w", path, err)
		}
		if err != nil || !bytes.Equal(got, want) {
			stale = append(stale, path)
		}
	}
	left, err := orphans(root, pages)
	stale = append(stale, left...)
	slices.Sort(stale)
	return stale, err
}

// Write puts the pages into the folder root, and removes generated pages that
// no control has any more.
func Write(root string, pages map[string][]byte) error {
	for path, text := range pages {
		file := filepath.Join(root, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("make the folder of the page %s: %w", path, err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return fmt.Errorf("write the page %s: %w", path, err)
		}
	}
	left, err := orphans(root, pages)
	for _, path := range left {
		err = errors.Join(err, os.Remove(filepath.Join(root, filepath.FromSlash(path))))
	}
	return err
}

// orphans finds generated pages that are not among these. A page that somebody
// wrote by hand lacks the header, and is left alone.
func orphans(root string, pages map[string][]byte) ([]string, error) {
	var left []string
	err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(Dir)), func(file string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".md" {
			return err
		}
		path, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if _, found := pages[path]; found {
			return nil
		}
		text, err := os.ReadFile(file)
		if err == nil && bytes.HasPrefix(text, []byte(header)) {
			left = append(left, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for old pages under %s: %w", Dir, err)
	}
	return left, nil
}
