package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/baileyhq/bailey/store/storetest"
)

func TestDiskFull(t *testing.T) {
	if dir := storetest.SmallDisk(t, "40m"); dir != "" {
		storetest.DiskFull(t, dir, open(t, filepath.Join(dir, "state")), func() error { return nil })
	}
}
