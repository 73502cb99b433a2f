package node

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// process is one that belongs to the platform.
type process struct {
	pid     int
	program string      // kubelet, k3s, containerd
	kind    bailey.Kind // of a component; empty for others
	flags   map[string]string
	// root is where the files that it sees are, as far as they can be read.
	root string
	// unit is the service that it belongs to; empty if it is none's.
	unit string
	// inPod tells one of a pod, which anybody may have started.
	inPod bool
}

// within are the programs that run components within themselves, and theirs are.
var within = map[string]bool{"k3s": true, "k3s-server": true, "k3s-agent": true, "rke2": true}

// runtimes are the container runtimes.
var runtimes = map[string]bool{"containerd": true, "dockerd": true, "crio": true, "cri-dockerd": true}

// processes gives the processes of the platform.
func (c *collector) processes(ctx context.Context) ([]process, error) {
	entries, err := os.ReadDir(c.proc)
	if err != nil {
		return nil, fmt.Errorf("the processes cannot be listed: %w", err)
	}
	var all []process
	for i, entry := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || i > maxProcesses {
			continue
		}
		folder := filepath.Join(c.proc, entry.Name())
		line, err := readBounded(filepath.Join(folder, "cmdline"), maxDocument)
		if err != nil || len(line) == 0 {
			continue // it ended, or is a kernel's own
		}
		args := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
		if len(args) == 1 {
			args = strings.Fields(args[0]) // a process that gave itself a title, as k3s does
		}
		if len(args) == 0 {
			continue
		}
		program := path.Base(args[0])
		kind, isComponent := bailey.ComponentKind(program)
		if !isComponent && handsOver(args) {
			if kind, isComponent = bailey.ComponentKind(args[1]); isComponent {
				program, args = args[1], args[1:]
			}
		}
		if !isComponent && !within[program] && !runtimes[program] {
			continue
		}
		p := process{pid: pid, program: program, kind: kind, flags: object.Flags(args[1:]), root: c.root}
		p.unit, p.inPod = groupOf(folder)
		if kind == bailey.KindEtcd {
			text, err := readBounded(filepath.Join(folder, "environ"), maxDocument)
			switch {
			case err == nil:
				object.EtcdEnvironment(p.flags, strings.Split(string(text), "\x00"))
			case !errors.Is(err, fs.ErrNotExist) && p.flags["client-cert-auth"] == "":
				c.unread[kind] = "its environment"
			}
		}
		if root := filepath.Join(folder, "root"); canRead(root) {
			p.root = root
		}
		all = append(all, p)
	}
	return all, nil
}

// handsOver tells a program that is many in one and runs a component ("hyperkube
// kubelet --config=..."), from one that names it ("systemctl restart kubelet").
func handsOver(args []string) bool {
	return len(args) > 2 && !slices.ContainsFunc(args[2:], func(a string) bool { return !strings.HasPrefix(a, "--") })
}

// canRead reports whether a folder can be listed: the root of another's process
// cannot without the right to trace it.
func canRead(folder string) bool {
	f, err := os.Open(folder + "/")
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return err == nil
}

// groupOf reads the control group of a process: its service, and whether it is in a pod.
// Seen from within a pod, the groups of others begin with "/..".
func groupOf(folder string) (unit string, inPod bool) {
	text, err := readBounded(filepath.Join(folder, "cgroup"), 64<<10)
	if err != nil {
		return "", false
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(string(text), "\n", "/"), "/") {
		if strings.HasSuffix(part, ".service") && !strings.ContainsAny(part, "\\:") {
			unit = part
		}
	}
	for _, mark := range []string{"kubepods", "cri-containerd", "crio-", ":/.."} {
		inPod = inPod || strings.Contains(string(text), mark)
	}
	return unit, inPod && unit == ""
}

var gitVersion = regexp.MustCompile(`(?:k8s\.io/component-base/version\.gitVersion|go\.etcd\.io/etcd/api/v3/version\.Version)=(v?[0-9]+\.[0-9]+\.[0-9]+[^ '"]*)`)

// versionOf reads the version that was linked into a process's program; empty if
// it says none.
func (c *collector) versionOf(p *process) string {
	info, err := buildinfo.ReadFile(filepath.Join(c.proc, strconv.Itoa(p.pid), "exe"))
	if err != nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "-ldflags" {
			if m := gitVersion.FindStringSubmatch(s.Value); m != nil {
				return "v" + strings.TrimPrefix(m[1], "v")
			}
		}
	}
	if info.Main.Path == "k8s.io/kubernetes" && strings.HasPrefix(info.Main.Version, "v1.") {
		return info.Main.Version
	}
	for _, d := range info.Deps {
		if d.Path == "k8s.io/kubernetes" && strings.HasPrefix(d.Version, "v1.") {
			return d.Version
		}
	}
	return ""
}

// dataFolder is where k3s or RKE2 keeps everything: what it was told, else beside
// the program that it unpacked.
func (c *collector) dataFolder(p *process) string {
	for _, flag := range []string{"data-dir", "d"} {
		if folder := p.flags[flag]; path.IsAbs(folder) {
			return folder
		}
	}
	exe, err := os.Readlink(filepath.Join(c.proc, strconv.Itoa(p.pid), "exe"))
	if err != nil {
		return ""
	}
	folder, _, found := strings.Cut(exe, "/data/")
	if !found {
		return ""
	}
	return folder
}

// openRegular opens a regular file, and waits for nothing that is there in its place. The
// path is one whose links were followed.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is no regular file but %s", info.Mode().Type())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readBounded reads a regular file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("it holds more than %d bytes", limit)
	}
	return b, err
}
