package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"github.com/transparency-dev/tessera/api/layout"
)

// sweep takes away what an interrupted write left beyond the tree's right edge.
// Other entries will take those places, and a partial file that
// contradicts them would look like damage ever after.
func sweep(dir string, size uint64) error {
	// On a full disk the checkpoint is tried again and again, and leaves a temporary file each time.
	strays, err := filepath.Glob(filepath.Join(dir, layout.CheckpointPath+"?*"))
	if err != nil {
		return err
	}
	for _, stray := range strays {
		if _, err := removeIfThere(stray); err != nil {
			return err
		}
	}
	entries := func(index uint64, p uint8) string { return layout.EntriesPath(index, p) }
	if err := sweepLevel(dir, size, entries); err != nil {
		return err
	}
	for level, n := uint64(0), size; ; level, n = level+1, n>>tileHeight {
		tiles := func(index uint64, p uint8) string { return layout.TilePath(level, index, p) }
		if err := sweepLevel(dir, n, tiles); err != nil {
			return err
		}
		if n == 0 && level > 0 {
			return nil
		}
	}
}

// sweepLevel sweeps one row of tiles that has n hashes.
func sweepLevel(dir string, n uint64, name func(index uint64, p uint8) string) error {
	edge := n / tileWidth
	for index := edge; ; index++ {
		have := 0 // hashes of this tile that belong to the tree
		if index == edge {
			have = int(n % tileWidth)
		}
		full := filepath.Join(dir, filepath.FromSlash(name(index, 0)))
		removed, err := removeIfThere(full)
		if err != nil {
			return err
		}
		partials := filepath.Join(dir, filepath.FromSlash(path.Dir(name(index, 1))))
		files, err := os.ReadDir(partials)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, f := range files {
			// What is no number of hashes is a temporary file.
			if width, err := strconv.Atoi(f.Name()); err == nil && width <= have {
				continue
			}
			if _, err := removeIfThere(filepath.Join(partials, f.Name())); err != nil {
				return err
			}
		}
		if !removed && len(files) == 0 && index > edge {
			return nil
		}
	}
}

func removeIfThere(path string) (bool, error) {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
