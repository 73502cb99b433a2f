package devcluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// hierarchies returns where the hierarchies of version 1 cgroups are mounted, one for each
// set of controllers. With version 2 there are none.
func hierarchies() []string {
	var roots []string
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.procs")); err == nil {
		return nil // what is below belongs to services
	}
	paths, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", "cgroup.procs"))
	for _, path := range paths {
		roots = append(roots, filepath.Dir(path))
	}
	return roots
}

// makeCgroups makes the cgroup of that name in each hierarchy.
func makeCgroups(name string) error {
	for _, root := range hierarchies() {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return fmt.Errorf("make a cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroups removes the cgroups of that name and those below. Their processes have
// been killed, but a cgroup stays busy for a moment after its last one.
func removeCgroups(name string) error {
	var err error
	for range 200 {
		err = nil
		for _, root := range hierarchies() {
			err = errors.Join(err, removeCgroup(filepath.Join(root, name)))
		}
		if err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("remove cgroups: %w", err)
}

func removeCgroup(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if e := os.Remove(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	return err
}

// removeTree removes a folder, unless something is mounted in it here: what a node mounts
// is in a mount namespace that ends with it, so that would be somebody else's, and
// removing would go into it.
func removeTree(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			return fmt.Errorf("%s is not removed: something is mounted on %s\nhint: unmount that first", dir, f[4])
		}
	}
	return os.RemoveAll(dir)
}
