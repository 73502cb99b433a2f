package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ErrInUse tells that a process has the database open.
var ErrInUse = errors.New("a process uses the database")

// SQLite's locks are on these bytes of a database, which hold nothing
// (https://www.sqlite.org/fileformat2.html#the_lock_byte_page). Every process that has one open
// in WAL mode holds one there for as long as it does.
const (
	lockBytes  = 1 << 30
	lockLength = 512
)

// alone locks a database that is there against every other process, also one that is damaged. It
// is not to be called by a process that has it open: releasing takes that one's locks too.
func alone(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: lockBytes, Len: lockLength}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("store: %s could not be locked: %w", path, err)
		}
		return nil, cmp.Or(usedBy(f), fmt.Errorf("store: %s: %w", path, ErrInUse))
	}
	return func() { f.Close() }, nil
}

// usedBy fails with ErrInUse where another process has a database open, and says which.
func usedBy(f *os.File) error {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: lockBytes, Len: lockLength}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil || lock.Type == syscall.F_UNLCK {
		return nil
	}
	who := ""
	if lock.Pid > 0 { // it is in sight from here
		who = fmt.Sprintf(" (process %d)", lock.Pid)
	}
	return fmt.Errorf("store: %s: %w%s", f.Name(), ErrInUse, who)
}

// ownedAs gives a file that root made to the owner of its folder, who is to use it.
func ownedAs(dir, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}
