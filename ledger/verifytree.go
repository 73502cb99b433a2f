package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/tlog"
)

// checked is what verifying one bundle gave.
type checked struct {
	hashes   []tlog.Hash // of the entries, where the bundle is not full or its inside is asked for
	root     tlog.Hash   // of a full bundle
	known    bool        // hashes and root are: the entries or their tile are there
	problems []Problem
	records  uint64
	bodies   []bodyRef
	uses     []keyUse
	controls []control
}

type bodyRef struct {
	index, key uint64
	sum        [hashSize]byte
	missing    bool
}

// keyUse is the first entry of a bundle, within the range of an export or outside it, that a key seals.
type keyUse struct {
	key, index uint64
	wanted     bool
}

type control struct {
	index uint64
	entry entry
}

// maxMissing is how many bundles may be missing, entries and hashes, before verification
// stops: a folder can claim more of them than a lifetime suffices to miss.
const maxMissing = 1000

// verifyTree verifies bundles in parallel and joins them in order.
func (v *verifier) verifyTree() error {
	size := v.tree.size
	bundles := (size + tileWidth - 1) / tileWidth
	workers := runtime.GOMAXPROCS(0)
	type job struct {
		bundle uint64
		out    chan checked
	}
	keep := map[uint64]bool{} // bundles that a claim cuts
	for at := range v.roots {
		keep[at/tileWidth] = true
	}
	going, stop := context.WithCancel(v.ctx)
	defer stop()
	jobs := make(chan job)
	order := make(chan chan checked, 4*workers)
	for range workers {
		go func() {
			w := &bundleChecker{tree: v.tree, fsys: v.fsys, keep: keep, part: v.part}
			for j := range jobs {
				j.out <- w.check(j.bundle)
			}
		}()
	}
	go func() {
		defer close(jobs)
		defer close(order)
		for b := range bundles {
			if going.Err() != nil {
				return
			}
			out := make(chan checked, 1)
			order <- out
			if v.part != nil && !v.part.has[b] && v.tree.partial(0, b) == 0 {
				out <- checked{} // not in this export: the tile above knows its hash
				continue
			}
			jobs <- job{b, out}
		}
	}()
	edge := &edge{v: v, known: true}
	edge.settleAt(0, nil)
	bundle, missing := uint64(0), 0
	for out := range order {
		c := <-out
		if v.cut {
			continue
		}
		v.take(bundle, &c)
		edge.add(bundle, &c)
		bundle++
		if !c.known {
			missing++
		}
		if missing > maxMissing {
			stop()
			v.cut = true
			v.report.problem(logFolder, "more than %d bundles are missing; what follows entry %d was not looked at", maxMissing, bundle*tileWidth-1)
		}
		if v.options.Progress != nil {
			v.options.Progress(min(bundle*tileWidth, size), size)
		}
	}
	if err := v.ctx.Err(); err != nil {
		return err
	}
	edge.finish()
	v.report.To = min(size, bundle*tileWidth)
	if v.part != nil {
		if v.part.To > size {
			v.report.problem(exportFile, "its range ends at %d, after the %d entries of the log", v.part.To, size)
		}
		v.report.From, v.report.To = v.part.From, min(v.part.To, size)
	}
	return nil
}

// edge grows the tree and holds the tiles above the entries against it.
type edge struct {
	v     *verifier
	f     frontier
	known bool     // false: some hash is missing, so that no root can be computed
	tiles []uint64 // full tiles so far, by level
}

// add takes what a bundle gave.
func (e *edge) add(bundle uint64, c *checked) {
	e.settle(bundle, c.hashes)
	if width(e.v.tree.partial(0, bundle)) < tileWidth {
		return
	}
	if !c.known {
		// The entries are not there. The tile above knows their hash.
		c.root, c.known = e.v.tree.above(bundle)
		e.known = e.known && c.known
	}
	e.f.push(1, c.root, e.full)
	e.settleAt((bundle+1)*tileWidth, nil)
}

// above gives the hash that the tile of level 1 holds for a full bundle.
func (t tree) above(bundle uint64) (tlog.Hash, bool) {
	data, _, err := t.tile(1, bundle/tileWidth)
	at := int(bundle%tileWidth) * hashSize
	if err != nil || len(data) < at+hashSize {
		return tlog.Hash{}, false
	}
	return tlog.Hash(data[at:]), true
}

// settle holds the claims about sizes within a bundle against its first hashes.
func (e *edge) settle(bundle uint64, hashes []tlog.Hash) {
	for size := range e.v.roots {
		if size > bundle*tileWidth && size < (bundle+1)*tileWidth {
			if int(size-bundle*tileWidth) > len(hashes) {
				e.unknown(size)
				continue
			}
			e.settleAt(size, hashes[:size-bundle*tileWidth])
		}
	}
}

