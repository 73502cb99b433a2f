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
	// Asks what the kernel's keyrings can do: it needs no privilege and touches no
	// key. The default profiles of containerd and CRI-O refuse keyctl whole, since
	// keyrings are not namespaced. A kernel that does not know the question says
	// EOPNOTSUPP, after it let the call through.
	"keyctl": func() error {
		const capabilities = 31 // KEYCTL_CAPABILITIES, Linux 5.8
		var buffer [8]byte
		_, _, e := unix.Syscall(unix.SYS_KEYCTL, capabilities, uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
		return allowed(errnoOf(e), unix.EOPNOTSUPP)
	},
	// Reading one's own personality changes nothing; the profiles let it pass.
	"personality-read": func() error {
		_, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
		return errnoOf(e)
	},
	// For faults of user mode only, which needs no privilege; a kernel without
	// userfaultfd says ENOSYS, which is no profile's answer.
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

// syscallNamed makes the call. EPERM and EACCES are how seccomp and security modules
// refuse. ENOSYS may be a profile's answer or an old kernel's: it shows nothing.
func syscallNamed(name string) Report {
	call, known := calls[name]
	if !known {
		return failed("no system call %q is known here", name)
	}
	err := call()
	switch {
	case err == nil:
		return accepted("%s was let through", name)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
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
