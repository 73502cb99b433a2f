package repo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// Bounds of one state.
const (
	filesLimit = 50_000
	fileLimit  = 16 << 20  // bytes
	totalLimit = 512 << 20 // bytes
	linksLimit = 10        // symbolic links in a row
)

// State is what one state of the repository holds of files that manifests, charts
// and kustomizations consist of.
type State struct {
	// Skipped are files that should have been read and were not.
	Skipped []bailey.Skip

	entries map[string]entry  // by path with forward slashes
	unread  map[string]string // IDs of what is no entry: submodules, blobs that git lacks
}

// kustomizations are the names of kustomization files.
var kustomizations = [...]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// entry is a file, or a symbolic link, of a state.
type entry struct {
	link bool
	id   string // of the blob; empty for the working tree
	size int64
}

// Tree lists what a commit holds.
func (r *Repository) Tree(ctx context.Context, commit string) (*State, error) {
	out, err := r.ask(ctx, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit)
	if err != nil {
		return nil, err
	}
	return parseTree(string(out))
}

// parseTree reads what git ls-tree -l -z lists.
func parseTree(out string) (*State, error) {
	s := &State{entries: map[string]entry{}, unread: map[string]string{}}
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if line == "" {
			continue
		}
		about, name, _ := strings.Cut(line, "\t")
		fields := strings.Fields(about) // mode, type, ID, size
		if len(fields) != 4 || !commitID.MatchString(fields[2]) {
			return nil, fmt.Errorf("git ls-tree says %q, which is not understood", shorten(line))
		}
		switch {
		case !isLocal(name):
			s.skip(name, "its path leads out of the repository")
		case fields[1] == "commit":
			s.unread[name] = fields[2]
			s.skip(name, "a submodule, which is another repository")
		case fields[3] == "BAD":
			s.unread[name] = fields[2]
			s.skip(name, "git does not have it: is this a partial clone?")
		default:
			size, err := strconv.ParseInt(fields[3], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("git ls-tree says %q, which is not understood", shorten(line))
			}
			s.entries[name] = entry{link: fields[0] == "120000", id: fields[2], size: size}
		}
	}
	return s, nil
}

// WorkingTree lists what the working tree holds: what is tracked, and what is not and
// is not ignored either.
func (r *Repository) WorkingTree(ctx context.Context) (*State, error) {
	if r.bare {
		return nil, errors.New("a bare repository has no working tree\nhint: name two commits: BASE..HEAD")
	}
	out, err := r.ask(ctx, "--work-tree="+r.Top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	s := &State{entries: map[string]entry{}, unread: map[string]string{}}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if !isLocal(name) {
			continue
		}
		info, err := os.Lstat(filepath.Join(r.Top, filepath.FromSlash(name)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			s.skip(name, err.Error())
		case info.IsDir():
			s.unread[name] = r.submodule(ctx, name)
			s.skip(name, "a submodule, which is another repository")
		case info.Mode().IsRegular() || info.Mode().Type() == fs.ModeSymlink:
			s.entries[name] = entry{link: !info.Mode().IsRegular(), size: info.Size()}
		default:
			s.skip(name, "neither a file nor a link")
		}
	}
	return s, nil
}

// isLocal reports whether a path of a tree stays in it, and is none of git's own.
func isLocal(name string) bool {
	return filepath.IsLocal(filepath.FromSlash(name)) && path.Clean(name) == name && !strings.ContainsAny(name, "\x00\\") &&
		!slices.Contains(strings.Split(strings.ToLower(name), "/"), ".git")
}

func (s *State) skip(name, why string) {
	s.Skipped = append(s.Skipped, bailey.Skip{What: name, Why: why})
}

// Write puts the files that manifests, charts and kustomizations consist of into a
// folder, which is empty. A symbolic link to a file of the state becomes a copy of
// it; one that leads elsewhere is skipped.
func (r *Repository) Write(ctx context.Context, s *State, folder string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	read, done, err := r.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	wanted := s.wanted()
	var total int64
	for i, name := range wanted {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i == filesLimit {
			return fmt.Errorf("it holds more than %d files that may be manifests\nhint: review a folder of it: bailey review BASE..HEAD FOLDER", filesLimit)
		}
		target, ok := s.follow(name, read)
		if !ok {
			continue
		}
		e := s.entries[target]
		if e.size > fileLimit {
			s.skip(name, fmt.Sprintf("larger than %d MiB", fileLimit>>20))
			continue
		}
		if total += e.size; total > totalLimit {
			return fmt.Errorf("it holds more than %d MiB of files that may be manifests\nhint: review a folder of it: bailey review BASE..HEAD FOLDER", totalLimit>>20)
		}
		data, err := read(target, e)
		if err != nil {
			s.skip(name, err.Error())
			continue
		}
		if err := root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o700); err == nil {
			err = root.WriteFile(filepath.FromSlash(name), data, 0o600)
			if err != nil {
				s.skip(name, err.Error())
			}
		} else {
			s.skip(name, err.Error())
		}
	}
	return nil
}

