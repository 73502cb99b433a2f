package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/controls"
)

const fixablePod = `apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: shop}
spec: {hostPID: true, containers: [{name: a, image: registry.example/a:1}]}
`

// fixCommand runs the program on a folder.
func fixCommand(t *testing.T, dir string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "scan", "--fix", "-c", "compute/pod-security", "--fail-on", "none", dir)
	c.Env = append(os.Environ(), asBailey+"=1")
	return c
}

// TestFixOnFullDisk leaves a file as it is whose new text does not fit on the disk
// beside it, and nothing else.
func TestFixOnFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk takes root")
	}
	// As large as its new text may be, two do not fit on 64 KiB.
	text := fmt.Sprintf(fixablePod, "a") + strings.Repeat("# "+strings.Repeat("x", 77)+"\n", 500)
	from, disk := filepath.Join(t.TempDir(), "a.yaml"), t.TempDir()
	if err := os.WriteFile(from, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	fix := fixCommand(t, disk)
	script := `mount -t tmpfs -o size=64k none "$1" || exit 77
cp -p "$0" "$1/a.yaml" || exit 78
shift
disk=$1
shift
"$@" 2>&1
echo "exit code $?"
cmp "$0" "$disk/a.yaml" && ls -A "$disk"`
	c := exec.CommandContext(t.Context(), "sh", append([]string{"-c", script, from, disk, disk}, fix.Args...)...)
	c.Env = fix.Env
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // the disk goes with it
	out, err := c.CombinedOutput()
	if c.ProcessState != nil && c.ProcessState.ExitCode() == 77 || err != nil && c.ProcessState == nil {
		t.Skipf("no disk can be mounted here: %v\n%s", err, out)
	}
	got := string(out)
	if err != nil || !strings.Contains(got, "no space left on device") || !strings.Contains(got, "nothing was") ||
		!strings.HasSuffix(got, "exit code 3\na.yaml\n") {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestSettingsOnFullDisk leaves settings as they are where the new ones do not fit on the disk.
func TestSettingsOnFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk takes root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	manifests, disk := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(manifests, "a.yaml"), fmt.Appendf(nil, fixablePod, "a"), 0o644); err != nil {
		t.Fatal(err)
	}
	script := `mount -t tmpfs -o size=40k none "$1" || exit 77
out="$1/out"
"$0" enforce deploy/foundation "$2" -o settings="$out" || exit 78
was=$(cd "$out" && find . -type f | sort | xargs sha256sum)
"$0" enforce "$2" -o settings="$out" 2>&1
echo "exit code $?"
test "$was" = "$(cd "$out" && find . -type f | sort | xargs sha256sum)" || { echo changed; find "$out" -type f; }`
	c := exec.CommandContext(t.Context(), "sh", "-c", script, self, disk, manifests)
	c.Env = append(os.Environ(), asBailey+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // the disk goes with it
	out, err := c.CombinedOutput()
	if c.ProcessState != nil && c.ProcessState.ExitCode() == 77 || err != nil && c.ProcessState == nil {
		t.Skipf("no disk can be mounted here: %v\n%s", err, out)
	}
	if got := string(out); err != nil || !strings.Contains(got, "no space left on device") || !strings.HasSuffix(got, "exit code 3\n") {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestFixKeepsOwner leaves a file its mode and owner, and the link that leads to it a
// link.
func TestFixKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving a file to somebody else takes root")
	}
	dir := t.TempDir()
	file, link := filepath.Join(dir, "a.txt"), filepath.Join(dir, "a.yaml")
	if err := errors.Join(os.WriteFile(file, fmt.Appendf(nil, fixablePod, "a"), 0o600), os.Chown(file, 4321, 1234), os.Chmod(file, 0o640), os.Symlink("a.txt", link)); err != nil {
		t.Fatal(err)
	}
	if out, err := fixCommand(t, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "hostPID") {
		t.Errorf("it was not fixed: %v\n%s", err, text)
	}
	info, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); info.Mode() != 0o640 || owner.Uid != 4321 || owner.Gid != 1234 {
		t.Errorf("it has the mode %v and is of %d:%d", info.Mode(), owner.Uid, owner.Gid)
	}
	if to, err := os.Readlink(link); err != nil || to != "a.txt" {
		t.Errorf("the link leads to %q: %v", to, err)
	}
}

