package repo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// git runs git in a folder, with an input, and gives what it says.
func git(t *testing.T, dir, input string, args ...string) string {
	t.Helper()
	c := exec.Command("git", args...)
	c.Dir = dir
	c.Stdin = strings.NewReader(input)
	c.Env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := c.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func newRepository(t *testing.T) (string, *Repository) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	git(t, dir, "", "init", "-q", "-b", "main")
	r, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, r
}

// commitTree makes a commit of tree entries as they are written, which no index would
// take.
func commitTree(t *testing.T, dir string, entries string) string {
	t.Helper()
	tree := git(t, dir, entries, "mktree", "--missing")
	return git(t, dir, "", "commit-tree", "-m", "x", tree)
}

func (s *State) why(name string) string {
	for _, skip := range s.Skipped {
		if skip.What == name {
			return skip.Why
		}
	}
	return ""
}

// TestHostileTree: a tree that no honest index holds leads nowhere, and what cannot be
// read is named.
func TestHostileTree(t *testing.T) {
	dir, r := newRepository(t)
	blob := git(t, dir, "kind: A\n", "hash-object", "-w", "--stdin")
	link := func(to string) string { return git(t, dir, to, "hash-object", "-w", "--stdin") }
	inner := git(t, dir, "100644 blob "+blob+"\tevil.yaml\n", "mktree")
	commit := commitTree(t, dir, strings.Join([]string{
		"100644 blob " + blob + "\ta.yaml",
		"040000 tree " + inner + "\t..",
		"040000 tree " + inner + "\t.git",
		"160000 commit " + strings.Repeat("a", 40) + "\tsub",
		"120000 blob " + link("/etc/passwd") + "\tabsolute.yaml",
		"120000 blob " + link("../../../etc/passwd") + "\tup.yaml",
		"120000 blob " + link("loop.yaml") + "\tloop.yaml",
		"120000 blob " + link("nothing.yaml") + "\tdangling.yaml",
		"120000 blob " + link("a.yaml") + "\tgood.yaml",
		"100644 blob " + blob + "\tno manifest.txt",
		"100644 blob " + strings.Repeat("b", 40) + "\tmissing.yaml",
	}, "\n")+"\n")
	state, err := r.Tree(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	out := filepath.Join(parent, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(t.Context(), state, out); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = filepath.WalkDir(parent, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			rel, _ := filepath.Rel(out, path)
			got = append(got, rel)
			if !entry.Type().IsRegular() {
				t.Errorf("%s is no regular file", path)
			}
		}
		return err
	})
	if err != nil || strings.Join(got, " ") != "a.yaml good.yaml" {
		t.Errorf("written: %v %v", got, err)
	}
	for name, why := range map[string]string{"../evil.yaml": "out of the repository", ".git/evil.yaml": "out of the repository", "sub": "submodule", "absolute.yaml": "leads out",
		"up.yaml": "leads out", "loop.yaml": "lead nowhere", "dangling.yaml": "leads to no file", "missing.yaml": "partial clone"} {
		if got := state.why(name); !strings.Contains(got, why) {
			t.Errorf("%s: %q, want %q", name, got, why)
		}
	}
}

// TestWorkingTree: what is tracked and what is not ignored is read, as it is now, and no
// link leads out.
func TestWorkingTree(t *testing.T) {
	dir, r := newRepository(t)
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	write := func(name, text string) {
		t.Helper()
		path := name
		if !filepath.IsAbs(name) {
			path = filepath.Join(dir, name)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(secret, "secret")
	write(".gitignore", "ignored.yaml\n")
	write("tracked.yaml", "old")
	write("gone.yaml", "old")
	git(t, dir, "", "add", ".")
	git(t, dir, "", "commit", "-q", "-m", "x")
	write("tracked.yaml", "new")
	write("new.yaml", "new")
	write("ignored.yaml", "no")
	write("large.yaml", strings.Repeat("x", fileLimit+1))
	write("chart/Chart.yaml", "name: c")
	write("chart/templates/_helpers.tpl", "help")
	write("notes.tpl", "no")
	if err := errors.Join(os.Remove(filepath.Join(dir, "gone.yaml")), os.Symlink(secret, filepath.Join(dir, "out.yaml")), os.Symlink("tracked.yaml", filepath.Join(dir, "in.yaml")),
		os.Symlink(filepath.Dir(secret), filepath.Join(dir, "folder"))); err != nil {
		t.Fatal(err)
	}
	state, err := r.WorkingTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := r.Write(t.Context(), state, out); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"tracked.yaml": "new", "new.yaml": "new", "in.yaml": "new", "chart/templates/_helpers.tpl": "help",
		"gone.yaml": "", "ignored.yaml": "", "out.yaml": "", "large.yaml": "", "notes.tpl": "", "folder/secret.yaml": ""} {
		if got, _ := os.ReadFile(filepath.Join(out, name)); string(got) != want {
			t.Errorf("%s is %.20q, want %q", name, got, want)
		}
	}
	for name, why := range map[string]string{"out.yaml": "leads out", "large.yaml": "larger than"} {
		if got := state.why(name); !strings.Contains(got, why) {
			t.Errorf("%s: %q, want %q", name, got, why)
		}
	}
	if data, err := r.File(t.Context(), state, "tracked.yaml"); string(data) != "new" || err != nil {
		t.Errorf("%q %v", data, err)
	}
	if data, err := r.File(t.Context(), state, "out.yaml"); data != nil || err != nil {
		t.Errorf("%q %v", data, err)
	}
	within, err := Open(t.Context(), filepath.Join(dir, "chart"))
	if err != nil || within.Within != "chart" || within.Top != r.Top {
		t.Errorf("%+v %v", within, err)
	}
}

// TestCommit: names become commits, and what is none, or is an option, is refused.
func TestCommit(t *testing.T) {
	dir, r := newRepository(t)
	first := commitTree(t, dir, "")
	git(t, dir, "", "update-ref", "refs/heads/main", first)
	if id, err := r.Commit(t.Context(), "main"); err != nil || id != first {
		t.Errorf("%s %v", id, err)
	}
	for _, name := range []string{"nowhere", "--all", "-h", "main:x", "HEAD^", "", "main\nmain"} {
		if id, err := r.Commit(t.Context(), name); err == nil {
			t.Errorf("%q is %s", name, id)
		}
	}
	if id, err := r.MergeBase(t.Context(), first, first); err != nil || id != first {
		t.Errorf("%s %v", id, err)
	}
	if _, err := r.MergeBase(t.Context(), first, commitTree(t, dir, "")+"x"); err == nil {
		t.Error("what is no commit has an ancestor")
	}
	if _, err := Open(t.Context(), t.TempDir()); !errors.Is(err, ErrNoRepository) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Commit(ended, "main"); err == nil {
		t.Error("it went on")
	}
}

func FuzzParseTree(f *testing.F) {
	f.Add("100644 blob " + strings.Repeat("a", 40) + "      12\tdeploy/web.yaml\x00120000 blob " + strings.Repeat("b", 40) + "       3\tlink\x00")
	f.Add("160000 commit " + strings.Repeat("a", 40) + "       -\tsub\x00")
	f.Add("100644 blob " + strings.Repeat("a", 40) + "  1\t../x\x00")
	f.Fuzz(func(t *testing.T, out string) {
		s, err := parseTree(out)
		if err != nil {
			return
		}
		for name, e := range s.entries {
			if !filepath.IsLocal(name) || strings.Contains(strings.ToLower("/"+name+"/"), "/.git/") || !commitID.MatchString(e.id) {
				t.Errorf("%q: %+v", name, e)
			}
		}
	})
}
