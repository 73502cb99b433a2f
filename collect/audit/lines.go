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
	// Rest is the line without the content of responseObject, and with Cut without that of
	// requestObject; nil if that is too long as well. It is valid until reading goes on.
	Rest []byte
	Cut  bool
}

func (e *LongLineError) Error() string {
	return fmt.Sprintf("the line at byte %d is longer than %d bytes", e.Offset, MaxLine)
}

// Lines calls fn for each line of r that holds something, without its line
// break; a last line without one counts. The line is valid during the call. It
// goes on after a line that is too long, for which it calls fn with that in the
// place of the line.
func Lines(ctx context.Context, r io.Reader, fn func(line []byte, long *LongLineError) error) error {
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
		if err := fn(line, long); err != nil {
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
	// partial is that line as far as it is there, and size how long that is. Of one that is too
	// long, partial is the room of what is kept of it.
	partial []byte
	size    int64
	long    *envelope
	taken   bool
}

// next gives the next line, trimmed. At the end of what is there it gives
// io.EOF, or with last the beginning of a line as a whole one.
func (l *lineReader) next(last bool) ([]byte, error) {
	if l.taken {
		l.partial, l.size, l.long, l.taken = l.partial[:0], 0, nil, false
	}
	for {
		part, err := l.r.ReadSlice('\n')
		l.size += int64(len(part))
		if l.long == nil && l.size > MaxLine {
			l.long = &envelope{kept: l.partial[:0], most: MaxLine}
			l.long.take(l.partial)
		}
		if l.long != nil {
			l.long.take(part)
		} else {
			l.partial = append(l.partial, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && last && l.size > 0:
		case err != nil:
			return nil, err
		}
		start := l.offset
		l.offset += l.size
		l.taken = true
		if l.long != nil {
			return nil, &LongLineError{Offset: start, Rest: l.long.rest(), Cut: l.long.cut}
		}
		return bytes.TrimSpace(l.partial), nil
	}
}