// TestFixKilled kills the program with -9 while it writes texts beside the files, and
// while they take the files' names: each file is whole then, the old or the new one,
// and a second run makes what is left.
func TestFixKilled(t *testing.T) {
	dir := t.TempDir()
	path := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%03d.yaml", i)) }
	const files = 60
	old, want := make([][]byte, files), make([][]byte, files)
	for i := range files {
		old[i] = fmt.Appendf(nil, fixablePod, fmt.Sprintf("a%d", i))
		if err := os.WriteFile(path(i), old[i], 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := fixCommand(t, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i := range files {
		text, err := os.ReadFile(path(i))
		if err != nil || bytes.Equal(text, old[i]) {
			t.Fatalf("%s was not fixed: %v", path(i), err)
		}
		want[i] = text
	}
	for name, reached := range map[string]func() bool{
		"beside": func() bool {
			staged, _ := filepath.Glob(filepath.Join(dir, stagedPrefix+"*"))
			return len(staged) > files/2
		},
		"named": func() bool {
			text, _ := os.ReadFile(path(0))
			return bytes.Equal(text, want[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range files {
				if err := os.WriteFile(path(i), old[i], 0o640); err != nil {
					t.Fatal(err)
				}
			}
			c := fixCommand(t, dir)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- c.Wait() }()
			for end := time.Now().Add(30 * time.Second); !reached() && len(ended) == 0 && time.Now().Before(end); {
			}
			c.Process.Kill() // it may have ended
			<-ended
			whole := map[string]int{}
			for i := range files {
				text, err := os.ReadFile(path(i))
				info, statErr := os.Stat(path(i))
				switch {
				case err != nil || statErr != nil || info.Mode().Perm() != 0o640:
					t.Errorf("%s: %v %v %v", path(i), err, statErr, info)
				case bytes.Equal(text, old[i]):
					whole["old"]++
				case bytes.Equal(text, want[i]):
					whole["new"]++
				default:
					t.Errorf("%s is neither old nor new:\n%s", path(i), text)
				}
			}
			t.Logf("killed: %v", whole)
			if out, err := fixCommand(t, dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for i := range files {
				if text, err := os.ReadFile(path(i)); err != nil || !bytes.Equal(text, want[i]) {
					t.Errorf("%s was not fixed by the second run: %v\n%s", path(i), err, text)
				}
			}
		})
	}
}

// TestFixChangedSinceRead writes nothing where a file is no longer as it was read,
// one of a target or one of patches.
func TestFixChangedSinceRead(t *testing.T) {
	chart := map[string]string{
		"Chart.yaml":         "apiVersion: v2\nname: web\nversion: 0.1.0\n",
		"values.yaml":        "{}\n",
		"templates/web.yaml": fmt.Sprintf(fixablePod, "web"),
	}
	for _, c := range []struct {
		name   string
		change func(dir string) error
	}{
		{"manifest", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "plain", "a.yaml"), []byte("# mine\n"), 0o644)
		}},
		{"manifest that became a link", func(dir string) error {
			at := filepath.Join(dir, "plain", "a.yaml")
			if err := os.Rename(at, filepath.Join(dir, "b.yaml")); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(dir, "b.yaml"), at)
		}},
		{"patches that were made", func(dir string) error {
			if err := os.MkdirAll(filepath.Join(dir, "patches", "web"), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "patches", "web", "kustomization.yaml"), []byte("# mine\n"), 0o644)
		}},
		{"script that was made", func(dir string) error {
			if err := os.MkdirAll(filepath.Join(dir, "patches", "web"), 0o755); err != nil {
				return err
			}
			return os.Symlink("/dev/null", filepath.Join(dir, "patches", "web", "post-render"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			texts := map[string]string{"plain/a.yaml": fmt.Sprintf(fixablePod, "a")}
			for name, text := range chart {
				texts["web/"+name] = text
			}
			for name, text := range texts {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			conf := &config{}
			a := &app{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer), now: time.Now, quiet: true}
			f, _, _, err := a.fix(t.Context(), &targetFlags{loadedState: conf}, conf, []string{filepath.Join(dir, "plain"), filepath.Join(dir, "web")},
				filepath.Join(dir, "patches"), controls.All(), check.Options{})
			if err != nil || len(f.changed()) != 3 {
				t.Fatal(err, len(f.changed()))
			}
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			before := filesOf(t, dir)
			if err := writeWhole(f.changed()); err == nil || !strings.Contains(err.Error(), "has changed since it was read, and nothing was written") {
				t.Error(err)
			}
			if after := filesOf(t, dir); after != before {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
		})
	}
}

// filesOf are the files and links below a folder with what they hold.
func filesOf(t *testing.T, dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %s\n%s\n", path, entry.Type(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
