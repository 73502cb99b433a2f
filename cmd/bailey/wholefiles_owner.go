package main

import (
	"os"
	"syscall"
)

// sameOwner gives a file the owner and group of another, as far as that takes a
// change.
func sameOwner(f *os.File, like os.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	was, ok := like.Sys().(*syscall.Stat_t)
	is, okToo := info.Sys().(*syscall.Stat_t)
	if !ok || !okToo || was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	return f.Chown(int(was.Uid), int(was.Gid))
}
