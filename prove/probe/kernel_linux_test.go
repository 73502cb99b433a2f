package probe

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const filteredVariable = "BAILEY_TEST_SECCOMP"

// filter makes the kernel answer a system call of this thread, and of what it
// starts, with that error.
func filter(t *testing.T, call uint32, answer unix.Errno) {
	t.Helper()
	runtime.LockOSThread() // and never back: the thread ends with the test
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Skipf("no seccomp filters here: %v", err)
	}
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x00050000 | uint32(answer)}, // SECCOMP_RET_ERRNO
		{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000},                  // SECCOMP_RET_ALLOW
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if _, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program))); e != 0 {
		t.Skipf("no seccomp filters here: %v", e)
	}
}

// TestWhoRefusesACall: the kernel answers userfaultfd as a profile does, as SELinux
// does, and as an old kernel does; the first alone is a profile's refusal.
func TestWhoRefusesACall(t *testing.T) {
	answers := map[string]struct {
		errno unix.Errno
		says  string
	}{
		"profile":         {unix.EPERM, "kernel"},
		"security module": {unix.EACCES, "security module"},
		"old kernel":      {unix.ENOSYS, "not implemented"},
	}
	if name := os.Getenv(filteredVariable); name != "" {
		filter(t, unix.SYS_USERFAULTFD, answers[name].errno)
		r := syscallNamed("userfaultfd")
		if isRefused := r.Refuser != ""; r.Accepted || isRefused != (name == "profile") || !strings.Contains(string(r.Refuser)+r.Message, answers[name].says) {
			t.Errorf("answered as a %s does: %+v", name, r)
		}
		if r := syscallNamed("getpid"); !r.Accepted {
			t.Errorf("getpid: %+v", r)
		}
		return
	}
	for name := range answers {
		c := exec.Command(os.Args[0], "-test.run", "^TestWhoRefusesACall$", "-test.v")
		c.Env = append(os.Environ(), filteredVariable+"="+name)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "--- SKIP") {
			t.Skip(string(out))
		}
	}
}

// TestKernelThatRefusesItself: an old kernel's own refusal is told apart from a
// profile's.
func TestKernelThatRefusesItself(t *testing.T) {
	for _, c := range []struct {
		uname, setting string
		want           bool
	}{
		{"Linux 6.1.0-13-amd64 #1 SMP", "0\n", false},
		{"Linux 5.11.0 #1", "0\n", false},
		{"Linux 5.10.0-28-amd64 #1", "0\n", true},
		{"Linux 5.10.0-28-amd64 #1", "1\n", false},
		{"Linux 4.18.0-553.el8_10.x86_64 #1", "0\n", true},
		{"Linux 5.10.0", "", false}, // no such setting: before 5.2 there was no check
		{"", "0", true},
	} {
		if got := refusesItself(c.uname, c.setting); got != c.want {
			t.Errorf("%q with %q: %v", c.uname, c.setting, got)
		}
	}
}