func (e *edge) settleAt(size uint64, leaves []tlog.Hash) {
	claims, ok := e.v.roots[size]
	if !ok {
		return
	}
	if !e.known {
		e.unknown(size)
		return
	}
	delete(e.v.roots, size)
	root := e.f.root(leaves)
	for _, c := range claims {
		if c.root != root {
			e.v.report.problem(c.file, "%s", c.text)
		}
	}
}

// unknown says that a claim cannot be tested. Unknown is not a pass.
func (e *edge) unknown(size uint64) {
	for _, c := range e.v.roots[size] {
		e.v.report.problem(c.file, "the root over %d entries cannot be computed, because of what is missing", size)
	}
	delete(e.v.roots, size)
}

// full holds a full tile above the entries against what was computed.
func (e *edge) full(level int, hashes []tlog.Hash) {
	for len(e.tiles) <= level {
		e.tiles = append(e.tiles, 0)
	}
	e.compare(level, e.tiles[level], hashes)
	e.tiles[level]++
}

// finish holds the tiles at the right edge against what was computed.
func (e *edge) finish() {
	for level := 1; level < len(e.f.levels); level++ {
		if hashes := e.f.levels[level]; len(hashes) > 0 {
			for len(e.tiles) <= level {
				e.tiles = append(e.tiles, 0)
			}
			e.compare(level, e.tiles[level], hashes)
		}
	}
	for size := range e.v.roots {
		e.unknown(size)
	}
}

func (e *edge) compare(level int, index uint64, hashes []tlog.Hash) {
	data, name, err := e.v.tree.tile(uint64(level), index)
	file := logFolder + "/" + name
	if err != nil {
		e.v.report.problem(file, "%s", detail(err, name))
		return
	}
	for i := range hashes {
		if tlog.Hash(data[i*hashSize:]) != hashes[i] {
			e.v.report.problem(file, "hash %d is not that of the tile below it", i)
			return
		}
	}
}

// take adds what a bundle gave to the report.
func (v *verifier) take(bundle uint64, c *checked) {
	for _, p := range c.problems {
		v.report.add(p)
	}
	v.report.Records += c.records
	for _, k := range c.controls {
		switch k.entry.kind {
		case kindKey:
			v.keys[k.index] = k.entry.newKey
			if k.index < v.signed.Size {
				v.lastKey = max(v.lastKey, k.index)
			}
		case kindShred:
			// Whoever can write the folder can put an entry after the signed ones.
			if k.index < v.signed.Size {
				v.shredded[k.entry.shred.Key] = true
			}
		}
	}
	for _, use := range c.uses {
		if v.part != nil && !v.part.has[use.key/tileWidth] {
			if use.wanted {
				v.report.add(Problem{Index: &use.index, Text: fmt.Sprintf("it names entry %d as its key, which is not here", use.key)})
			}
			continue // a record outside the range came with its bundle
		}
		if _, ok := v.keys[use.key]; !ok || use.key >= use.index {
			v.report.add(Problem{Index: &use.index, Text: fmt.Sprintf("it names entry %d as its key, which is no key entry before it", use.key)})
		}
	}
	for _, b := range c.bodies {
		v.report.Bodies++
		if !b.missing {
			v.bodies[b.sum] = struct{}{}
			continue
		}
		if m := v.missing[b.key]; m != nil {
			m.count++
		} else {
			v.missing[b.key] = &absent{1, bodyPath(b.sum), b.index}
		}
	}
}

// bundleChecker verifies one bundle at a time, with the same buffers for all.
type bundleChecker struct {
	tree tree
	fsys fs.FS
	keep map[uint64]bool // bundles whose hashes are asked for
	part *exported
	buf  []byte
	hash [tileWidth]tlog.Hash
}

// check verifies a bundle: its framing, its entries against the tile, and the
// large records that they name.
func (w *bundleChecker) check(bundle uint64) checked {
	var c checked
	p := w.tree.partial(0, bundle)
	n := width(p)
	name, err := w.read(bundle, p)
	file := logFolder + "/" + name
	if err == nil {
		err = w.split(bundle, n, w.tree.held(bundle, name), &c)
	}
	if err != nil {
		c.problems = append(c.problems, Problem{File: file, Text: detail(err, name)})
	}
	tile, tileName, tileErr := w.tree.tile(0, bundle)
	tileFile := logFolder + "/" + tileName
	switch {
	case tileErr != nil:
		c.problems = append(c.problems, Problem{File: tileFile, Text: detail(tileErr, tileName)})
	case err != nil:
		copy(w.hash[:], hashesOf(tile)) // so that the rest can be judged
	default:
		w.compare(bundle, tile, file, tileFile, &c)
	}
	if c.known = err == nil || tileErr == nil; !c.known {
		return c
	}
	if n < tileWidth || w.keep[bundle] {
		c.hashes = append(c.hashes, w.hash[:n]...)
	}
	if n == tileWidth {
		c.root = perfectRoot(w.hash[:])
	}
	return c
}

