package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
)

// verifyKeys holds wrapped keys, large records and configuration against what
// the log's entries say of them.
func (v *verifier) verifyKeys() {
	indexes := make([]uint64, 0, len(v.keys))
	for index := range v.keys {
		indexes = append(indexes, index)
	}
	slices.Sort(indexes)
	v.report.Periods = len(indexes)
	for _, index := range indexes {
		k := v.keys[index]
		name := wrappedPath(k.Period)
		data, err := readBounded(v.fsys, name, maxWrapped)
		missing := errors.Is(err, fs.ErrNotExist)
		switch {
		case v.shredded[index]:
			v.report.Shredded++
			if !missing {
				v.report.note(name, "the log says that this key was destroyed, but it is here: `bailey ledger shred` again finishes it")
			}
		case missing && v.part != nil && !v.part.has[index/tileWidth]:
		case missing:
			v.report.problem(name, "the key of period %s is missing, and no signed entry of the log says that it was destroyed: its records cannot be read", k.Period)
		case err != nil:
			v.report.problem(name, "%s", detail(err, name))
		case hexSum(data) != k.Wrapped:
			v.report.problem(name, "it was changed: its hash is not the one in entry %d", index)
		}
	}
	for key, m := range v.missing {
		if v.shredded[key] {
			continue // dropped with their key
		}
		v.report.add(Problem{File: m.first, Index: &m.index, Text: "the large record is missing"})
		v.report.MoreFaults += m.count - 1
	}
	if len(indexes) == 0 || v.config.Key == "" || v.part != nil || v.cut {
		return
	}
	if want := v.keys[v.lastKey].Config; want != v.configSum {
		if data, err := readBounded(v.fsys, configNext, maxConfig); err == nil && hexSum(data) == want {
			v.report.note(configNext, "a change of configuration was interrupted; the next open finishes it")
			return
		}
		v.report.problem(configFile, "it is not the configuration that entry %d of the log holds: it was changed without the ledger's knowledge", v.lastKey)
	}
}

// verifyFiles looks at every file: partial tiles that differ from the larger ones that
// replaced them are noted, and what belongs to no ledger is named.
func (v *verifier) verifyFiles() error {
	beyond := 0
	names := make([]string, 0, len(v.keys))
	for _, k := range v.keys {
		names = append(names, wrappedPath(k.Period))
	}
	slices.Sort(names)
	err := fs.WalkDir(v.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone meanwhile: a temporary file of the writer
		case err != nil:
			v.report.problem(name, "%s", err)
			return nil
		case v.ctx.Err() != nil:
			return v.ctx.Err()
		case d.IsDir():
			if name == secrets || name == indexFolder {
				return fs.SkipDir // the writer's own
			}
			return nil
		}
		top, rest, _ := strings.Cut(name, "/")
		switch {
		case !d.Type().IsRegular():
			v.report.note(name, "it is no regular file")
		case top == logFolder:
			if v.logFile(rest) {
				beyond++
			}
		case top == keyFolder:
			if _, ok := slices.BinarySearch(names, name); !ok {
				v.report.note(name, "no entry of the log names this file")
			}
		case top == bodyFolder:
			if !v.namesBody(name) {
				v.report.note(name, "no entry of the log names this file")
			}
		case !slices.Contains([]string{configFile, configNext, signedFile, lockFile, exportFile}, name):
			v.report.note(name, "it is no file of a ledger")
		}
		return nil
	})
	if beyond > 0 {
		v.report.note(logFolder, "%d files belong to entries beyond the %d verified here: of a write under way or interrupted", beyond, v.tree.size)
	}
	return err
}

// namesBody reports whether some entry names this large record.
func (v *verifier) namesBody(name string) bool {
	sum, err := hex.DecodeString(path.Base(name))
	if err != nil || len(sum) != hashSize {
		return false
	}
	_, ok := v.bodies[[hashSize]byte(sum)]
	return ok && bodyPath([hashSize]byte(sum)) == name
}

// logFile looks at a file below the log's folder. It reports whether the file is
// one of entries beyond those that were verified.
func (v *verifier) logFile(name string) (beyond bool) {
	file := logFolder + "/" + name
	if name == checkpointFile || slices.Contains([]string{treeStateFile, treeVersionFile, ".state/gcState", ".state/treeState.lock", ".state/publish.lock", ".state/gcState.lock"}, name) {
		return false
	}
	t, ok := parseTilePath(name)
	if !ok {
		v.report.note(file, "it is no file of a log")
		return false
	}
	if v.part != nil && t.level <= 0 && !v.part.has[t.index] && v.tree.partial(0, t.index) == 0 {
		v.report.note(file, "it is not among what %s lists", exportFile)
		return false
	}
	level := uint64(max(t.level, 0))
	// The entries under the file end where its last hash's subtree ends.
	shift := tileHeight * level
	if level > 6 || t.index > maxTree>>tileHeight || (t.index*tileWidth+uint64(width(t.partial)))>>(56-shift) > 0 {
		v.report.note(file, "it is no file of a log")
		return false
	}
	end := (t.index*tileWidth + uint64(width(t.partial))) << shift
	if end > v.tree.size {
		return true
	}
	if t.partial == 0 || t.partial == v.tree.partial(level, t.index) {
		return false // verified with the tree
	}
	v.replaced(file, name, t)
	return false
}

// replaced holds a partial file that a larger one replaced against the larger. A
// write that failed can leave one that differs, so that is no damage.
func (v *verifier) replaced(file, name string, t tilePath) {
	old, err := readBounded(v.log, name, maxBundle)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // it was collected meanwhile
			v.report.note(file, "%s", err)
		}
		return
	}
	var now []byte
	if t.level < 0 {
		now, _, err = v.tree.bundle(t.index)
	} else {
		now, _, err = v.tree.tile(uint64(t.level), t.index)
	}
	if err == nil && !bytes.HasPrefix(now, old) {
		v.report.note(file, "it differs from the larger file that replaced it: a failed write left it, or it was changed; the signed log does not need it")
		return
	}
	if t.level >= 0 && len(old) != int(t.partial)*hashSize {
		v.report.note(file, "it has %d bytes, not %d", len(old), int(t.partial)*hashSize)
	} else if t.level < 0 {
		if _, err := splitBundle(old, int(t.partial)); err != nil {
			v.report.note(file, "%s", err)
		}
	}
}

// tilePath is a tile's or, at level -1, an entry bundle's place.
type tilePath struct {
	level   int
	index   uint64
	partial uint8
}

// parseTilePath reads the name of a tile or bundle, in the one form that C2SP tlog-tiles allows.
func parseTilePath(name string) (tilePath, bool) {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) != 3 || parts[0] != "tile" {
		return tilePath{}, false
	}
	index, partial, err := layout.ParseTileIndexPartial(parts[2])
	if err != nil {
		return tilePath{}, false
	}
	t := tilePath{-1, index, partial}
	if parts[1] == "entries" {
		return t, layout.EntriesPath(index, partial) == name
	}
	level, err := layout.ParseTileLevel(parts[1])
	t.level = int(level)
	return t, err == nil && layout.TilePath(level, index, partial) == name
}
