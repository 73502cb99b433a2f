package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"
)

// ExportOptions say what to export.
type ExportOptions struct {
	// From and To bound the entries: From <= index < To. A To of 0 means all that is signed.
	From, To uint64
}

// Export copies a ledger, or a range of it, into a new folder that verifies by itself
// and that the holders of identities can read. A range is exported in whole
// bundles of 256 entries, with the key entries that it needs; what is not there is known by
// its hash. No key of the writer is copied.
func Export(ctx context.Context, fsys fs.FS, dir string, o ExportOptions) (err error) {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s is there already\nhint: name a folder that does not exist", dir)
	}
	x := &exporter{ctx: ctx, from: noLinks{fsys}, files: map[string]bool{configFile: true}}
	if err := x.choose(o); err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	if x.to, err = os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".export*"); err != nil {
		return err
	}
	if err = x.write(); err == nil {
		err = os.Rename(x.to, dir)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(x.to))
	}
	return syncFolder(filepath.Dir(dir))
}

type exporter struct {
	ctx        context.Context
	from       fs.FS
	to         string
	checkpoint []byte
	tree       tree
	part       *exported // nil: the whole log
	files      map[string]bool
}

// choose finds out which files to copy.
func (x *exporter) choose(o ExportOptions) error {
	config, _, err := readConfig(x.from)
	if err != nil {
		return err
	}
	v, err := note.NewVerifier(config.Key)
	if err != nil {
		return err
	}
	log := logFS{x.from}
	if x.checkpoint, err = readBounded(log, checkpointFile, maxCheckpoint); err != nil {
		return err
	}
	c, err := OpenCheckpoint(x.checkpoint, v)
	if err != nil {
		return err
	}
	x.tree = tree{log, c.Size}
	if o.To == 0 {
		o.To = c.Size
	}
	if o.From >= o.To || o.To > c.Size {
		return fmt.Errorf("there is no range from %d to %d in a log of %d signed entries", o.From, o.To, c.Size)
	}
	if o.From > 0 || o.To < c.Size {
		x.part = &exported{From: o.From, To: o.To, has: map[uint64]bool{}}
	}
	if err := x.chooseBundles(); err != nil {
		return err
	}
	x.chooseTiles()
	return nil
}

// chooseBundles reads the whole log for the entries that the range depends on.
func (x *exporter) chooseBundles() error {
	bodies := map[uint64][]string{} // by bundle
	controls := map[uint64][]control{}
	wanted := map[uint64]bool{}
	bundles := (x.tree.size + tileWidth - 1) / tileWidth
	for bundle := range bundles {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		entries, name, err := x.tree.entries(bundle)
		if err != nil {
			return err
		}
		inRange := x.part == nil || bundle >= x.part.From/tileWidth && bundle <= (x.part.To-1)/tileWidth
		if inRange || x.tree.partial(0, bundle) != 0 { // the tree's right edge is needed for its root
			wanted[bundle] = true
		}
		for i, data := range entries {
			index := bundle*tileWidth + uint64(i)
			e, err := parseEntry(data)
			if err != nil {
				return fmt.Errorf("%s: entry %d: %w", name, index, err)
			}
			switch e.kind {
			case kindKey:
				controls[bundle] = append(controls[bundle], control{index, e})
			case kindShred:
				wanted[bundle] = true
			case kindBody:
				bodies[bundle] = append(bodies[bundle], bodyPath(e.bodySum))
			}
			if x.part.wants(index) && (e.kind == kindRecord || e.kind == kindBody) {
				wanted[e.key/tileWidth] = true
			}
		}
	}
	for bundle := range wanted {
		x.files[logFolder+"/"+layout.EntriesPath(bundle, x.tree.partial(0, bundle))] = true
		x.files[logFolder+"/"+layout.TilePath(0, bundle, x.tree.partial(0, bundle))] = true
		for _, name := range bodies[bundle] {
			x.files[name] = true
		}
		for _, c := range controls[bundle] {
			x.files[wrappedPath(c.entry.newKey.Period)] = true
		}
	}
	if x.part != nil {
		x.part.Bundles = slices.Sorted(maps.Keys(wanted))
	}
	return nil
}

// chooseTiles takes every tile above the entries: they are few, and the root needs them.
func (x *exporter) chooseTiles() {
	for level := uint64(1); x.tree.size>>(tileHeight*level) > 0; level++ {
		n := x.tree.size >> (tileHeight * level) // hashes at this level
		for index := range (n + tileWidth - 1) / tileWidth {
			x.files[logFolder+"/"+layout.TilePath(level, index, x.tree.partial(level, index))] = true
		}
	}
}

func (x *exporter) write() error {
	for _, name := range slices.Sorted(maps.Keys(x.files)) {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		err := x.copy(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // shredded; verification says if it was not
		}
		if err != nil {
			return err
		}
	}
	if err := x.create(logFolder+"/"+checkpointFile, x.checkpoint); err != nil {
		return err
	}
	if x.part == nil {
		return nil
	}
	data, err := x.part.marshal()
	if err != nil {
		return err
	}
	return x.create(exportFile, data)
}

func (x *exporter) create(name string, data []byte) error {
	path := filepath.Join(x.to, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return err
	}
	return writeDurable(path, data)
}

// copy copies one file. A partial file that a full one replaced meanwhile is cut from that.
func (x *exporter) copy(name string) error {
	if t, ok := parseTilePath(strings.TrimPrefix(name, logFolder+"/")); ok {
		data, err := x.tileData(t)
		if err != nil {
			return err
		}
		return x.create(name, data)
	}
	limit := int64(maxWrapped)
	switch {
	case name == configFile:
		limit = maxConfig
	case strings.HasPrefix(name, bodyFolder+"/"):
		limit = maxBody
	}
	data, err := readBounded(x.from, name, limit)
	if err != nil {
		return err
	}
	return x.create(name, data)
}

func (x *exporter) tileData(t tilePath) ([]byte, error) {
	if t.level >= 0 {
		data, _, err := x.tree.tile(uint64(t.level), t.index)
		return data, err
	}
	entries, _, err := x.tree.entries(t.index)
	if err != nil {
		return nil, err
	}
	var data []byte
	for _, e := range entries {
		data = append(data, byte(len(e)>>8), byte(len(e)))
		data = append(data, e...)
	}
	return data, nil
}
