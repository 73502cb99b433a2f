package repo

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Identity tells the content of what a name stands for in a state, so that two states
// can be compared where neither can be read: of a file the blob's ID, of a submodule
// its commit's, of a folder those of all that may matter in it. What a chart's folder
// holds, and the whole state of a folder with a kustomization, belong together. Empty
// if there is nothing of that name.
func (r *Repository) Identity(ctx context.Context, s *State, name string) (string, error) {
	read, done, err := r.reader(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	if id, known := s.unread[name]; known {
		return id, nil
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, is := s.entries[path.Join(dir, "Chart.yaml")]; is {
			name = dir
		}
	}
	if _, known := s.entries[name]; known {
		return r.identityOf(ctx, s, name, read)
	}
	within := name + "/"
	for _, base := range kustomizations {
		if _, is := s.entries[path.Join(name, base)]; is {
			within = "" // it may be built from any folder
		}
	}
	if name == "." {
		within = ""
	}
	var all []string
	for _, file := range s.wanted() {
		if !strings.HasPrefix(file, within) {
			continue
		}
		id, err := r.identityOf(ctx, s, file, read)
		if err != nil {
			return "", err
		}
		all = append(all, file+"\x00"+id)
	}
	for file, id := range s.unread {
		if strings.HasPrefix(file, within) {
			all = append(all, file+"\x00"+id)
		}
	}
	if len(all) == 0 {
		return "", nil
	}
	slices.Sort(all)
	sum := sha256.Sum256([]byte(strings.Join(all, "\x00")))
	return hex.EncodeToString(sum[:]), nil
}

// identityOf is that of one entry: a blob's ID; of a link what it says, with what it
// leads to in the state.
func (r *Repository) identityOf(ctx context.Context, s *State, name string, read reading) (string, error) {
	said := ""
	for range linksLimit {
		e, known := s.entries[name]
		switch {
		case !known:
			return said + s.unread[name], nil
		case !e.link:
			if e.id != "" {
				return said + e.id, nil
			}
			id, err := r.hash(ctx, name, e.size)
			return said + id, err
		case e.size > 4096:
			return said + e.id, nil
		}
		to, err := read(name, e)
		if err != nil {
			return "", err
		}
		said += "to " + string(to) + "\x00"
		name = path.Join(path.Dir(name), string(to))
	}
	return said, nil
}

// hash gives the ID that git would give the file of the working tree as it is.
func (r *Repository) hash(ctx context.Context, name string, size int64) (string, error) {
	format, err := r.ask(ctx, "rev-parse", "--show-object-format")
	if err != nil {
		return "", err
	}
	var sum hash.Hash = sha1.New()
	if strings.TrimSpace(string(format)) == "sha256" {
		sum = sha256.New()
	}
	root, err := os.OpenRoot(r.Top)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	fmt.Fprintf(sum, "blob %d\x00", size)
	if _, err := io.Copy(sum, io.LimitReader(f, size+1)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// submodule gives the commit that the working tree has of a submodule: the one that is
// checked out, or that of the index.
func (r *Repository) submodule(ctx context.Context, name string) string {
	if info, err := os.Lstat(filepath.Join(r.Top, filepath.FromSlash(name), ".git")); err == nil && info.Mode().Type()&fs.ModeSymlink == 0 {
		out, err := r.ask(ctx, "-C", filepath.FromSlash(name), "rev-parse", "--verify", "--quiet", "HEAD")
		if id := strings.TrimSpace(string(out)); err == nil && commitID.MatchString(id) {
			return id
		}
	}
	out, err := r.ask(ctx, "ls-files", "-s", "-z", "--", name)
	if fields := strings.Fields(string(out)); err == nil && len(fields) > 1 {
		return fields[1]
	}
	return ""
}
