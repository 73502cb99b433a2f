package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// write writes what changed. All texts are on the disk, under other names, before
// the first takes its file's name: a full disk changes nothing, and whoever ends
// the program in between leaves each file whole, the old or the new one.
func (f *fixer) write() (err error) {
	type staged struct{ from, to string }
	var all []staged
	defer func() {
		for _, s := range all {
			os.Remove(s.from) // what took its name is no longer there
		}
	}()
	stage := func(to string, text []byte, mode os.FileMode, like os.FileInfo) error {
		t, err := os.CreateTemp(filepath.Dir(to), ".bailey-fix-*")
		if err != nil {
			return fmt.Errorf("%s could not be written, and nothing was: %w\nhint: may you write in its folder?", to, err)
		}
		all = append(all, staged{t.Name(), to})
		_, err = t.Write(text)
		if like != nil && err == nil {
			err = sameOwner(t, like)
		}
		for _, step := range []func() error{func() error { return t.Chmod(mode) }, t.Sync, t.Close} {
			if e := step(); err == nil {
				err = e
			}
		}
		if err != nil {
			return fmt.Errorf("%s could not be written, and nothing was: %w", to, err)
		}
		return nil
	}
	for _, path := range f.changed() {
		file := f.files[path]
		info, err := os.Lstat(path)
		if err != nil {
			return fmt.Errorf("%s has gone since it was read, and nothing was written: %w\nhint: run it again", file.name, err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, file.before) {
			return fmt.Errorf("%s has changed since it was read, and nothing was written\nhint: run it again", file.name)
		}
		if err := stage(path, file.after, info.Mode().Perm(), info); err != nil {
			return err
		}
	}
	for _, file := range f.patchFiles() {
		if err := os.MkdirAll(filepath.Dir(file.name), 0o755); err != nil {
			return fmt.Errorf("the folder for patches could not be made, and nothing was written: %w", err)
		}
		if err := stage(file.name, file.after, file.mode, nil); err != nil {
			return err
		}
	}
	for i, s := range all {
		if err := os.Rename(s.from, s.to); err != nil {
			return fmt.Errorf("%s could not be written (%d of %d files are): %w", s.to, i, len(all), err)
		}
	}
	return nil
}
