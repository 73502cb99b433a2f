package devcluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const supported = true

// starter is the one OS thread on which children are started. The kernel sends the
// parent-death signal when the thread that forked ends, not the process, and Go
// may end any thread but one that a goroutine keeps locked.
var starter struct {
	once sync.Once
	work chan func()
}

func onStarterThread(f func()) {
	starter.once.Do(func() {
		starter.work = make(chan func())
		go func() {
			runtime.LockOSThread() // never unlocked
			for f := range starter.work {
				f()
			}
		}()
	})
	done := make(chan struct{})
	starter.work <- func() { defer close(done); f() }
	<-done
}

// startChild starts cmd in a session of its own, so that a terminal's Ctrl-C does
// not reach it before an orderly stop does, and in the network namespace, unless nil.
func startChild(cmd *exec.Cmd, detach bool, network *netns) (err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	if !detach {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	onStarterThread(func() {
		if network == nil {
			err = cmd.Start()
			return
		}
		var home *netns
		if home, err = namespaceOf(os.Getpid()); err != nil {
			return
		}
		defer home.Close()
		if err = unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		err = cmd.Start()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			// The thread cannot be given up: with it would end every child.
			panic(fmt.Sprintf("devcluster: return from a network namespace: %v", back))
		}
	})
	return err
}

// isolate makes cmd the first process of mount, PID, network, UTS and IPC namespaces of
// its own. When it ends, or its parent does, the kernel ends every process in them.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
}

// startTime returns when a process started, in clock ticks since boot, and whether
// it runs (a zombie does not).
func startTime(pid int) (start string, running bool, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false, err
	}
	// The second field is the name, in parentheses, and may hold anything.
	i := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[i+1:]))
	if i < 0 || len(fields) < 20 {
		return "", false, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	return fields[19], !strings.ContainsAny(fields[0], "ZXx"), nil
}

func self() (identity, error) {
	start, _, err := startTime(os.Getpid())
	return identity{Component: filepath.Base(os.Args[0]), PID: os.Getpid(), Start: start}, err
}

// machine names the boot and the PID namespace.
func machine() string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return strings.TrimSpace(string(boot)) + "/" + namespace
}

func sameBoot(a, b string) bool {
	a, _, _ = strings.Cut(a, "/")
	b, _, _ = strings.Cut(b, "/")
	return a == b
}

// bearing returns the processes whose environment holds the entry. The processes of
// other users cannot be read and are left out.
func bearing(entry string) []identity {
	var found []identity
	paths, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range paths {
		env, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+entry+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		start, running, err := startTime(pid)
		if err != nil || !running {
			continue
		}
		found = append(found, identity{Component: componentOf(pid), PID: pid, Start: start})
	}
	return found
}

// componentOf returns the first argument of a process: the component's name.
func componentOf(pid int) string {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	args := strings.Split(string(b), "\x00")
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

var errLocked = errors.New("locked by another process")

// tryLock locks a folder against other processes (and other calls in this one) until
// unlock, or the end of the process. It leaves no file.
func tryLock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errLocked
		}
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// ownFolder reports whether path is a folder (no symbolic link) of this user.
func ownFolder(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Getuid()
}
