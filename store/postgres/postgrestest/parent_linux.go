package postgrestest

import "syscall"

// withParent has the kernel stop the server when its starter ends. SIGINT is its fast
// shutdown.
func withParent(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account, Pdeathsig: syscall.SIGINT}
}
