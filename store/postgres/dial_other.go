//go:build !linux

package postgres

import "syscall"

// boundSilence does nothing: keep-alives alone find a connection that is lost.
func boundSilence(string, string, syscall.RawConn) error { return nil }
