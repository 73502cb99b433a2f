// Package audit reads the audit log of an API server: a file with one event of
// JSON on each line, which is rotated now and then.
package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the longest line that is read, in bytes. An event holds at most a
// request and an answer, of 3 MiB each by default.
const MaxLine = 8 << 20

// LongLineError tells of a line that is longer than MaxLine.
type LongLineError struct {
	// Offset is where the line begins in its file.
	Offset int64
	// Next is the position after it, from which reading can go on. It is zero
	// for input that is no file.
	Next Position
}

func (e *LongLineError) Error() string {
	return fmt.Sprintf("the line at byte %d is longer than %d bytes", e.Offset, MaxLine)
}

// Lines calls fn for each line of r that holds something, without its line
// break; a last line without one counts. The line is valid during the call. It
// goes on after a line that is too long, for which it calls fn with a nil line.
func Lines(ctx context.Context, r io.Reader, fn func(line []byte) error) error {
	l := &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := l.next(true)
		var long *LongLineError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &long):
			line = nil
		case err != nil:
			return err
		case len(line) == 0:
			continue
		}
		if err := fn(line); err != nil {
			return err
		}
	}
}

// lineReader cuts a stream into lines. It keeps the beginning of a line whose
// rest has not been written yet.
type lineReader struct {
	r *bufio.Reader
	// offset is where the line begins that is read next.
	offset int64
	// partial is that line as far as it is there.
	partial []byte
	// skipped are the bytes of it that were dropped because it is too long.
	skipped int64
	taken   bool
}

// next gives the next line, trimmed. At the end of what is there it gives
// io.EOF, or with last the beginning of a line as a whole one.
func (l *lineReader) next(last bool) ([]byte, error) {
	if l.taken {
		l.partial, l.taken = l.partial[:0], false
	}
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.partial)+len(part) > MaxLine || l.skipped > 0 {
			l.skipped += int64(len(l.partial) + len(part))
			l.partial = l.partial[:0]
		} else {
			l.partial = append(l.partial, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && last && len(l.partial)+int(min(l.skipped, 1)) > 0:
		case err != nil:
			return nil, err
		}
		start := l.offset
		l.offset += int64(len(l.partial)) + l.skipped
		l.taken = true
		if l.skipped > 0 {
			l.skipped = 0
			return nil, &LongLineError{Offset: start}
		}
		return bytes.TrimSpace(l.partial), nil
	}
}
