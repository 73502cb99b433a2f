package probe

import (
	"errors"
	"fmt"
	"os"
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
	// For faults of user mode only, which needs no privilege since Linux 5.11. A kernel
	// without userfaultfd says ENOSYS, and SELinux, which has a class for it, EACCES.
	"userfaultfd": func() error {
		const userModeOnly = 1 // UFFD_USER_MODE_ONLY
		fd, _, e := unix.RawSyscall(unix.SYS_USERFAULTFD, userModeOnly, 0, 0)
		if e == 0 {
			_ = unix.Close(int(fd))
		}
		if e == unix.EPERM {
			release, _ := uname()
			setting, _ := os.ReadFile("/proc/sys/vm/unprivileged_userfaultfd")
			if refusesItself(release, string(setting)) {
				return errors.New("operation not permitted, which kernels before 5.11 say themselves where vm.unprivileged_userfaultfd is 0")
			}
		}
		return errnoOf(e)
	},
	"move_pages": func() error {
		_, _, e := unix.RawSyscall6(unix.SYS_MOVE_PAGES, 0, 0, 0, 0, 0, 0)
		return errnoOf(e)
	},
}

// refusesItself reports whether a kernel may refuse userfaultfd to the unprivileged
// without any profile: one before 5.11 does that before it looks at the flags, if
// so set. A kernel whose version cannot be read counts as one.
func refusesItself(uname, setting string) bool {
	var major, minor int
	_, err := fmt.Sscanf(uname, "Linux %d.%d", &major, &minor)
	return strings.TrimSpace(setting) == "0" && (err != nil || major < 5 || major == 5 && minor < 11)
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

// syscallNamed makes the call. EPERM is how the runtimes' profiles refuse, before
// anything else of the kernel sees the call. EACCES is how SELinux and AppArmor do,
// which see only what a profile let through: it shows nothing of one. ENOSYS may be a
// profile's answer or an old kernel's: it shows nothing either.
func syscallNamed(name string) Report {
	call, known := calls[name]
	if !known {
		return failed("no system call %q is known here", name)
	}
	return called(name, call())
}

func called(name string, err error) Report {
	switch {
	case err == nil:
		return accepted("%s was let through", name)
	case errors.Is(err, unix.EPERM):
		return refused(bailey.RefuserKernel, "%s: %v", name, err)
	case errors.Is(err, unix.EACCES):
		return failed("%s: %v: that is a security module's answer (SELinux, AppArmor), and no seccomp profile's", name, err)
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
