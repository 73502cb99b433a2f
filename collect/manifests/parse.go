package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/baileyhq/bailey"
)

const (
	// maxFile is how large one file may be, maxTotal all inputs of one run
	// together, in bytes; maxFiles is how many files a run reads.
	maxFile  = 64 << 20
	maxTotal = 1 << 30
	maxFiles = 200_000

	// batchSize is about how many bytes are handed to a parser at once.
	batchSize = 64 << 10
)

// batch is what one parser takes at once: chunks of one input or of several
// small ones after another.
type batch struct {
	parts []part
}

type part struct {
	input int
	chunk chunk
	out   *result
}

// parse reads all inputs and gives a result for each. Documents are parsed in
// parallel; the order of the results is that of the inputs and their documents.
func (c *collector) parse(ctx context.Context) ([]result, error) {
	work := make(chan batch, 2*runtime.GOMAXPROCS(0))
	var parsers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		parsers.Go(func() {
			d := newDecoder()
			for b := range work {
				for _, p := range b.parts {
					in := &c.inputs[p.input]
					r := reader{decoder: d, namespace: c.opts.Namespace, out: p.out, file: in.name, chart: in.chart}
					if in.place != nil {
						r.place = func(at positions) bailey.Source { return in.place(in, p.chunk, at) }
					}
					r.read(p.chunk)
				}
			}
		})
	}
	pieces := c.feed(ctx, work)
	close(work)
	parsers.Wait()
	results := make([]result, len(c.inputs))
	for _, p := range pieces {
		r := &results[p.input]
		r.facts = append(r.facts, p.out.facts...)
		r.broken = append(r.broken, p.out.broken...)
		r.ignored = append(r.ignored, p.out.ignored...)
	}
	return results, ctx.Err()
}

// feed reads the inputs one after another and hands their documents on in
// batches. It gives what each batch will have filled in once parsing is done.
func (c *collector) feed(ctx context.Context, work chan<- batch) []part {
	var pieces []part
	var next batch
	size := 0
	for i := range c.inputs {
		if ctx.Err() != nil {
			break
		}
		in := &c.inputs[i]
		if in.node != nil {
			out := &result{}
			pieces = append(pieces, part{input: i, out: out})
			next.parts = append(next.parts, part{i, chunk{node: in.node}, out})
			in.node = nil
			continue
		}
		data, err := c.load(in)
		if err != nil {
			in.target.skip(in.name, message(err), "")
			continue
		}
		out := &result{}
		pieces = append(pieces, part{input: i, out: out})
		for chunk := range func(yield func(chunk) bool) { split(data, in.chart, yield) } {
			next.parts = append(next.parts, part{i, chunk, out})
			if size += len(chunk.data); size >= batchSize {
				work <- next
				next, size = batch{}, 0
				// The rest of the input is for another parser: a result of its own.
				out = &result{}
				pieces = append(pieces, part{input: i, out: out})
			}
		}
	}
	if len(next.parts) > 0 {
		work <- next
	}
	return pieces
}

// load gives an input's bytes.
func (c *collector) load(in *input) ([]byte, error) {
	if in.path == "" {
		data := in.data
		in.data = nil
		return data, nil
	}
	file, err := os.Open(in.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() && in.path != in.target.Name:
		// One that the user names may be a pipe; one found in a folder may never end.
		return nil, errors.New("not a regular file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	return c.readAll(file, info.Size())
}

// readAll reads at most what a file, and what the run as a whole, may hold. The
// size is what to expect.
func (c *collector) readAll(r io.Reader, size int64) ([]byte, error) {
	limit := min(c.budget, maxFile)
	var read bytes.Buffer
	read.Grow(int(min(size, limit)) + bytes.MinRead)
	if _, err := read.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, err
	}
	data := read.Bytes()
	if int64(len(data)) > limit {
		if limit < maxFile {
			return nil, fmt.Errorf("all inputs together are larger than %d MiB", maxTotal>>20)
		}
		return nil, fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	c.budget -= int64(len(data))
	return data, nil
}

// message is an error without the path, which stands beside it.
func message(err error) string {
	var wrapped *os.PathError
	if errors.As(err, &wrapped) {
		return wrapped.Err.Error()
	}
	return shorten(err.Error(), 300)
}
