package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The portable format is lines of JSON: a header, a line for each row (its table, and its
// columns in the header's order), and a trailer with the number of rows and the SHA-256 of
// all lines before it. Every database writes and reads it.

const (
	exportFormat  = "bailey-history"
	exportVersion = 1
	// exportLine is the longest line that is read.
	exportLine = 64 << 20
)

// exportTables lists the tables that are written, in an order in which they can be read. Sessions are left out: those
// that were ended since would be open again.
var exportTables = []string{"clusters", "finding_groups", "findings", "verdicts", "rungs", "rung_changes", "evidence", "runs", "alerts", "waivers", "guards",
	"audit", "changes", "pruned"}

type exportHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Schema and Reader are the version of the tables, and the oldest that can read them.
	Schema  int                 `json:"schema"`
	Reader  int                 `json:"reader"`
	Columns map[string][]string `json:"columns"`
}

type exportTrailer struct {
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Export writes everything, as it is at one moment, in the portable format.
func (s *Store) Export(ctx context.Context, w io.Writer) error {
	return s.readLong(ctx, func(r *reader) error {
		header := exportHeader{Format: exportFormat, Version: exportVersion, Columns: map[string][]string{}}
		if err := r.tables().Scan(&header.Schema, &header.Reader); err != nil {
			return err
		}
		for _, table := range exportTables {
			columns, err := r.columns(table)
			if err != nil {
				return err
			}
			header.Columns[table] = columns
		}
		sum := sha256.New()
		lines := json.NewEncoder(io.MultiWriter(w, sum))
		lines.SetEscapeHTML(false)
		if err := lines.Encode(header); err != nil {
			return err
		}
		var count int64
		for _, table := range exportTables {
			columns := header.Columns[table]
			values := make([]any, len(columns))
			line := make([]any, len(columns)+1)
			line[0] = table
			for i := range values {
				values[i] = &line[i+1]
			}
			if err := r.each(func(rows *sql.Rows) error {
				if err := rows.Scan(values...); err != nil {
					return err
				}
				for i, v := range line {
					if b, ok := v.([]byte); ok {
						line[i] = string(b)
					}
				}
				count++
				return lines.Encode(line)
			}, "SELECT "+strings.Join(columns, ", ")+" FROM "+table); err != nil {
				return err
			}
		}
		return json.NewEncoder(w).Encode(exportTrailer{count, hex.EncodeToString(sum.Sum(nil))})
	})
}

// columns gives the names of a table's columns.
func (r *reader) columns(table string) ([]string, error) {
	rows, err := r.query("SELECT * FROM " + table + " WHERE 1 = 0")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return rows.Columns()
}

// Import reads what Export wrote into a store that holds nothing yet: all of it or nothing.
// Columns that this version does not know are left out, as a downgrade does.
func (s *Store) Import(ctx context.Context, in io.Reader) error {
	if err := s.change(ctx, func(r *reader) error {
		var clusters, schema int
		if err := r.row("SELECT count(*) FROM clusters WHERE n > 0 OR seq > 0").Scan(&clusters); err != nil {
			return err
		}
		if clusters > 0 {
			return fmt.Errorf("store: import: there are clusters already: import into an empty database: %w", ErrConflict)
		}
		if err := r.row("SELECT max(version) FROM schema_versions").Scan(&schema); err != nil {
			return err
		}
		i := &importer{reader: r, lines: bufio.NewReaderSize(in, 1<<20), sum: sha256.New(), batches: map[string]*batch{}}
		if err := i.header(schema); err != nil {
			return fmt.Errorf("store: import: %w", err)
		}
		if _, err := r.exec("DELETE FROM clusters"); err != nil {
			return err
		}
		for {
			done, err := i.line()
			if err != nil {
				return fmt.Errorf("store: import: line %d: %w", i.number, err)
			}
			if done {
				return nil
			}
		}
	}); err != nil {
		return err
	}
	return s.analyze(ctx)
}

// importer reads an export.
type importer struct {
	*reader
	lines *bufio.Reader
	sum   interface {
		io.Writer
		Sum(b []byte) []byte
	}
	number  int
	rows    int64
	batches map[string]*batch
}

// batch is rows of one table that are written together.
type batch struct {
	columns []string
	// at says which of a line's values go into which column.
	at    []int
	width int
	rows  [][]any
}

var errCut = errors.New("the export ends before its end: it was cut off")

// next reads a line.
func (i *importer) next() ([]byte, error) {
	var line []byte
	for {
		part, err := i.lines.ReadSlice('\n')
		if len(line)+len(part) > exportLine {
			return nil, fmt.Errorf("a line is longer than %d bytes", exportLine)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			i.number++
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, errCut
		default:
			return nil, err
		}
	}
}

func (i *importer) header(schema int) error {
	line, err := i.next()
	if err != nil {
		return err
	}
	i.sum.Write(line)
	var h exportHeader
	if json.Unmarshal(line, &h) != nil || h.Format != exportFormat {
		return errors.New("this is no export of a store")
	}
	if h.Version != exportVersion || h.Reader > schema {
		return fmt.Errorf("%w: the export has format %d and tables that versions from %d on can read; this program knows %d and %d", ErrNewer, h.Version, h.Reader, exportVersion, schema)
	}
	for _, table := range exportTables {
		known, err := i.columns(table)
		if err != nil {
			return err
		}
		b := &batch{width: len(h.Columns[table])}
		for at, column := range h.Columns[table] {
			for _, k := range known {
				if k == column {
					b.columns, b.at = append(b.columns, column), append(b.at, at)
				}
			}
		}
		i.batches[table] = b
	}
	return nil
}

// line reads a row, or the trailer.
func (i *importer) line() (done bool, err error) {
	line, err := i.next()
	if err != nil {
		return false, err
	}
	if line[0] == '{' {
		return true, i.trailer(line)
	}
	i.sum.Write(line)
	i.rows++
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var values []any
	if err := decoder.Decode(&values); err != nil {
		return false, err
	}
	if len(values) == 0 {
		return false, errors.New("a row names no table")
	}
	table, _ := values[0].(string)
	b := i.batches[table]
	if b == nil || len(values) != b.width+1 {
		return false, fmt.Errorf("no table %q of %d columns", table, len(values)-1)
	}
	row := make([]any, len(b.at))
	for n, at := range b.at {
		switch v := values[at+1].(type) {
		case nil:
		case string:
			row[n] = clean(v)
		case json.Number:
			number, err := v.Int64()
			if err != nil {
				return false, err
			}
			row[n] = number
		default:
			return false, fmt.Errorf("column %s of %s holds neither text nor a number", b.columns[n], table)
		}
	}
	b.rows = append(b.rows, row)
	if len(b.rows) == insertRows {
		return false, i.flush(table)
	}
	return false, nil
}

func (i *importer) flush(table string) error {
	b := i.batches[table]
	rows := b.rows
	b.rows = nil
	if len(rows) == 0 {
		return nil
	}
	return i.insert(table, b.columns, rows, "")
}

func (i *importer) trailer(line []byte) error {
	var t exportTrailer
	if err := json.Unmarshal(line, &t); err != nil {
		return err
	}
	if t.Rows != i.rows || t.SHA256 != hex.EncodeToString(i.sum.Sum(nil)) {
		return errors.New("the export was changed or damaged: its checksum is another")
	}
	for _, table := range exportTables {
		if err := i.flush(table); err != nil {
			return err
		}
	}
	return nil
}
