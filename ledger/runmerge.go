package ledger

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// runWriter writes rows in ascending order into a new run.
type runWriter struct {
	dir  string
	file *os.File
	out  *bufio.Writer
	err  error
}

func newRunWriter(dir string, saved uint64) (*runWriter, error) {
	f, err := os.CreateTemp(dir, fmt.Sprintf("%d-*", saved)) // mode 0600
	if err != nil {
		return nil, err
	}
	return &runWriter{dir, f, bufio.NewWriterSize(f, 1<<16), nil}, nil
}

func (w *runWriter) add(id keyedID, index uint64) {
	w.addRow(binary.BigEndian.AppendUint64(id[:], index))
}

func (w *runWriter) addRow(row []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(row)
	}
}

// finish makes the run durable and opens it.
func (w *runWriter) finish() (*run, error) {
	err := errors.Join(w.err, w.out.Flush(), w.file.Sync(), w.file.Close(), syncFolder(w.dir))
	if err != nil {
		return nil, errors.Join(err, os.Remove(w.file.Name()))
	}
	return openRun(w.dir, filepath.Base(w.file.Name()))
}

// rowSource reads a run from its beginning.
type rowSource struct {
	in  *bufio.Reader
	row [rowSize]byte
}

func newRowSource(r *run) *rowSource {
	return &rowSource{in: bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.rows*rowSize), 1<<16)}
}

// next reads a row; io.EOF after the last.
func (s *rowSource) next() error {
	_, err := io.ReadFull(s.in, s.row[:])
	return err
}

// mergeRuns makes one run of several.
func mergeRuns(dir string, runs []*run, saved uint64) (*run, error) {
	var sources []*rowSource
	for _, r := range runs {
		s := newRowSource(r)
		switch err := s.next(); {
		case err == nil:
			sources = append(sources, s)
		case !errors.Is(err, io.EOF):
			return nil, err
		}
	}
	w, err := newRunWriter(dir, saved)
	if err != nil {
		return nil, err
	}
	for len(sources) > 0 {
		least := 0
		for i, s := range sources {
			if bytes.Compare(s.row[:], sources[least].row[:]) < 0 {
				least = i
			}
		}
		w.addRow(sources[least].row[:])
		if err := sources[least].next(); errors.Is(err, io.EOF) {
			sources = slices.Delete(sources, least, least+1)
		} else if err != nil {
			return nil, errors.Join(err, w.file.Close(), os.Remove(w.file.Name()))
		}
	}
	return w.finish()
}
