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
	"github.com/baileyhq/bailey/internal/yamlstream"
)

const (
	// maxFile is how large one file may be, maxTotal all inputs of one run
	// together, in bytes; maxFiles is how many files a run reads.
	maxFile  = 64 << 20
	maxTotal = 1 << 30
	maxFiles = 200_000

	// batchSize is about how many bytes are handed to a parser at once.
	batchSize = 64 << 10
	// blockSize is how much of a file is read at once.
	blockSize = 512 << 10
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
					r := reader{decoder: d, namespace: c.opts.Namespace, out: p.out, file: in.name, chart: in.chart, whole: c.opts.Whole, each: c.oneByOne()}
					if in.place != nil {
						r.place = func(at positions) bailey.Source { return in.place(in, p.chunk, at) }
					}
					r.read(p.chunk)
				}
			}
		})
	}
	f := feeder{work: work}
	for i := range c.inputs {
		if ctx.Err() != nil {
			break
		}
		c.feed(&f, i)
	}
	f.send()
	close(work)
	parsers.Wait()
	results := make([]result, len(c.inputs))
	for _, p := range f.pieces {
		r := &results[p.input]
		r.facts = append(r.facts, p.out.facts...)
		r.broken = append(r.broken, p.out.broken...)
		r.ignored = append(r.ignored, p.out.ignored...)
	}
	return results, ctx.Err()
}

// oneByOne is Options.Each for several goroutines; nil if it is not set.
func (c *collector) oneByOne() func(*bailey.Fact, func() any) {
	if c.opts.Each == nil {
		return nil
	}
	return func(f *bailey.Fact, tree func() any) {
		c.showing.Lock()
		defer c.showing.Unlock()
		c.opts.Each(f, tree)
	}
}

// overlaid is the text that is read in the place of a file, if there is one.
func (c *collector) overlaid(path string) ([]byte, bool) {
	if len(c.opts.Overlay) == 0 {
		return nil, false
	}
	text, laid := c.opts.Overlay[Absolute(path)]
	return text, laid
}

// read gives what a file of a chart or a kustomization holds.
func (c *collector) read(path string) ([]byte, error) {
	if text, laid := c.overlaid(path); laid {
		return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), nil
	}
	return readBounded(path)
}

// feeder hands documents on in batches, and keeps what each batch will have
// filled in once parsing is done.
type feeder struct {
	work   chan<- batch
	next   batch
	size   int
	pieces []part
}

// begin starts a result for what follows of an input.
func (f *feeder) begin(input int) {
	f.pieces = append(f.pieces, part{input: input, out: &result{}})
}

// add puts a chunk of the input that was begun last into the next batch.
func (f *feeder) add(c chunk) {
	last := f.pieces[len(f.pieces)-1]
	f.next.parts = append(f.next.parts, part{last.input, c, last.out})
	if f.size += len(c.data); f.size >= batchSize {
		f.send()
		f.begin(last.input) // the rest is for another parser
	}
}

func (f *feeder) send() {
	if len(f.next.parts) > 0 {
		f.work <- f.next
	}
	f.next, f.size = batch{}, 0
}

// feed reads one input.
func (c *collector) feed(f *feeder, i int) {
	in := &c.inputs[i]
	f.begin(i)
	if in.node != nil {
		f.add(chunk{node: in.node})
		in.node = nil
		return
	}
	cut := func(data []byte, line int) {
		split(data, in.chart, func(part chunk) bool {
			part.line += line
			f.add(part)
			return true
		})
	}
	var err error
	switch {
	case in.path != "":
		err = c.readFile(in, cut)
	case in.reader != nil:
		err = c.readBlocks(in.reader, blockSize, cut)
	default:
		cut(in.data, 0)
		in.data = nil
	}
	if err != nil {
		in.target.skip(in.name, message(err), "")
	}
}

// readFile yields the blocks of a file.
func (c *collector) readFile(in *input, yield func(data []byte, line int)) error {
	if !confined(c.opts.Root, in.path) {
		return errOutside
	}
	if text, laid := c.overlaid(in.path); laid {
		yield(text, 0)
		return nil
	}
	if info, err := os.Stat(in.path); err != nil {
		return err
	} else if !info.Mode().IsRegular() && in.path != in.target.Name {
		// One that the user names may be a pipe; to open one that is found in a
		// folder may never end.
		return errors.New("not a regular file")
	}
	file, err := os.Open(in.path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() > maxFile:
		return fmt.Errorf("larger than %d MiB", maxFile>>20)
	case !info.Mode().IsRegular():
		return c.readBlocks(file, blockSize, yield)
	}
	return c.readBlocks(file, info.Size()+1, yield)
}

// readBlocks yields a stream in blocks that end between documents, with the
// number of lines before each, so that a large file need not be held as a whole.
// The size is what to expect.
func (c *collector) readBlocks(r io.Reader, size int64, yield func(data []byte, line int)) error {
	limit := min(c.budget, maxFile)
	var rest []byte
	line, total := 0, int64(0)
	for {
		block := make([]byte, int64(len(rest))+max(min(size, blockSize), int64(len(rest))))
		copy(block, rest)
		n, err := io.ReadFull(r, block[len(rest):])
		block = block[:len(rest)+n]
		c.budget -= int64(n)
		switch total += int64(n); {
		case total > limit && limit < maxFile:
			return fmt.Errorf("all inputs together are larger than %d MiB", maxTotal>>20)
		case total > limit:
			return fmt.Errorf("larger than %d MiB", maxFile>>20)
		case err == io.EOF, err == io.ErrUnexpectedEOF:
			yield(block, line)
			return nil
		case err != nil:
			return err
		}
		end := yamlstream.Last(block)
		if end > 0 {
			yield(block[:end], line)
			line += bytes.Count(block[:end], []byte("\n"))
		}
		rest = block[end:]
	}
}

// message is an error without the path, which stands beside it.
func message(err error) string {
	var wrapped *os.PathError
	if errors.As(err, &wrapped) {
		return wrapped.Err.Error()
	}
	return shorten(err.Error(), 300)
}
