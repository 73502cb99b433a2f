package saved

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// message is what the types of k8s.io/api are.
type message interface {
	metav1.Object
	GetObjectKind() schema.ObjectKind
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
	Unmarshal([]byte) error
}

// chunkSize is how many bytes of facts make a record. Each is decoded as one
// piece, so it is large enough to be worth a hand-over, and small enough to
// share the work evenly.
const chunkSize = 256 << 10

// WriteFile saves the snapshot in a file of mode 0600. The file is whole or is
// not there: it is written under another name, flushed to disk, and renamed.
func WriteFile(path string, s *bailey.Snapshot) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("save the snapshot: %w\nhint: name a file in a folder that you may write to", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := Write(f, s); err != nil {
		return fmt.Errorf("save the snapshot in %s: %w", path, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("save the snapshot in %s: %w\nhint: is the disk full?", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("save the snapshot: %w", err)
	}
	// Without this a crash may lose the new name, though not the content.
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("save the snapshot: flush the folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("save the snapshot: flush the folder: %w", err)
	}
	return nil
}

// Write encodes the snapshot. It fails when w does, on a fact of a type that no
// collector makes, and on one that holds a secret: a Secret with its values, or
// a last-applied annotation. The facts themselves are expected to be redacted.
//
// Nothing else may read the snapshot meanwhile: to encode a resource.Quantity
// is to cache its text inside it.
func Write(w io.Writer, s *bailey.Snapshot) error {
	if _, err := w.Write(frameMark); err != nil {
		return err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(2), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	e := &encoder{out: bufio.NewWriterSize(z, 64<<10), sum: sha256.New(), tables: map[table]int{}}
	if err := e.snapshot(s); err != nil {
		z.Close()
		return err
	}
	if err := e.out.Flush(); err != nil {
		z.Close()
		return err
	}
	return z.Close()
}

type encoder struct {
	out    *bufio.Writer
	sum    hash.Hash
	tables map[table]int
	count  uint64

	table  int // of the facts in chunk
	chunk  []byte
	facts  uint64 // in chunk
	object []byte // scratch
}

func (e *encoder) snapshot(s *bailey.Snapshot) error {
	h := header{Format: format, Schema: Schema, Bailey: version(), Meta: s.Meta}
	h.Seen, h.Missing = s.Coverage()
	if err := e.json(recordHeader, h); err != nil {
		return err
	}
	for _, kind := range s.Kinds() {
		for _, f := range s.List(kind, "") {
			if err := e.fact(f); err != nil {
				return fmt.Errorf("encode %s: %w", f.Ref, err)
			}
		}
		if err := e.flush(); err != nil {
			return err
		}
	}
	end := binary.AppendUvarint(nil, e.count)
	end = e.sum.Sum(end)
	return e.record(recordEnd, end)
}

func (e *encoder) record(kind byte, payload []byte) error {
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = kind
	n := 1 + binary.PutUvarint(head[1:], uint64(len(payload)))
	e.sum.Write(head[:n])
	e.sum.Write(payload)
	if _, err := e.out.Write(head[:n]); err != nil {
		return err
	}
	_, err := e.out.Write(payload)
	return err
}

func (e *encoder) json(kind byte, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return e.record(kind, payload)
}

func (e *encoder) flush() error {
	if e.facts == 0 {
		return nil
	}
	var head [2 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(e.table))
	n += binary.PutUvarint(head[n:], e.facts)
	payload := append(e.chunk, head[:n]...) // one write: the head goes last and is rotated in front
	copy(payload[n:], payload[:len(e.chunk)])
	copy(payload, head[:n])
	e.chunk, e.facts = payload[:0], 0
	return e.record(recordFacts, payload)
}

// The bits that say what is written of a fact beside its object.
const (
	flagEnvelope = 1 << iota // what the object itself does not say
	flagSource               // file, line and column
	flagsKnown   = flagEnvelope | flagSource
)

// envelope is what a fact says of its object. It is written only where it is
// not what envelopeOf reads out of the object.
type envelope struct {
	Namespace string            `json:"namespace,omitempty"`
	Name      string            `json:"name"`
	UID       string            `json:"uid,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Owner     bailey.Ref        `json:"owner,omitzero"`
	OwnerUID  string            `json:"ownerUID,omitempty"`
}

func (a envelope) equal(b envelope) bool {
	return a.Namespace == b.Namespace && a.Name == b.Name && a.UID == b.UID && a.Owner == b.Owner && a.OwnerUID == b.OwnerUID &&
		(a.Labels == nil) == (b.Labels == nil) && maps.Equal(a.Labels, b.Labels)
}

func (e *encoder) fact(f *bailey.Fact) error {
	t, err := tableOf(f)
	if err != nil {
		return err
	}
	if err := refuseSecrets(f); err != nil {
		return err
	}
	number, found := e.tables[t]
	if !found {
		number = len(e.tables)
		e.tables[t] = number
	}
	if number != e.table || len(e.chunk) >= chunkSize {
		if err := e.flush(); err != nil {
			return err
		}
		e.table = number
	}
	if !found {
		if err := e.json(recordTable, t); err != nil {
			return err
		}
	}
	if e.object, err = appendObject(e.object[:0], f.Object); err != nil {
		return err
	}

	var flags byte
	own := envelope{f.Namespace, f.Name, f.UID, f.Labels, f.Owner, f.OwnerUID}
	if !own.equal(envelopeOf(f.Object)) {
		flags |= flagEnvelope
	}
	if f.Source.File != "" || f.Source.Line != 0 || f.Source.Column != 0 {
		flags |= flagSource
	}
	e.chunk = append(e.chunk, flags)
	if flags&flagEnvelope != 0 {
		text, err := json.Marshal(own)
		if err != nil {
			return err
		}
		e.chunk = appendBytes(e.chunk, text)
	}
	if flags&flagSource != 0 {
		e.chunk = appendBytes(e.chunk, []byte(f.Source.File))
		e.chunk = binary.AppendUvarint(e.chunk, uint64(max(f.Source.Line, 0)))
		e.chunk = binary.AppendUvarint(e.chunk, uint64(max(f.Source.Column, 0)))
	}
	e.chunk = appendBytes(e.chunk, e.object)
	if len(e.chunk) > maxRecord-chunkSize {
		return fmt.Errorf("it takes %d bytes, more than a snapshot can hold", len(e.object))
	}
	e.facts++
	e.count++
	return nil
}

func appendBytes(to, b []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(b))), b...)
}

// tableOf gives the table that the fact belongs to.
func tableOf(f *bailey.Fact) (table, error) {
	t := table{Kind: f.Kind, APIVersion: f.APIVersion}
	switch o := f.Object.(type) {
	case map[string]any:
		t.Encoding = encodingJSON
	case *bailey.Component, *bailey.Image, *bailey.Host, *bailey.HostFile, *bailey.HostCertificate:
		t.Encoding = encodingOwn
	case message:
		t.Encoding = encodingProtobuf
		shape, found := shapeOf(o, f.APIVersion, f.Kind.Short())
		if !found {
			return t, fmt.Errorf("no version of %s that this program knows has the type %T", f.Kind, o)
		}
		if shape != f.APIVersion {
			t.Shape = shape
		}
		t.TypeAPIVersion, t.TypeKind = o.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
	default:
		return t, fmt.Errorf("facts of the type %T cannot be saved", o)
	}
	return t, nil
}

// appendObject encodes the content of a fact. One content has one encoding.
func appendObject(to []byte, content any) ([]byte, error) {
	switch o := content.(type) {
	case map[string]any:
		return appendJSON(to, o, maxDepth)
	case *bailey.Component, *bailey.Image, *bailey.Host, *bailey.HostFile, *bailey.HostCertificate:
		text, err := json.Marshal(o)
		return append(to, text...), err
	case message:
		size := o.Size()
		start := len(to)
		to = append(to, make([]byte, size)...)
		n, err := o.MarshalToSizedBuffer(to[start:])
		if err == nil && n != size {
			err = fmt.Errorf("%T says that it takes %d bytes and took %d", o, size, n)
		}
		return to, err
	}
	return to, fmt.Errorf("facts of the type %T cannot be saved", content)
}

// envelopeOf reads what a fact says of its object out of the object, in the way
// in which object.Fact does.
func envelopeOf(content any) envelope {
	switch o := content.(type) {
	case message:
		e := envelope{Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID()), Labels: o.GetLabels()}
		if c := metav1.GetControllerOfNoCopy(o); c != nil {
			e.Owner, e.OwnerUID = bailey.Ref{Kind: object.KindOf(c.APIVersion, c.Kind), Namespace: e.Namespace, Name: c.Name}, string(c.UID)
			if e.Owner.Kind == bailey.KindNode { // of a static pod; the rare other cluster-wide owners are written down
				e.Owner.Namespace = ""
			}
		}
		return e
	case map[string]any:
		meta, _ := o["metadata"].(map[string]any)
		text := func(key string) string { s, _ := meta[key].(string); return s }
		e := envelope{Namespace: text("namespace"), Name: text("name"), UID: text("uid")}
		if labels, ok := meta["labels"].(map[string]any); ok && len(labels) > 0 {
			e.Labels = make(map[string]string, len(labels))
			for k, v := range labels {
				if s, ok := v.(string); ok {
					e.Labels[k] = s
				}
			}
		}
		return e
	}
	return envelope{}
}

const lastApplied = corev1.LastAppliedConfigAnnotation

// refuseSecrets is the last guard before the disk: collectors have left out
// what it refuses, so an error of it is a defect of theirs.
func refuseSecrets(f *bailey.Fact) error {
	var held bool
	switch o := f.Object.(type) {
	case *corev1.Secret:
		for _, v := range o.Data {
			held = held || !redacted(string(v))
		}
		for _, v := range o.StringData {
			held = held || !redacted(v)
		}
		_, found := o.Annotations[lastApplied]
		held = held || found
	case message:
		_, held = o.GetAnnotations()[lastApplied]
	case map[string]any:
		if f.Kind == "Secret" {
			for _, key := range [...]string{"data", "stringData"} {
				values, ok := o[key].(map[string]any)
				held = held || !ok && o[key] != nil
				for _, v := range values {
					text, ok := v.(string)
					held = held || !ok && v != nil || !redacted(text)
				}
			}
		}
		meta, _ := o["metadata"].(map[string]any)
		annotations, _ := meta["annotations"].(map[string]any)
		_, found := annotations[lastApplied]
		held = held || found
	}
	if held {
		return errors.New("it holds values of a Secret or a last-applied annotation, which no snapshot may hold\nhint: this is a defect of Bailey; please report it")
	}
	return nil
}

func redacted(text string) bool {
	_, ok := bailey.ClassOf(text)
	return ok
}
