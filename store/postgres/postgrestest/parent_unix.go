//go:build unix && !linux

package postgrestest

import "syscall"

// withParent leaves the server to Stop: only Linux ends it with its starter.
func withParent(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account}
}
