package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileWidth      = 256
	tileHeight     = 8
	hashSize       = 32
	maxTree        = 1 << 56
	maxBundle      = tileWidth * (2 + maxEntry)
	checkpointFile = "checkpoint" // below the log's folder
	maxCheckpoint  = 64 << 10
)

// logFS is the log's folder in a ledger. fs.Sub's opens a file to tell what it is.
type logFS struct{ ledger fs.FS }

func (l logFS) Open(name string) (fs.File, error) { return l.ledger.Open(logFolder + "/" + name) }

func (l logFS) Stat(name string) (fs.FileInfo, error) {
	return fs.Stat(l.ledger, logFolder+"/"+name)
}

// tree reads the tiles and entry bundles of a log of a given size.
type tree struct {
	fsys fs.FS // the log's folder
	size uint64
}

// partial is how many entries of a tile a log of this size has: 0 means all.
func (t tree) partial(level, index uint64) uint8 {
	return layout.PartialTileSize(level, index, t.size)
}

// read gives a partial file or, where it was replaced since, the beginning of the full one.
func (t tree) read(path func(p uint8) string, p uint8, limit int64) (data []byte, name string, err error) {
	name = path(p)
	data, err = readBounded(t.fsys, name, limit)
	if p == 0 || !errors.Is(err, fs.ErrNotExist) {
		return data, name, err
	}
	if full, fullErr := readBounded(t.fsys, path(0), limit); fullErr == nil {
		return full, path(0), nil
	}
	return nil, name, err
}

// bundle gives the raw entry bundle of an index, and its file's name.
func (t tree) bundle(index uint64) (data []byte, name string, err error) {
	return t.read(func(p uint8) string { return layout.EntriesPath(index, p) }, t.partial(0, index), maxBundle)
}

// tile gives the hashes of a tile, cut to those that the tree has, and its file's name.
func (t tree) tile(level, index uint64) (data []byte, name string, err error) {
	p := t.partial(level, index)
	data, name, err = t.read(func(p uint8) string { return layout.TilePath(level, index, p) }, p, tileWidth*hashSize)
	if err != nil {
		return nil, name, err
	}
	have := width(p)
	if name == layout.TilePath(level, index, 0) {
		have = tileWidth
	}
	if len(data) != have*hashSize {
		return nil, name, fmt.Errorf("%s has %d bytes, not %d", name, len(data), have*hashSize)
	}
	return data[:width(p)*hashSize], name, nil
}

func width(p uint8) int {
	if p == 0 {
		return tileWidth
	}
	return int(p)
}

// splitBundle gives the entries of a bundle, which must be n.
func splitBundle(data []byte, n int) ([][]byte, error) {
	entries := make([][]byte, 0, n)
	for len(data) > 0 && len(entries) < n {
		if len(data) < 2 {
			return nil, fmt.Errorf("it ends within entry %d", len(entries))
		}
		size := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+size {
			return nil, fmt.Errorf("it ends within entry %d", len(entries))
		}
		entries = append(entries, data[2:2+size:2+size])
		data = data[2+size:]
	}
	switch {
	case len(entries) < n:
		return nil, fmt.Errorf("it holds %d entries, not %d", len(entries), n)
	case len(data) > 0:
		return nil, fmt.Errorf("%d bytes follow its %d entries", len(data), n)
	}
	return entries, nil
}

// held is how many entries the bundle file of this name has: a full one stands in for a partial one.
func (t tree) held(index uint64, name string) int {
	if name == layout.EntriesPath(index, 0) {
		return tileWidth
	}
	return width(t.partial(0, index))
}

// entries gives the entries of a bundle of the tree.
func (t tree) entries(index uint64) (entries [][]byte, name string, err error) {
	data, name, err := t.bundle(index)
	if err != nil {
		return nil, name, err
	}
	entries, err = splitBundle(data, t.held(index, name))
	if err != nil {
		return nil, name, fmt.Errorf("%s: %w", name, err)
	}
	return entries[:width(t.partial(0, index))], name, nil
}

// entry gives one entry.
func (t tree) entry(index uint64) ([]byte, error) {
	if index >= t.size {
		return nil, fmt.Errorf("there is no entry %d in a log of %d", index, t.size)
	}
	entries, _, err := t.entries(index / tileWidth)
	if err != nil {
		return nil, err
	}
	return entries[index%tileWidth], nil
}

// Height, ReadTiles and SaveTiles make the tree a tlog.TileReader, which
// authenticates tiles against a root.
func (t tree) Height() int { return tileHeight }

func (t tree) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tree) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, name, err := t.read(func(p uint8) string {
			return layout.TilePath(uint64(tile.L), uint64(tile.N), p)
		}, uint8(tile.W), tileWidth*hashSize) // a full tile's width, 256, is 0 here
		if err != nil {
			return nil, err
		}
		if len(data) < tile.W*hashSize {
			return nil, fmt.Errorf("%s has %d bytes, not %d", name, len(data), tile.W*hashSize)
		}
		out[i] = data[:tile.W*hashSize]
	}
	return out, nil
}

// hashes gives authenticated hashes: nothing that it returns differs from what the root commits to.
func (t tree) hashes(root tlog.Hash) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: int64(t.size), Hash: root}, t)
}
