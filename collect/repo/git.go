// Package repo reads states of a git repository: a commit's tree, or the working
// tree as it is. It writes nothing into the repository, and runs nothing that the
// repository names: no hooks, filters, text conversions, file-system monitors or
// fetches.
package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Repository is a git repository.
type Repository struct {
	// Top is the folder of the working tree, or that of a bare repository.
	Top string
	// Within is where in it the folder lies that was asked for; "" for the top.
	Within string
	bare   bool
}

// ErrNoRepository tells a folder that lies in no git repository.
var ErrNoRepository = errors.New("it lies in no git repository")

// outputLimit bounds what git says to a question, in bytes.
const outputLimit = 64 << 20

// Open finds the repository of a folder.
func Open(ctx context.Context, folder string) (*Repository, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return nil, errors.New("git is not installed, which reads the repository\nhint: install git")
	}
	folder, err := filepath.Abs(folder)
	if err == nil {
		folder, err = filepath.EvalSymlinks(folder)
	}
	if err != nil {
		return nil, err
	}
	r := &Repository{Top: folder}
	// Git itself must agree: it refuses a repository of another user's. The top is
	// found by us, since the repository's configuration could name any folder.
	if _, err := r.ask(ctx, "rev-parse", "--git-dir"); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", folder, ErrNoRepository, err)
	}
	for dir := folder; ; {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			r.Top = dir
			if r.Within, err = filepath.Rel(dir, folder); err != nil || r.Within == "." {
				r.Within = ""
			}
			return r, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			r.bare = true
			return r, nil
		}
		dir = parent
	}
}

var commitID = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Commit resolves a name to a commit's ID.
func (r *Repository) Commit(ctx context.Context, name string) (string, error) {
	out, err := r.ask(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	id := strings.TrimSpace(string(out))
	if err != nil || !commitID.MatchString(id) {
		return "", fmt.Errorf("%q names no commit here\nhint: in a shallow clone, fetch it first: git fetch origin %s", name, name)
	}
	return id, nil
}

// MergeBase is the best common ancestor of two commits.
func (r *Repository) MergeBase(ctx context.Context, a, b string) (string, error) {
	out, err := r.ask(ctx, "merge-base", "--end-of-options", a, b)
	id := strings.TrimSpace(string(out))
	if err != nil || !commitID.MatchString(id) {
		return "", fmt.Errorf("%.12s and %.12s have no common ancestor here\nhint: in a shallow clone, fetch more of the history: git fetch --unshallow", a, b)
	}
	return id, nil
}

// command is git, with nothing that a repository's configuration could make it run.
// A user's and the system's configuration count as usual.
func (r *Repository) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "git", append([]string{"--no-pager", "--no-replace-objects", "--literal-pathspecs",
		"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.untrackedCache=false", "-c", "submodule.recurse=false",
		"-c", "core.attributesFile=" + os.DevNull, "-C", r.Top}, args...)...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "GIT_") { // GIT_DIR and its like would lead elsewhere
			c.Env = append(c.Env, variable)
		}
	}
	// No promised object is fetched, whatever command a remote names for it.
	c.Env = append(c.Env, "GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	return c
}

// ask gives what git answers.
func (r *Repository) ask(ctx context.Context, args ...string) ([]byte, error) {
	c := r.command(ctx, args...)
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var said bounded
	c.Stderr = &said
	if err := c.Start(); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(out, outputLimit+1))
	if err == nil && len(data) > outputLimit {
		err = fmt.Errorf("git %s says more than %d MiB", args[0], outputLimit>>20)
	}
	if err != nil {
		_ = c.Process.Kill()
		_ = c.Wait()
		return nil, err
	}
	if err := c.Wait(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			return nil, fmt.Errorf("git %s: %s", args[0], text)
		}
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	return data, nil
}

// bounded keeps the first 2 KiB that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := 2<<10 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
