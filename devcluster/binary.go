package devcluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// BinaryVariable is the environment variable that names the multi-call program.
	BinaryVariable = "BAILEY_CONTROLPLANE"

	sourceModule  = "github.com/baileyhq/bailey/devcluster/controlplane"
	buildDuration = "about 9 minutes with an empty cache on 2 cores"
	buildHint     = "hint: in a checkout of Bailey run `go run ./devcluster/cmd/with-cluster -- true`, which builds it (" + buildDuration + "); elsewhere name a built one in $" + BinaryVariable
)

// BinaryOptions say where to look for the multi-call program.
type BinaryOptions struct {
	Path string    // what the user named; it is then used or refused, and nothing else is looked for
	Dir  string    // where to start looking for a checkout, upwards; the working directory if empty
	Log  io.Writer // progress of a build; may be nil
}

// Find returns the path of the multi-call program without building anything. It
// takes, in this order: the path given, unless empty; $BAILEY_CONTROLPLANE; within a
// checkout of Bailey, the one in the cache folder that was built from exactly these
// sources; elsewhere, the one built last. The error says how to get one.
func Find(path string) (string, error) {
	found, _, err := find(BinaryOptions{Path: path})
	return found, err
}

// FindOrBuild does what Find does and, within a checkout, builds what is not there.
func FindOrBuild(ctx context.Context, o BinaryOptions) (string, error) {
	found, source, err := find(o)
	if err == nil || source == "" {
		return found, err
	}
	return Build(ctx, source, o.Log)
}

// find also returns the source folder when building there would help.
func find(o BinaryOptions) (found, source string, err error) {
	for _, named := range []struct{ path, by string }{
		{o.Path, "as named"},
		{os.Getenv(BinaryVariable), "named by $" + BinaryVariable},
	} {
		if named.path == "" {
			continue
		}
		path, err := filepath.Abs(named.path)
		if err == nil {
			err = executable(path)
		}
		if err != nil {
			return "", "", fmt.Errorf("devcluster: the control plane program, %s: %w\n%s", named.by, err, buildHint)
		}
		return path, "", nil
	}
	cache, err := cacheDir()
	if err != nil {
		return "", "", err
	}
	if source = findSource(o.Dir); source != "" {
		path, _, err := target(source)
		if err != nil {
			return "", "", err
		}
		if executable(path) == nil {
			return path, source, nil
		}
		return "", source, fmt.Errorf("devcluster: no control plane program is built from %s\n%s", source, buildHint)
	}
	var newest time.Time
	paths, _ := filepath.Glob(filepath.Join(cache, "controlplane-*"))
	for _, path := range paths {
		if !builtName.MatchString(filepath.Base(path)) || executable(path) != nil {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
			found, newest = path, info.ModTime()
		}
	}
	if found == "" {
		return "", "", fmt.Errorf("devcluster: no control plane program in %s\n%s", cache, buildHint)
	}
	return found, "", nil
}

var builtName = regexp.MustCompile(`^controlplane-[0-9a-f]{16}$`)

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not an executable file", path)
	}
	return nil
}

func cacheDir() (string, error) {
	dir, err := os.UserCacheDir() // $XDG_CACHE_HOME, or ~/.cache
	if err != nil {
		return "", fmt.Errorf("devcluster: no cache folder: %w\nhint: set XDG_CACHE_HOME, or name the program in $%s", err, BinaryVariable)
	}
	return filepath.Join(dir, "bailey"), nil
}