// File gives the content of one file of a state, and nil if there is none.
func (r *Repository) File(ctx context.Context, s *State, name string) ([]byte, error) {
	e, known := s.entries[name]
	if !known || e.link {
		return nil, nil
	}
	if e.size > fileLimit {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, fileLimit>>20)
	}
	read, done, err := r.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return read(name, e)
}

// wanted names the entries that may matter: YAML and JSON anywhere, and all that lies
// in a folder of a chart or a kustomization.
func (s *State) wanted() []string {
	folders := map[string]bool{}
	for name := range s.entries {
		switch path.Base(name) {
		case "Chart.yaml", "kustomization.yaml", "kustomization.yml", "Kustomization":
			folders[path.Dir(name)] = true
		}
	}
	var names []string
	for name := range s.entries {
		want := slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) || path.Base(name) == "Kustomization"
		for dir := path.Dir(name); !want; dir = path.Dir(dir) {
			want = folders[dir]
			if dir == "." {
				break
			}
		}
		if want {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type reading func(name string, e entry) ([]byte, error)

// follow gives the file that a name stands for, through symbolic links within the
// state.
func (s *State) follow(name string, read reading) (string, bool) {
	at := name
	for range linksLimit {
		e, known := s.entries[at]
		if !known {
			s.skip(name, "a symbolic link that leads to no file of the repository")
			return "", false
		}
		if !e.link {
			return at, true
		}
		if e.size > 4096 {
			break
		}
		to, err := read(at, e)
		if err != nil {
			s.skip(name, err.Error())
			return "", false
		}
		if path.IsAbs(string(to)) {
			s.skip(name, "a symbolic link that leads out of the repository")
			return "", false
		}
		at = path.Join(path.Dir(at), string(to))
		if !isLocal(at) {
			s.skip(name, "a symbolic link that leads out of the repository")
			return "", false
		}
	}
	s.skip(name, "symbolic links that lead nowhere")
	return "", false
}

// reader reads entries: blobs from one git process, files from the working tree, out of
// which no link leads.
func (r *Repository) reader(ctx context.Context) (reading, func(), error) {
	var blobs *batch
	var tree *os.Root
	done := func() {
		if blobs != nil {
			blobs.close()
		}
		if tree != nil {
			_ = tree.Close()
		}
	}
	return func(name string, e entry) (data []byte, err error) {
		if e.id != "" {
			if blobs == nil {
				if blobs, err = r.batch(ctx); err != nil {
					return nil, err
				}
			}
			return blobs.read(e.id)
		}
		if tree == nil {
			if tree, err = os.OpenRoot(r.Top); err != nil {
				return nil, err
			}
		}
		if e.link {
			to, err := tree.Readlink(filepath.FromSlash(name))
			return []byte(to), err
		}
		f, err := tree.Open(filepath.FromSlash(name))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		data, err = io.ReadAll(io.LimitReader(f, fileLimit+1))
		if err == nil && len(data) > fileLimit {
			err = fmt.Errorf("larger than %d MiB", fileLimit>>20)
		}
		return data, err
	}, done, nil
}

// batch is a git process that gives the content of blobs as they are stored.
type batch struct {
	in   io.WriteCloser
	out  *bufio.Reader
	stop func()
}

func (r *Repository) batch(ctx context.Context) (*batch, error) {
	c := r.command(ctx, "cat-file", "--batch")
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	return &batch{in, bufio.NewReaderSize(out, 64<<10), func() {
		_ = in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	}}, nil
}

func (b *batch) close() { b.stop() }

func (b *batch) read(id string) ([]byte, error) {
	if _, err := io.WriteString(b.in, id+"\n"); err != nil {
		return nil, err
	}
	head, err := b.out.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(head) // ID, type, size
	if len(fields) != 3 || fields[0] != id || fields[1] != "blob" {
		return nil, fmt.Errorf("git does not have it: %s", shorten(strings.TrimSpace(head)))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size > fileLimit {
		return nil, fmt.Errorf("its size is %s", shorten(fields[2]))
	}
	var data bytes.Buffer
	if _, err := io.CopyN(&data, b.out, size); err != nil {
		return nil, err
	}
	_, err = b.out.Discard(1)
	return data.Bytes(), err
}

func shorten(text string) string { return text[:min(len(text), 100)] }
