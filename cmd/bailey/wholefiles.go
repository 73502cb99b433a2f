package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// fixedFile is a file, as it is and as it is to be.
type fixedFile struct {
	name          string      // as the user would write it
	path          string      // that leads through no link at its end
	mode          fs.FileMode // of a new file
	private       bool        // nobody but who runs this may read it, whatever was there
	before, after []byte      // before is nil for a new file
}

// stagedPrefix begins the names under which texts are on the disk until they take
// those of their files.
const stagedPrefix = ".bailey-new-"

// writeWhole writes files. All texts are on the disk, under other names, before the
// first takes its file's name: a full disk changes nothing, and whoever ends the
// program in between leaves each file whole, the old or the new one. A file that is
// no longer as it was read is not overwritten.
func writeWhole(files []*fixedFile) (err error) {
	var staged []string
	defer func() {
		for _, name := range staged {
			os.Remove(name) // what took its file's name is no longer there
		}
	}()
	for _, file := range files {
		name, err := file.stage()
		if name != "" {
			staged = append(staged, name)
		}
		if err != nil {
			return fmt.Errorf("%s could not be written, and nothing was: %w", file.name, err)
		}
	}
	for _, file := range files {
		if err := file.isAsRead(); err != nil {
			return err
		}
	}
	for i, file := range files {
		if err := os.Rename(staged[i], file.path); err != nil {
			return fmt.Errorf("%s could not be written (%d of %d files are): %w", file.name, i, len(files), err)
		}
	}
	return nil
}

// stage writes the text under another name in the file's folder, with the mode and
// the owner of what is there.
func (file *fixedFile) stage() (name string, err error) {
	mode := file.mode
	like, err := os.Lstat(file.path)
	switch {
	case err == nil:
		mode = like.Mode().Perm()
	case file.before != nil || !errors.Is(err, fs.ErrNotExist):
		return "", err
	default:
		if err := os.MkdirAll(filepath.Dir(file.path), 0o755); err != nil {
			return "", err
		}
	}
	t, err := os.CreateTemp(filepath.Dir(file.path), stagedPrefix+"*")
	if err != nil {
		return "", fmt.Errorf("%w\nhint: may you write in its folder?", err)
	}
	_, err = t.Write(file.after)
	switch {
	case file.private:
		mode = 0o600
	case like != nil && err == nil:
		err = sameOwner(t, like)
	}
	for _, step := range []func() error{func() error { return t.Chmod(mode) }, t.Sync, t.Close} {
		if e := step(); err == nil {
			err = e
		}
	}
	return t.Name(), err
}

// isAsRead refuses a file that somebody has changed, made or taken away since it
// was read.
func (file *fixedFile) isAsRead() error {
	info, err := os.Lstat(file.path)
	if file.before == nil && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var now []byte
	if err == nil && info.Mode().IsRegular() {
		now, err = os.ReadFile(file.path)
	}
	if err != nil || file.before == nil || !info.Mode().IsRegular() || !bytes.Equal(now, file.before) {
		return fmt.Errorf("%s has changed since it was read, and nothing was written\nhint: run it again", file.name)
	}
	return nil
}
