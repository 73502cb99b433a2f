package saved

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/bounds"
	"github.com/baileyhq/bailey/collect/share"
)

// ReadFile reads a snapshot that WriteFile wrote, within the default limits.
func ReadFile(path string) (*bailey.Snapshot, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot: %w", err)
	}
	defer f.Close()
	s, err := Read(f, Limits{})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// Read decodes a snapshot, on all cores. It wraps ErrNotSnapshot when r does not
// begin as a snapshot does; other errors say that the file is of a newer format,
// over a limit, cut off or damaged. Facts have no Source.Locate, and empty lists
// and maps of built-in kinds may come back as nil.
func Read(r io.Reader, limits Limits) (*bailey.Snapshot, error) {
	limits = limits.orDefault()
	mark := make([]byte, len(frameMark))
	if _, err := io.ReadFull(r, mark); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if !bytes.Equal(mark, frameMark) {
		return nil, fmt.Errorf("%w\nhint: `bailey snapshot save FILE` makes one", ErrNotSnapshot)
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	d := &decoder{
		limits: limits,
		in:     bufio.NewReaderSize(&content{r: z, left: limits.Bytes}, 256<<10),
		sum:    sha256.New(),
	}
	return d.snapshot()
}

var errTooBig = errors.New("the snapshot is larger, uncompressed, than the limit")

// content is the uncompressed file, up to a limit.
type content struct {
	r    io.Reader
	left int64
}

func (c *content) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooBig
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

type decoder struct {
	limits Limits
	in     *bufio.Reader
	sum    hash.Hash
	tables []*table
	count  uint64
}

// chunk is a record of facts on its way through a worker.
type chunk struct {
	table   *table
	payload []byte
	count   uint64
	facts   []*bailey.Fact
	err     error
	done    chan struct{}
}

func (d *decoder) snapshot() (*bailey.Snapshot, error) {
	b, err := d.header()
	if err != nil {
		return nil, err
	}

	// The reader hands chunks to the workers and, in order, to the collector
	// below. Both channels are short, so that little is held undecoded.
	workers := max(runtime.GOMAXPROCS(0), 1)
	work, ordered := make(chan *chunk, workers), make(chan *chunk, 2*workers)
	buffers := sync.Pool{}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			w := worker{depth: d.limits.Depth}
			for c := range work {
				c.facts, c.err = w.facts(c)
				payload := c.payload
				buffers.Put(&payload)
				c.payload = nil
				close(c.done)
			}
		})
	}
	var readErr error
	group.Go(func() {
		defer close(ordered)
		defer close(work)
		readErr = d.records(work, ordered, &buffers, stop)
	})

	for c := range ordered {
		<-c.done
		if err == nil && c.err != nil {
			err = c.err
			close(stop)
		}
		b.Add(c.facts...)
	}
	group.Wait()
	if err == nil {
		err = readErr
	}
	if err != nil {
		return nil, err
	}
	return b.Snapshot(), nil
}

// next reads the head of a record.
func (d *decoder) next() (kind byte, size int, err error) {
	if kind, err = d.in.ReadByte(); err != nil {
		return 0, 0, d.broken(err)
	}
	n, err := binary.ReadUvarint(d.in)
	if err != nil {
		return 0, 0, d.broken(err)
	}
	if n > uint64(d.limits.Record) {
		return 0, 0, fmt.Errorf("a record of the snapshot has %d bytes, and the limit is %d", n, d.limits.Record)
	}
	if kind != recordEnd {
		var head [1 + binary.MaxVarintLen64]byte
		head[0] = kind
		d.sum.Write(head[:1+binary.PutUvarint(head[1:], n)])
	}
	return kind, int(n), nil
}

// payload reads size bytes into buf, which grows as they arrive: the size is
// what a stranger says.
func (d *decoder) payload(buf []byte, size int) ([]byte, error) {
	const step = 1 << 20
	buf = buf[:0]
	for len(buf) < size {
		n := min(step, size-len(buf))
		start := len(buf)
		buf = slices.Grow(buf, n)[:start+n]
		if _, err := io.ReadFull(d.in, buf[start:]); err != nil {
			return nil, d.broken(err)
		}
	}
	return buf, nil
}

