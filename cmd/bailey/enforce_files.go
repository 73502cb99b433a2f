package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/baileyhq/bailey/enforce"
)

// writeFiles writes the plan's objects into a folder, which holds nothing else, or what
// was written there before.
func (a *app) writeFiles(plan *enforce.Plan, layout enforce.Layout, folder string) error {
	files, err := plan.Render(layout, version)
	if err != nil {
		return err
	}
	if err := replaceFiles(folder, files); err != nil {
		return err
	}
	how := "kubectl apply --server-side -k " + folder
	if layout == enforce.LayoutHelm {
		how = "helm upgrade --install --take-ownership bailey-guards " + folder
	}
	_, err = fmt.Fprintf(a.stdout, "%s written to %s.\nTo put them in place: %s\n", plural(len(plan.Changes), "object"), folder, how)
	return err
}

// replaceFiles writes files, by their path with slashes, in the place of those that were
// written there before.
func replaceFiles(folder string, files map[string][]byte) error {
	old, err := ownFiles(folder)
	if err != nil {
		return err
	}
	var changed []*fixedFile
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(folder, filepath.FromSlash(name))
		file := &fixedFile{name: path, path: path, mode: 0o644, after: files[name]}
		if slices.Contains(old, name) {
			if file.before, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		changed = append(changed, file)
	}
	if err := writeWhole(changed); err != nil {
		return err
	}
	for _, name := range old {
		if files[name] == nil {
			if err := os.Remove(filepath.Join(folder, filepath.FromSlash(name))); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownFiles lists the files of a folder, by their path with slashes. One that was not
// written by bailey enforce is an error: nothing of somebody else's is overwritten or
// becomes part of a chart.
func ownFiles(folder string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if path == folder && errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll
			}
			return err
		}
		name, _ := filepath.Rel(folder, path)
		if entry.IsDir() {
			return nil
		}
		if strings.HasPrefix(entry.Name(), stagedPrefix) && entry.Type().IsRegular() {
			names = append(names, filepath.ToSlash(name)) // of a run that was ended
			return nil
		}
		if !entry.Type().IsRegular() || !slices.Contains([]string{".yaml", ".conf", ".md"}, filepath.Ext(name)) || !isOwn(path) {
			return usageError("%s was not written by bailey enforce\nhint: give a folder of its own", path)
		}
		names = append(names, filepath.ToSlash(name))
		return nil
	})
	return names, err
}

func isOwn(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	begin := make([]byte, len(enforce.Marker))
	n, _ := file.Read(begin)
	return bytes.Equal(begin[:n], []byte(enforce.Marker))
}
