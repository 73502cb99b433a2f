package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/ledger"
)

// appendBatch is how many lines that are there already are appended together.
const appendBatch = 1024

// appendBatchBytes bounds what a batch holds in memory.
const appendBatchBytes = 16 << 20

func (a *app) ledgerAppendCommand() *cobra.Command {
	var field string
	c := &cobra.Command{
		Use:   "append DIR",
		Short: "Add records from standard input, one JSON value a line",
		Long: `Append prints the index of each record, a line each in the order of the input, once
the record is on the disk.

A record with an ID that the ledger has is taken for a retry: it is not stored
again, and its index is printed. --id names the field that holds the ID. Without
it the ID is a keyed hash of the line and its number, so that the same input sent again adds
nothing.`,
		Args: oneFolder,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withLedger(c.Context(), args[0], func(l *ledger.Log) error {
				return a.appendLines(c.Context(), l, field)
			})
		},
	}
	c.Flags().StringVar(&field, "id", "", "the field of each record that holds its ID, a string or number")
	return c
}

// line is one line of input, or why there are no more.
type line struct {
	number int
	record ledger.Record
	err    error
}

func (a *app) appendLines(ctx context.Context, l *ledger.Log, field string) error {
	before, retries := l.Size(), 0
	lines := make(chan line, appendBatch)
	stop := make(chan struct{})
	defer close(stop)
	go readLines(a.stdin, field, l.ContentID, lines, stop)
	out := bufio.NewWriter(a.stdout)
	for {
		batch, err := nextBatch(ctx, lines)
		if len(batch) > 0 {
			indexes, appendErr := l.Append(ctx, batch...)
			if appendErr != nil {
				return fmt.Errorf("%w\nhint: what has an index is in the ledger; mend this, then send the whole input again: no record is kept twice", appendErr)
			}
			for _, index := range indexes {
				if index < before {
					retries++
				}
				fmt.Fprintln(out, index)
			}
			if flushErr := out.Flush(); flushErr != nil {
				return flushErr
			}
		}
		if errors.Is(err, io.EOF) {
			if retries > 0 && !a.quiet {
				fmt.Fprintf(a.stderr, "%d of these records were in the ledger already.\n", retries)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// nextBatch waits for a line and takes those that are there with it. The
// records come with the error that ended the input.
func nextBatch(ctx context.Context, lines <-chan line) (batch []ledger.Record, err error) {
	size := 0
	for len(batch) < appendBatch && size < appendBatchBytes {
		var next line
		if len(batch) == 0 {
			select {
			case next = <-lines:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		} else {
			select {
			case next = <-lines:
			default:
				return batch, nil
			}
		}
		if next.err != nil {
			return batch, next.err
		}
		batch = append(batch, next.record)
		size += len(next.record.Data)
	}
	return batch, nil
}

// identify gives an ID to a line that names none.
type identify func(text []byte, number int) (string, error)

// readLines reads records until the input ends or a line is bad.
func readLines(in io.Reader, field string, id identify, to chan<- line, stop <-chan struct{}) {
	r := bufio.NewReaderSize(in, 64<<10)
	for number := 1; ; number++ {
		text, err := readLine(r)
		next := line{number: number, err: err}
		if len(text) == 0 && err == nil {
			continue // an empty line is no record
		}
		if err == nil {
			next.record, next.err = parseRecord(text, number, field, id)
		}
		if next.err != nil && !errors.Is(next.err, io.EOF) {
			next.err = fmt.Errorf("standard input, line %d: %w\nhint: the lines before it are in the ledger; correct this one and send the input again", number, next.err)
		}
		select {
		case to <- next:
		case <-stop:
			return
		}
		if next.err != nil {
			return
		}
	}
}

// readLine reads a line without the space around it. The last line may lack its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		text = append(text, part...)
		if len(text) > ledger.MaxData+2 {
			return nil, fmt.Errorf("it has more than %d bytes", ledger.MaxData)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(text) > 0:
			return bytes.TrimSpace(text), nil
		case err != nil:
			return nil, err
		}
		return bytes.TrimSpace(text), nil
	}
}

// parseRecord makes a record of a line.
func parseRecord(text []byte, number int, field string, id identify) (ledger.Record, error) {
	if !json.Valid(text) {
		var v any
		err := json.Unmarshal(text, &v) // for its reason
		return ledger.Record{}, fmt.Errorf("it is no JSON value: %w", err)
	}
	if field == "" {
		name, err := id(text, number)
		return ledger.Record{ID: name, Data: text}, err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return ledger.Record{}, fmt.Errorf("it is no object, so it has no field %q", field)
	}
	raw, ok := object[field]
	if !ok {
		return ledger.Record{}, fmt.Errorf("it has no field %q", field)
	}
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		var n json.Number
		if err := json.Unmarshal(raw, &n); err != nil {
			return ledger.Record{}, fmt.Errorf("its field %q is neither a string nor a number", field)
		}
		name = n.String()
	}
	if name == "" || len(name) > ledger.MaxID {
		return ledger.Record{}, fmt.Errorf("its field %q has %d bytes; an ID has 1 to %d", field, len(name), ledger.MaxID)
	}
	return ledger.Record{ID: name, Data: text}, nil
}