// broken says what an error of the compressed stream means.
func (d *decoder) broken(err error) error {
	switch {
	case errors.Is(err, errTooBig):
		return fmt.Errorf("%w of %d bytes", err, d.limits.Bytes)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return corrupt("it was cut off")
	}
	return corrupt("%v", err)
}

func (d *decoder) header() (*bailey.Builder, error) {
	kind, size, err := d.next()
	if err != nil {
		return nil, err
	}
	if kind != recordHeader {
		return nil, corrupt("its first record is no header")
	}
	text, err := d.payload(nil, size)
	if err != nil {
		return nil, err
	}
	d.sum.Write(text)
	if !bounds.Shallow(text, d.limits.Depth) {
		return nil, corrupt("its header is nested too deep")
	}
	// The number first: another schema may have another shape.
	var number struct {
		Format string `json:"format"`
		Schema int    `json:"schema"`
		Bailey string `json:"bailey"`
	}
	if err := json.Unmarshal(text, &number); err != nil || number.Format != format {
		return nil, corrupt("its header cannot be read")
	}
	if number.Schema != Schema {
		return nil, fmt.Errorf("the snapshot has schema %d, saved by Bailey %q, and this program reads schema %d\nhint: use that version of Bailey or a newer one, or take the snapshot again", number.Schema, number.Bailey, Schema)
	}
	var h header
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, corrupt("its header: %v", err)
	}
	b := bailey.NewBuilder(h.Meta)
	for _, ref := range h.Seen {
		b.Saw(ref.Kind, ref.Namespace)
	}
	for _, m := range h.Missing {
		b.Miss(m)
	}
	return b, nil
}

// records reads everything after the header.
func (d *decoder) records(work, ordered chan<- *chunk, buffers *sync.Pool, stop <-chan struct{}) error {
	for {
		kind, size, err := d.next()
		if err != nil {
			return err
		}
		var buf []byte
		if kind == recordFacts {
			if kept, ok := buffers.Get().(*[]byte); ok {
				buf = *kept
			}
		}
		payload, err := d.payload(buf, size)
		if err != nil {
			return err
		}
		if kind == recordEnd {
			return d.end(payload)
		}
		d.sum.Write(payload)
		switch kind {
		case recordTable:
			if err := d.table(payload); err != nil {
				return err
			}
		case recordFacts:
			c, err := d.chunk(payload)
			if err != nil {
				return err
			}
			select {
			case work <- c:
				ordered <- c
			case <-stop:
				return nil
			}
		default:
			return corrupt("a record has the unknown type %q", kind)
		}
	}
}

// chunk reads the head of a record of facts.
func (d *decoder) chunk(payload []byte) (*chunk, error) {
	p := parser{rest: payload}
	number, count := p.uvarint(), p.uvarint()
	// Each fact takes two bytes at least, so a count cannot promise much more.
	if p.failed || number >= uint64(len(d.tables)) || count > uint64(len(p.rest)) {
		return nil, corrupt("the head of a record of facts is wrong")
	}
	if d.count += count; d.count > uint64(d.limits.Facts) {
		return nil, fmt.Errorf("the snapshot has more facts than the limit of %d", d.limits.Facts)
	}
	return &chunk{table: d.tables[number], payload: p.rest, count: count, done: make(chan struct{})}, nil
}

func (d *decoder) table(text []byte) error {
	const most = 100_000
	if len(d.tables) == most {
		return corrupt("it has more than %d tables", most)
	}
	t := new(table)
	if err := decodeJSON(text, t, 2); err != nil {
		return corrupt("table %d: %v", len(d.tables), err)
	}
	switch t.Encoding {
	case encodingProtobuf:
		if t.newObject() == nil {
			return fmt.Errorf("the snapshot holds facts of %s in %s, a type that this program does not know\nhint: use a newer version of Bailey", t.Kind, t.APIVersion)
		}
	case encodingJSON:
	case encodingOwn:
		if t.Kind.New() == nil {
			return fmt.Errorf("the snapshot holds facts of %s, a type that this program does not know\nhint: use a newer version of Bailey", t.Kind)
		}
	default:
		return fmt.Errorf("the snapshot holds facts of %s in the encoding %q, which this program does not know\nhint: use a newer version of Bailey", t.Kind, t.Encoding)
	}
	d.tables = append(d.tables, t)
	return nil
}

