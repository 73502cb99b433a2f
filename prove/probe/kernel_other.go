//go:build !linux

package probe

import "errors"

// Syscalls lists the names that Task.Syscall may have: probe pods run Linux.
func Syscalls() []string { return nil }

func syscallNamed(string) Report { return failed("system calls are tried on Linux only") }

func uname() (string, error) { return "", errors.New("not on this system") }