// findSource looks upwards from dir for the multi-call program's source folder and
// returns "" when there is none.
func findSource(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for {
		source := filepath.Join(dir, "devcluster", "controlplane")
		mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
		if err == nil && moduleLine.Match(mod) {
			return source
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

var (
	moduleLine  = regexp.MustCompile(`(?m)^module ` + regexp.QuoteMeta(sourceModule) + `$`)
	versionLine = regexp.MustCompile(`(?m)^\s+k8s\.io/kubernetes v(\d+)\.(\d+)\.(\S+)`)
)

// target returns where the program built from source belongs, and the arguments of
// the go command that builds it. The name holds a hash of the sources and the flags.
func target(source string) (path string, args []string, err error) {
	cache, err := cacheDir()
	if err != nil {
		return "", nil, err
	}
	hash := sha256.New()
	var mod []byte
	for _, name := range []string{"main.go", "go.sum", "go.mod"} {
		if mod, err = os.ReadFile(filepath.Join(source, name)); err != nil {
			return "", nil, fmt.Errorf("devcluster: %w", err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(mod), mod)
	}
	version := versionLine.FindSubmatch(mod)
	if version == nil {
		return "", nil, fmt.Errorf("devcluster: %s requires no k8s.io/kubernetes", filepath.Join(source, "go.mod"))
	}
	// Without a version kubectl refuses to talk to the server.
	ldflags := "-s -w"
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		ldflags += fmt.Sprintf(" -X %[1]s.gitVersion=v%[2]s.%[3]s.%[4]s -X %[1]s.gitMajor=%[2]s -X %[1]s.gitMinor=%[3]s", pkg, version[1], version[2], version[3])
	}
	args = []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=" + ldflags}
	fmt.Fprintf(hash, "%q %s/%s", args, runtime.GOOS, runtime.GOARCH)
	return filepath.Join(cache, fmt.Sprintf("controlplane-%x", hash.Sum(nil)[:8])), args, nil
}

// Build builds the multi-call program from its source folder into the cache folder
// and returns its path; if it is there already, at once. It writes a line of progress to
// log, unless nil, every 15 seconds. Builds wait for each other. The error holds the
// end of the compiler's output.
func Build(ctx context.Context, source string, log io.Writer) (string, error) {
	say := logger(log)
	path, args, err := target(source)
	if err != nil {
		return "", err
	}
	cache := filepath.Dir(path)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", fmt.Errorf("devcluster: %w", err)
	}
	unlock, err := waitLock(ctx, cache, say)
	if err != nil {
		return "", fmt.Errorf("devcluster: wait for another build: %w", err)
	}
	defer unlock()
	if executable(path) == nil {
		return path, nil
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("devcluster: build the control plane: %w\nhint: install Go, or name a built program in $%s", err, BinaryVariable)
	}
	// Nobody else builds now: what bears a temporary name was left by a killed build.
	const partial = ".partial"
	stale, _ := filepath.Glob(filepath.Join(cache, "controlplane-*"+partial))
	for _, name := range stale {
		_ = os.Remove(name)
	}
	tmp := path + partial
	defer os.Remove(tmp)

	begin := time.Now()
	say("building the Kubernetes control plane (%s; once)", buildDuration)
	var output bytes.Buffer
	cmd := exec.Command(goTool, append(args, "-o", tmp, ".")...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = 5 * time.Second
	p, err := startProcess("go", cmd, false, nil)
	if err != nil {
		return "", fmt.Errorf("devcluster: build the control plane: %w", err)
	}
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-p.done:
			running = false
		case <-tick.C:
			say("still building after %s (%s)", time.Since(begin).Round(time.Second), buildDuration)
		case <-ctx.Done():
			_ = p.signal(syscall.SIGINT) // go then ends its compilers and removes its work folder
			if !p.wait(context.WithoutCancel(ctx), termLimit) {
				_ = p.signal(os.Kill)
				<-p.done
			}
			return "", fmt.Errorf("devcluster: build the control plane: %w\nhint: start it again; what is compiled is kept", ctx.Err())
		}
	}
	if !cmd.ProcessState.Success() {
		lines := strings.Split(strings.TrimSpace(output.String()), "\n")
		return "", fmt.Errorf("devcluster: build the control plane: go build: %s%s", p.how(), indentedTail(strings.Join(lines[max(0, len(lines)-20):], "\n")))
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("devcluster: %w", err)
	}
	say("built %s in %s", path, time.Since(begin).Round(time.Second))
	return path, nil
}

// waitLock locks a folder as soon as nobody else has it locked.
func waitLock(ctx context.Context, dir string, say func(string, ...any)) (unlock func(), err error) {
	begin, next := time.Now(), time.Duration(0)
	for {
		unlock, err := tryLock(dir)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		if waited := time.Since(begin); waited >= next {
			say("another process builds the control plane; waiting for it (%s)", waited.Round(time.Second))
			next += 15 * time.Second
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// logger returns what writes lines to w, which may be nil.
func logger(w io.Writer) func(format string, args ...any) {
	if w == nil {
		w = io.Discard
	}
	return func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
}
