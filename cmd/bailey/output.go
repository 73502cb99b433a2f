package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/report"
)

// output is one -o: a format, and the file it goes to (empty: standard output).
type output struct {
	format report.Format
	path   string
}

// parseOutputs takes the values of -o. Standard output holds one at most.
func parseOutputs(values []string) ([]output, error) {
	if len(values) == 0 {
		values = []string{"text"}
	}
	var outputs []output
	standard := 0
	for _, value := range values {
		name, path, toFile := strings.Cut(value, "=")
		if toFile && path == "" {
			return nil, usageError("-o %s names no file\nhint: write -o %s=FILE", value, name)
		}
		format, err := report.Lookup(name)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		if !toFile {
			standard++
		}
		outputs = append(outputs, output{format, path})
	}
	if standard > 1 {
		return nil, usageError("only one output can go to standard output\nhint: give the others a file, like -o sarif=out.sarif")
	}
	return outputs, nil
}

// write renders the report to every output.
func (a *app) write(outputs []output, r *bailey.Report, o report.Options) error {
	for _, out := range outputs {
		if out.path == "" {
			o.Color, o.Width = a.color(a.stdout), a.columns(a.stdout)
			w := bufio.NewWriterSize(a.stdout, 64<<10)
			if err := out.format.Render(w, r, o); err != nil {
				return err
			}
			if err := w.Flush(); err != nil {
				return fmt.Errorf("the report could not be written: %w", err)
			}
			continue
		}
		o.Color, o.Width = false, a.columns(nil)
		if out.format.Documents != nil && isFolder(out.path) {
			var statements []report.Document
			statements, o.EvidenceFile = signedStatements(r)
			if err := writeFolder(out.path, append(statements, out.format.Documents(r, o)...)); err != nil {
				return err
			}
			o.EvidenceFile = nil // of the folder alone
			continue
		}
		if err := writeFile(out.path, 0o644, func(w io.Writer) error { return out.format.Render(w, r, o) }); err != nil {
			return err
		}
	}
	return nil
}

// isFolder reports whether the path names a folder, or one that is to be.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() || err != nil && strings.HasSuffix(path, "/")
}

// writeFolder writes files that name one another into a folder, which it makes
// if need be. All are written before the first takes its name.
func writeFolder(path string, documents []report.Document) (err error) {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s could not be made: %w\nhint: does the folder that it lies in exist, and may you write there?", path, err)
	}
	staging, err := os.MkdirTemp(path, ".bailey-*")
	if err != nil {
		return fmt.Errorf("%s could not be written to: %w\nhint: may you write there?", path, err)
	}
	defer os.RemoveAll(staging)
	for _, d := range documents {
		if err := writeFile(filepath.Join(staging, filepath.Base(d.Name)), 0o644, d.Render); err != nil {
			return err
		}
	}
	for _, d := range documents {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(path, d.Name)), 0o755); err != nil {
			return fmt.Errorf("%s could not be made: %w", filepath.Dir(filepath.Join(path, d.Name)), err)
		}
		if err := os.Rename(filepath.Join(staging, filepath.Base(d.Name)), filepath.Join(path, d.Name)); err != nil {
			return fmt.Errorf("%s could not be written: %w", filepath.Join(path, d.Name), err)
		}
	}
	return nil
}

// writeFile writes a file whole or not at all.
func writeFile(path string, mode os.FileMode, fill func(io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usageError("%s is a folder\nhint: name a file in it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("%s could not be written: %w\nhint: does the folder exist, and may you write there?", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if err := fill(w); err != nil {
		return err
	}
	for _, step := range []func() error{w.Flush, func() error { return f.Chmod(mode) }, f.Sync, f.Close, func() error { return os.Rename(f.Name(), path) }} {
		if err := step(); err != nil {
			return fmt.Errorf("%s could not be written: %w", path, err)
		}
	}
	return nil
}
