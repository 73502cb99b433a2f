package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce"
)

// writeSettings writes the plan's settings into a folder, which holds nothing else, or
// what was written there before. With makeKey a key is made into the file that wants one.
// A file that holds a key is left as it is.
func (a *app) writeSettings(plan *enforce.Plan, folder string, makeKey bool) error {
	files, err := plan.RenderSettings()
	if err != nil {
		return err
	}
	old, err := ownFiles(folder)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		_, err := fmt.Fprintln(a.stdout, "Nothing to write: what was seen of the components is as it should be.")
		return err
	}
	var kept, wants, made []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path, text := filepath.Join(folder, filepath.FromSlash(name)), files[name]
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if !bytes.Contains(text, []byte(bailey.KeyHere)) {
			if err := os.WriteFile(path, text, 0o644); err != nil {
				return err
			}
			continue
		}
		holds, err := holdsKey(path)
		if err != nil {
			return err
		}
		switch {
		case holds:
			kept = append(kept, path)
			continue
		case makeKey:
			key := make([]byte, 32)
			_, _ = rand.Read(key) // never fails
			text = bytes.Replace(text, []byte(bailey.KeyHere), []byte(base64.StdEncoding.EncodeToString(key)), 1)
			made = append(made, path)
		default:
			wants = append(wants, path)
		}
		if err := writePrivate(path, text); err != nil {
			return err
		}
	}
	for _, name := range old {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if files[name] != nil {
			continue
		}
		holds, err := holdsKey(path)
		if err != nil {
			return err
		}
		if holds {
			kept = append(kept, path)
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	w := &wrapper{out: a.stdout, width: a.columns(a.stdout)}
	w.text("", fmt.Sprintf("Settings of %s written to %s. %s says where each file goes.", plural(len(plan.Components()), "component"), folder, filepath.Join(folder, "README.md")))
	for _, path := range made {
		w.text("", path+" holds a new key, which is nowhere else: keep a copy where no copy of etcd lies.")
	}
	for _, path := range wants {
		w.text("", path+" lacks its key: put 32 random bytes in base64 there, or run this again with --make-key.")
	}
	for _, path := range kept {
		w.text("", path+" holds a key, and was left as it is.")
	}
	return w.err
}

// holdsKey tells whether a file that was written here holds a key.
func holdsKey(path string) (bool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return bytes.Contains(text, []byte("kind: EncryptionConfiguration")) && !bytes.Contains(text, []byte(bailey.KeyHere)), nil
}

// writePrivate writes a file that nobody but its owner may read, over one that holds no
// key.
func writePrivate(path string, text []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// printSettings names what components should be started with.
func (e *enforcement) printSettings(w *wrapper) {
	settings := e.plan.Settings
	if len(settings) == 0 {
		return
	}
	w.line("")
	w.text("", "Settings of components, which no API applies: bailey enforce -o settings=DIR writes the files, and says where they go.")
	var unseen []string
	for _, component := range e.plan.Components() {
		all := e.plan.SettingsOf(component)
		if !slices.ContainsFunc(all, func(s enforce.Setting) bool { return len(s.Seen) > 0 }) {
			unseen = append(unseen, fmt.Sprintf("%s (%s)", component, plural(len(all), "setting")))
			continue
		}
		w.line("  " + component)
		for _, s := range all {
			text := s.Name()
			switch {
			case s.Value == nil:
				text += ": " + s.Note
			case s.File != nil:
				text += ": " + s.File.Name
			default:
				text += ": " + brief(s.Value)
			}
			if s.Value != nil && len(s.Seen) > 0 {
				text += "; it is " + s.Instead()
			}
			w.text("      ", "    "+text)
		}
	}
	if len(unseen) > 0 {
		w.text("    ", "  not seen, so that all is written out: "+strings.Join(unseen, ", "))
	}
}
