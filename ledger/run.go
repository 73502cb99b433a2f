package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const (
	rowSize  = idSize + 8
	pageRows = 170    // rows that one read takes, about 4 KB
	fanIn    = 4      // runs of like size that are merged into one
	manifest = "runs" // below the index folder
)

// run is a file of rows (keyed ID, index), sorted. Keyed IDs are uniform, so
// the place of one is guessed at once and one or two reads find it.
type run struct {
	name string
	file *os.File
	rows int64
}

// runList is what the manifest holds.
type runList struct {
	Saved uint64   `json:"saved"` // entries below this index are in the runs
	Runs  []string `json:"runs"`  // file names, oldest first
}

// openRuns opens what the manifest names and takes away what it does not.
func openRuns(dir string) ([]*run, uint64, error) {
	if err := makeFolder(dir); err != nil {
		return nil, 0, err
	}
	data, err := os.ReadFile(filepath.Join(dir, manifest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	var list runList
	if err == nil {
		err = strictJSON(data, &list)
	}
	var runs []*run
	for _, name := range list.Runs {
		if err != nil {
			break
		}
		var r *run
		if r, err = openRun(dir, name); err == nil {
			runs = append(runs, r)
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("the index of IDs in %s is damaged: %w\nhint: delete that folder; it is made again from the log", dir, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range files {
		if f.Name() != manifest && !slices.Contains(list.Runs, f.Name()) {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
				return nil, 0, err
			}
		}
	}
	return runs, list.Saved, nil
}

func openRun(dir, name string) (*run, error) {
	if filepath.Base(name) != name {
		return nil, fmt.Errorf("%q is no file name", name)
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size()%rowSize != 0 {
		err = fmt.Errorf("%s has %d bytes, which are no rows", name, info.Size())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &run{name, f, info.Size() / rowSize}, nil
}

func (r *run) close() { _ = r.file.Close() }

// find gives the index of a keyed ID.
func (r *run) find(id keyedID) (uint64, bool, error) {
	low, high := int64(0), r.rows // the row is in [low, high)
	var page [pageRows * rowSize]byte
	// The first guess comes from the ID itself; what it misses halving finds.
	guess := int64(float64(binary.BigEndian.Uint64(id[:])) / (1 << 64) * float64(r.rows))
	for low < high {
		first := min(max(guess-pageRows/2, low), max(high-pageRows, low))
		n := min(high-first, pageRows)
		rows := page[:n*rowSize]
		if _, err := r.file.ReadAt(rows, first*rowSize); err != nil {
			return 0, false, fmt.Errorf("%s: %w", r.name, err)
		}
		last := rows[(n-1)*rowSize:]
		switch {
		case bytes.Compare(id[:], rows[:idSize]) < 0:
			high = first
		case bytes.Compare(id[:], last[:idSize]) > 0:
			low = first + n
		default:
			index, ok := findRow(rows, id)
			return index, ok, nil
		}
		guess = low + (high-low)/2
	}
	return 0, false, nil
}

func findRow(rows []byte, id keyedID) (uint64, bool) {
	low, high := 0, len(rows)/rowSize
	for low < high {
		middle := (low + high) / 2
		row := rows[middle*rowSize:]
		switch c := bytes.Compare(id[:], row[:idSize]); {
		case c == 0:
			return binary.BigEndian.Uint64(row[idSize:]), true
		case c < 0:
			high = middle
		default:
			low = middle + 1
		}
	}
	return 0, false
}

// addRun writes a run, merges it with earlier ones of like size, and makes the manifest name the result.
func addRun(dir string, runs []*run, ids map[keyedID]uint64, saved uint64) ([]*run, error) {
	type row struct {
		id    keyedID
		index uint64
	}
	rows := make([]row, 0, len(ids))
	for id, index := range ids {
		rows = append(rows, row{id, index})
	}
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.id[:], b.id[:]) })
	w, err := newRunWriter(dir, saved)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		w.add(r.id, r.index)
	}
	added, err := w.finish()
	if err != nil {
		return nil, err
	}
	runs = append(slices.Clone(runs), added)
	var merged []*run
	for n := mergeable(runs); n > 1; n = mergeable(runs) {
		one, err := mergeRuns(dir, runs[len(runs)-n:], saved)
		if err != nil {
			return nil, err
		}
		merged = append(merged, runs[len(runs)-n:]...)
		runs = append(runs[:len(runs)-n], one)
	}
	list := runList{Saved: saved}
	for _, r := range runs {
		list.Runs = append(list.Runs, r.name)
	}
	data, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	if err := writeDurable(filepath.Join(dir, manifest), data); err != nil {
		return nil, err
	}
	for _, r := range merged {
		_ = os.Remove(r.file.Name()) // what stays, openRuns takes away; readers have it open
	}
	return runs, nil
}

// mergeable is how many of the last runs should become one: the last fanIn, when
// the first of them is not much larger than the rest.
func mergeable(runs []*run) int {
	if len(runs) < fanIn {
		return 0
	}
	last := runs[len(runs)-fanIn:]
	if last[0].rows > 2*cmp.Or(last[fanIn-1].rows, 1) {
		return 0
	}
	return fanIn
}