// compare holds entries against their hashes in the tile and finds, by the
// tile above, which of the two was changed.
func (w *bundleChecker) compare(bundle uint64, tile []byte, file, tileFile string, c *checked) {
	var differ []uint64
	for i := range len(tile) / hashSize {
		if tlog.Hash(tile[i*hashSize:]) != w.hash[i] {
			differ = append(differ, bundle*tileWidth+uint64(i))
		}
	}
	if len(differ) == 0 {
		return
	}
	guilty, text := file, "it is not the entry whose hash is in "+tileFile
	if above, ok := w.tree.above(bundle); ok && len(tile) == tileWidth*hashSize {
		switch above {
		case perfectRoot(hashesOf(tile)):
			text = "it was changed, replaced or moved: its hash is not the one in " + tileFile
			copy(w.hash[:], hashesOf(tile))
		case perfectRoot(append([]tlog.Hash(nil), w.hash[:]...)):
			guilty, text = tileFile, "its hash in the tile is not that of the entry"
		}
	}
	for _, index := range differ {
		c.problems = append(c.problems, Problem{File: guilty, Index: &index, Text: text})
	}
}

// read reads a bundle into the buffer.
func (w *bundleChecker) read(bundle uint64, p uint8) (name string, err error) {
	name = layout.EntriesPath(bundle, p)
	err = w.readFile(name)
	if p != 0 && errors.Is(err, fs.ErrNotExist) {
		full := layout.EntriesPath(bundle, 0)
		if fullErr := w.readFile(full); fullErr == nil {
			return full, nil
		}
	}
	return name, err
}

func (w *bundleChecker) readFile(name string) error {
	f, info, err := openRegular(w.tree.fsys, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info.Size() > maxBundle {
		return fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxBundle)
	}
	if n := int(info.Size()); cap(w.buf) < n {
		w.buf = make([]byte, n+n/4)
	}
	w.buf = w.buf[:info.Size()]
	_, err = io.ReadFull(f, w.buf)
	return err
}

// split takes the buffer apart and hashes the entries. The byte before an
// entry, the end of its length, becomes RFC 6962's leaf prefix, so that nothing is copied.
// Of the held entries, the tree has the first n.
func (w *bundleChecker) split(bundle uint64, n, held int, c *checked) error {
	at := 0
	data := w.buf
	for len(data) > 0 && at < held {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return fmt.Errorf("it ends within entry %d", bundle*tileWidth+uint64(at))
		}
		size := int(binary.BigEndian.Uint16(data))
		if at < n {
			w.look(bundle*tileWidth+uint64(at), data[2:2+size], c)
		}
		data[1] = 0
		w.hash[at] = sha256.Sum256(data[1 : 2+size])
		at++
		data = data[2+size:]
	}
	switch {
	case at < held:
		return fmt.Errorf("it holds %d entries, not %d", at, held)
	case len(data) > 0:
		return fmt.Errorf("%d bytes follow its %d entries", len(data), held)
	}
	return nil
}

// look notes what an entry says.
func (w *bundleChecker) look(index uint64, data []byte, c *checked) {
	e, err := parseEntry(data)
	if err != nil {
		c.problems = append(c.problems, Problem{Index: &index, Text: err.Error()})
		return
	}
	switch e.kind {
	case kindKey, kindShred:
		c.controls = append(c.controls, control{index, e})
		return
	}
	c.records++
	known, wanted := false, w.part.wants(index)
	for _, use := range c.uses {
		known = known || use.key == e.key && use.wanted == wanted
	}
	if !known {
		c.uses = append(c.uses, keyUse{e.key, index, wanted})
	}
	if e.kind == kindBody {
		c.bodies = append(c.bodies, w.body(index, e, c))
	}
}

// body hashes a large record.
func (w *bundleChecker) body(index uint64, e entry, c *checked) bodyRef {
	ref := bodyRef{index: index, key: e.key, sum: e.bodySum}
	name := bodyPath(e.bodySum)
	f, _, err := openRegular(w.fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		ref.missing = true
		return ref
	}
	if err == nil {
		defer f.Close()
		hash := sha256.New()
		var n int64
		if n, err = io.Copy(hash, io.LimitReader(f, int64(e.bodySize)+1)); err == nil && (n != int64(e.bodySize) || [hashSize]byte(hash.Sum(nil)) != e.bodySum) {
			err = errors.New("the large record was changed: its hash is not the one in the log")
		}
	}
	if err != nil {
		c.problems = append(c.problems, Problem{File: name, Index: &index, Text: err.Error()})
	}
	return ref
}
