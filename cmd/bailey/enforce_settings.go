package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
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
	var written []*fixedFile
	var kept, wants, made []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(folder, filepath.FromSlash(name))
		file := &fixedFile{name: path, path: path, mode: 0o644, after: files[name]}
		if slices.Contains(old, name) {
			if file.before, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		if file.private = bytes.Contains(file.after, []byte(bailey.KeyHere)); file.private {
			switch {
			case holdsKey(file.before):
				kept = append(kept, path)
				continue
			case makeKey:
				key := make([]byte, 32)
				_, _ = rand.Read(key) // never fails
				file.after = bytes.Replace(file.after, []byte(bailey.KeyHere), []byte(base64.StdEncoding.EncodeToString(key)), 1)
				made = append(made, path)
			default:
				wants = append(wants, path)
			}
		}
		written = append(written, file)
	}
	var gone []string
	for _, name := range old {
		if files[name] != nil {
			continue
		}
		path := filepath.Join(folder, filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if holdsKey(text) && !strings.HasPrefix(filepath.Base(name), stagedPrefix) { // what was staged is nobody's key
			kept = append(kept, path)
			continue
		}
		gone = append(gone, path)
	}
	if err := writeWhole(written); err != nil {
		return err
	}
	for _, path := range gone {
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

// holdsKey tells whether the text of a file that was written here holds a key.
func holdsKey(text []byte) bool {
	return bytes.Contains(text, []byte("kind: EncryptionConfiguration")) && !bytes.Contains(text, []byte(bailey.KeyHere))
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
