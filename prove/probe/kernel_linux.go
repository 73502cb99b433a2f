package probe

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/baileyhq/bailey"
)

// calls are the system calls that can be tried, each with arguments that change
// nothing where it is allowed. What they need beyond a profile's leave is said: a
// probe whose call would fail for another reason shows nothing.
var calls = map[string]func() error{
	"getpid": func() error { unix.Getpid(); return nil },
	// Needs no privilege. The default profiles of containerd and CRI-O refuse it,
	// since keyrings are not namespaced.
	"keyctl": func() error {
		_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
		return allowed(err, unix.ENOKEY)
	},
	// Reading one's own personality changes nothing; the profiles let it pass.
	"personality-read": func() error {
		_, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
		return errnoOf(e)
	},
	// A null pointer: the kernel answers EFAULT where the call is let through.
	"userfaultfd": func() error {
		fd, _, e := unix.RawSyscall(unix.SYS_USERFAULTFD, 1, 0, 0)
		if e == 0 {
			_ = unix.Close(int(fd))
		}
		return errnoOf(e)
	},
	"move_pages": func() error {
		_, _, e := unix.RawSyscall6(unix.SYS_MOVE_PAGES, 0, 0, 0, 0, 0, 0)
		return errnoOf(e)
	},
	"bpf": func() error {
		_, _, e := unix.RawSyscall(unix.SYS_BPF, 0xffff, 0, 0)
		return allowed(errnoOf(e), unix.EINVAL, unix.EFAULT)
	},
	// An empty image: with CAP_SYS_MODULE and no lockdown the kernel says ENOEXEC, and
	// nothing is loaded.
	"init_module": func() error {
		var image [16]byte
		empty := [1]byte{}
		_, _, e := unix.RawSyscall(unix.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&image[0])), uintptr(len(image)), uintptr(unsafe.Pointer(&empty[0])))
		return allowed(errnoOf(e), unix.ENOEXEC)
	},
}

func errnoOf(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// allowed takes errors that the kernel gives to a call that it let through.
func allowed(err error, harmless ...unix.Errno) error {
	for _, h := range harmless {
		if errors.Is(err, h) {
			return nil
		}
	}
	return err
}

// Syscalls lists the names that Task.Syscall may have.
func Syscalls() []string {
	names := make([]string, 0, len(calls))
	for name := range calls {
		names = append(names, name)
	}
	return names
}

// syscallNamed makes the call. EPERM, EACCES and ENOSYS are how seccomp and security
// modules refuse.
func syscallNamed(name string) Report {
	call, known := calls[name]
	if !known {
		return failed("no system call %q is known here", name)
	}
	err := call()
	switch {
	case err == nil:
		return accepted("%s was let through", name)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOSYS):
		return refused(bailey.RefuserKernel, "%s: %v", name, err)
	}
	return failed("%s: %v", name, err)
}

func uname() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	text := func(b []byte) string { s, _, _ := strings.Cut(string(b), "\x00"); return s }
	return fmt.Sprintf("%s %s %s", text(u.Sysname[:]), text(u.Release[:]), text(u.Version[:])), nil
}
