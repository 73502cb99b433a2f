//go:build !linux

package devcluster

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
)

const supported = false

var (
	errLocked      = errors.New("locked by another process")
	errUnsupported = errors.New("not supported on " + runtime.GOOS)
)

func startChild(*exec.Cmd, bool) error          { return errUnsupported }
func startTime(int) (string, bool, error)       { return "", false, errUnsupported }
func self() (identity, error)                   { return identity{PID: os.Getpid()}, errUnsupported }
func machine() string                           { return runtime.GOOS }
func sameBoot(a, b string) bool                 { return a == b }
func bearing(string) []identity                 { return nil }
func tryLock(string) (unlock func(), err error) { return nil, errUnsupported }
func ownFolder(string) bool                     { return false }
