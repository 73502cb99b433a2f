package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// addTarget finds the inputs of one target.
func (c *collector) addTarget(ctx context.Context, name string) error {
	t := &target{Target: bailey.Target{Name: name}}
	c.targets = append(c.targets, t)
	if name == "-" {
		t.Medium = "stdin"
		if c.opts.Stdin == nil {
			return errors.New("the target - reads standard input, and there is none")
		}
		c.inputs = append(c.inputs, input{target: t, name: "<stdin>", reader: c.opts.Stdin})
		return nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("target %s: %w", name, pathless(err))
	}
	if !info.IsDir() {
		return c.addFile(ctx, t, name)
	}
	switch {
	case isChart(name):
		t.Medium = "chart"
		c.addChart(ctx, t, name, true)
	case kustomizationIn(name) != "":
		t.Medium = "kustomization"
		c.addKustomizations(ctx, t, []string{name})
	default:
		t.Medium = "folder"
		return c.walk(ctx, t, name)
	}
	return nil
}

// addFile takes a file that is a target itself, whatever its name ends in.
func (c *collector) addFile(ctx context.Context, t *target, name string) error {
	folder, base := filepath.Split(name)
	if folder == "" {
		folder = "."
	}
	switch {
	case base == "Chart.yaml":
		t.Medium = "chart"
		c.addChart(ctx, t, filepath.Clean(folder), true)
	case strings.HasSuffix(base, ".tgz"), strings.HasSuffix(base, ".tar.gz"):
		t.Medium = "chart"
		c.addChart(ctx, t, name, true)
	case slices.Contains(kustomizationNames[:], base):
		t.Medium = "kustomization"
		c.addKustomizations(ctx, t, []string{filepath.Clean(folder)})
	default:
		t.Medium = "file"
		c.inputs = append(c.inputs, input{target: t, name: name, path: name})
	}
	return nil
}

var kustomizationNames = [...]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// kustomizationIn is the path of the kustomization file of a folder; empty if
// there is none.
func kustomizationIn(folder string) string {
	for _, name := range kustomizationNames {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

func isChart(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, "Chart.yaml"))
	return err == nil && info.Mode().IsRegular()
}

// walk finds the files, charts and kustomizations in a folder. Symbolic links
// to files are followed and those to folders are not, so that there are no
// circles.
func (c *collector) walk(ctx context.Context, t *target, root string) error {
	var files, charts, kustomizations []string
	err := filepath.WalkDir(root+string(filepath.Separator), func(path string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.skip(path, message(err), "")
			if entry != nil && entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		base := entry.Name()
		if filepath.Clean(path) != filepath.Clean(root) && (strings.HasPrefix(base, ".") || base == "node_modules") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			if isChart(path) {
				charts = append(charts, path)
				return fs.SkipDir
			}
			if kustomizationIn(path) != "" {
				kustomizations = append(kustomizations, path)
			}
			return nil
		}
		if !isManifest(base) {
			return nil
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			if info, err := os.Stat(path); err != nil || info.IsDir() {
				t.ignore(path, "a symbolic link that leads to no file")
				return nil
			}
		}
		if len(files) >= maxFiles {
			t.skip(root, fmt.Sprintf("it holds more than %d files", maxFiles), "scan its sub-folders one by one")
			return fs.SkipAll
		}
		files = append(files, path)
		return nil
	})
	if err != nil {
		return err
	}
	covered := c.addKustomizations(ctx, t, kustomizations)
	for _, path := range files {
		if !covered[Absolute(path)] && !slices.Contains(kustomizationNames[:], filepath.Base(path)) {
			c.inputs = append(c.inputs, input{target: t, name: path, path: path})
		}
	}
	for _, path := range charts {
		c.addChart(ctx, t, path, false)
	}
	return nil
}

func isManifest(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// Absolute gives one name per file, links resolved.
func Absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

// errOutside is of a path that leads out of Options.Root.
var errOutside = errors.New("it leads out of the folder that may be read")

// confined reports whether a path, links resolved, lies in the root; all do if it
// is empty.
func confined(root, path string) bool {
	if root == "" {
		return true
	}
	within, err := filepath.Rel(root, Absolute(path))
	return err == nil && filepath.IsLocal(within)
}

func pathless(err error) error {
	var wrapped *os.PathError
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// readBounded reads a file of a chart or a kustomization.
func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, maxFile>>20)
	}
	data, err := os.ReadFile(path)
	return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), err
}