// end checks the last record, and that nothing follows it.
func (d *decoder) end(payload []byte) error {
	p := parser{rest: payload}
	count := p.uvarint()
	if p.failed || count != d.count {
		return corrupt("it should hold %d facts and holds %d", count, d.count)
	}
	if !bytes.Equal(p.rest, d.sum.Sum(nil)) {
		return corrupt("its content does not have the SHA-256 that it was saved with")
	}
	if _, err := d.in.ReadByte(); err == nil {
		return corrupt("something follows its end")
	} else if err != io.EOF {
		return d.broken(err)
	}
	return nil
}

// parser takes values off the front of bytes, until they run out.
type parser struct {
	rest   []byte
	failed bool
}

func (p *parser) uvarint() uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 {
		p.failed, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *parser) byte() byte {
	if len(p.rest) == 0 {
		p.failed = true
		return 0
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b
}

func (p *parser) bytes() []byte {
	n := p.uvarint()
	if n > uint64(len(p.rest)) {
		p.failed, p.rest = true, nil
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

// worker decodes chunks. It remembers strings that repeat.
type worker struct {
	depth      int
	file       string
	namespaces map[string]string
}

func (w *worker) facts(c *chunk) ([]*bailey.Fact, error) {
	p := parser{rest: c.payload}
	var sharer share.Sharer
	facts := make([]*bailey.Fact, 0, c.count)
	for range c.count {
		f := &bailey.Fact{APIVersion: c.table.APIVersion}
		flags := p.byte()
		if flags&^flagsKnown != 0 {
			return nil, corrupt("a fact of %s has unknown flags", c.table.Kind)
		}
		var own []byte
		if flags&flagEnvelope != 0 {
			own = p.bytes()
		}
		if flags&flagSource != 0 {
			if file := p.bytes(); string(file) != w.file {
				w.file = string(file)
			}
			f.Source = bailey.Source{File: w.file, Line: int(uint32(p.uvarint())), Column: int(uint32(p.uvarint()))}
		}
		text := p.bytes()
		if p.failed {
			return nil, corrupt("a fact of %s is cut off", c.table.Kind)
		}
		content, err := w.object(c.table, text)
		if err != nil {
			return nil, corrupt("a fact of %s: %v", c.table.Kind, err)
		}
		e := envelopeOf(content)
		if flags&flagEnvelope != 0 {
			e = envelope{}
			if err := decodeJSON(own, &e, 3); err != nil {
				return nil, corrupt("the metadata of a fact of %s: %v", c.table.Kind, err)
			}
		}
		f.Object = content
		f.Ref = bailey.Ref{Kind: c.table.Kind, Namespace: w.namespace(e.Namespace), Name: e.Name}
		f.UID, f.Labels, f.Owner, f.OwnerUID = e.UID, e.Labels, e.Owner, e.OwnerUID
		f.Owner.Namespace = w.namespace(f.Owner.Namespace)
		sharer.Next(f)
		facts = append(facts, f)
	}
	if len(p.rest) > 0 {
		return nil, corrupt("something follows the last fact of a record of %s", c.table.Kind)
	}
	return facts, nil
}

func (w *worker) object(t *table, text []byte) (any, error) {
	switch t.Encoding {
	case encodingProtobuf:
		o := t.newObject()
		if err := o.Unmarshal(text); err != nil {
			return nil, err
		}
		if t.TypeKind != "" || t.TypeAPIVersion != "" {
			o.GetObjectKind().SetGroupVersionKind(schema.FromAPIVersionAndKind(t.TypeAPIVersion, t.TypeKind))
		}
		return o, nil
	case encodingOwn:
		own := t.Kind.New()
		return own, decodeJSON(text, own, w.depth)
	}
	var content map[string]any
	if err := decodeJSON(text, &content, w.depth); err != nil {
		return nil, err
	}
	if content == nil {
		return nil, errors.New("JSON is null")
	}
	return content, nil
}

// namespace gives the one copy of the string that this worker keeps.
func (w *worker) namespace(name string) string {
	if name == "" {
		return ""
	}
	kept, found := w.namespaces[name]
	if !found {
		if w.namespaces == nil {
			w.namespaces = map[string]string{}
		}
		w.namespaces[name], kept = name, name
	}
	return kept
}
