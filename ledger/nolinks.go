package ledger

import (
	"fmt"
	"io/fs"
)

// noLinks refuses symbolic links, in folders' places too: what is read through it goes to
// somebody else, and a link may lead to the writer's keys or to any file of the machine.
type noLinks struct{ fsys fs.FS }

func (n noLinks) Open(name string) (fs.File, error) {
	if err := n.check(name); err != nil {
		return nil, err
	}
	return n.fsys.Open(name)
}

func (n noLinks) Stat(name string) (fs.FileInfo, error) {
	if err := n.check(name); err != nil {
		return nil, err
	}
	return fs.Stat(n.fsys, name)
}

func (n noLinks) check(name string) error {
	for end := 1; end <= len(name); end++ {
		if end < len(name) && name[end] != '/' {
			continue
		}
		info, err := fs.Lstat(n.fsys, name[:end])
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s is a symbolic link, which is not followed\nhint: put there what it leads to", name[:end])
		}
	}
	return nil
}
