// Package saved keeps a snapshot in one compressed file, and compares two.
//
// A file is a zstd skippable frame that holds Mark, then one zstd frame. What
// that frame holds, uncompressed, is a row of records, each a type byte, the
// payload's length as a varint, and the payload:
//
//	H  the header, JSON: format, schema, Bailey's version, Meta and coverage; first
//	T  a table, JSON: what the facts of one kind and version are, and how they are encoded
//	F  facts of one table: its number, a count, then the facts
//	E  the end: the count of all facts, and the SHA-256 of every byte before this record
//
// Built-in kinds are encoded as Kubernetes protobuf, everything else as JSON.
// A file without its last record was cut off, and is refused.
package saved

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// Schema is the number of the file format that Write writes, and the newest
// that Read reads. It grows when an older Read would misunderstand the file.
const Schema = 1

// Mark is what the file's first frame holds.
const Mark = "bailey snapshot\n"

// frameMark is the file's first frame: zstd's first skippable magic number, the
// length of what follows (RFC 8878, section 3.1.2), and Mark.
var frameMark = append([]byte{0x50, 0x2a, 0x4d, 0x18, byte(len(Mark)), 0, 0, 0}, Mark...)

// IsSnapshot reports whether a file that begins with these bytes (24 or more)
// is a saved snapshot.
func IsSnapshot(beginning []byte) bool {
	return len(beginning) >= len(frameMark) && string(beginning[:len(frameMark)]) == string(frameMark)
}

// Limits bound what Read takes from a file. A zero field means the default.
type Limits struct {
	// Bytes is the size of the whole content, uncompressed: 8 GiB.
	Bytes int64
	// Record is the size of one record in bytes: 64 MiB.
	Record int
	// Facts is the number of facts: 20 million.
	Facts int
	// Depth is how deep lists and maps may be nested in JSON: 1000.
	Depth int
}

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 8 << 30
	}
	if l.Record <= 0 {
		l.Record = maxRecord
	}
	if l.Facts <= 0 {
		l.Facts = 20e6
	}
	if l.Depth <= 0 {
		l.Depth = maxDepth
	}
	return l
}

// What Write keeps to, so that Read takes what it writes.
const (
	maxDepth  = 1000
	maxRecord = 64 << 20
)

// ErrNotSnapshot is what Read returns, wrapped, for bytes that are no saved
// snapshot at all.
var ErrNotSnapshot = errors.New("not a snapshot saved by Bailey")

// The record types.
const (
	recordHeader = 'H'
	recordTable  = 'T'
	recordFacts  = 'F'
	recordEnd    = 'E'
)

const format = "bailey snapshot"

type header struct {
	Format  string           `json:"format"`
	Schema  int              `json:"schema"`
	Bailey  string           `json:"bailey"`
	Meta    bailey.Meta      `json:"meta"`
	Seen    []bailey.Ref     `json:"seen"`
	Missing []bailey.Missing `json:"missing"`
}

// The encodings of a table's facts.
const (
	encodingProtobuf = "protobuf"
	encodingJSON     = "json" // map[string]any
	encodingOwn      = "own"  // a type of the package bailey, as JSON
)

// table says what many facts have in common.
type table struct {
	Kind       bailey.Kind `json:"kind"`
	APIVersion string      `json:"apiVersion"`
	Encoding   string      `json:"encoding"`
	// Shape is the apiVersion whose type the facts have (see object.New); empty
	// if it is APIVersion.
	Shape string `json:"shape,omitempty"`
	// TypeAPIVersion and TypeKind are what the objects themselves say they are,
	// which Kubernetes protobuf leaves out.
	TypeAPIVersion string `json:"typeAPIVersion,omitempty"`
	TypeKind       string `json:"typeKind,omitempty"`
}

// newObject gives a fresh object of the table's type, nil if there is none.
func (t *table) newObject() message {
	shape := t.Shape
	if shape == "" {
		shape = t.APIVersion
	}
	m, _ := object.New(shape, t.Kind.Short()).(message)
	return m
}

// shapeOf finds the apiVersion whose type the object has, starting with the one
// it was read in: old versions are converted when they are collected.
func shapeOf(o message, apiVersion, kind string) (string, bool) {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		group = ""
	}
	if group == "extensions" {
		group = "apps"
	}
	for _, shape := range [...]string{apiVersion, group + "/v1", group + "/v2", "networking.k8s.io/v1"} {
		if n := object.New(strings.TrimPrefix(shape, "/"), kind); n != nil && reflect.TypeOf(n) == reflect.TypeOf(o) {
			return strings.TrimPrefix(shape, "/"), true
		}
	}
	return "", false
}

// version is the version of this program, as the build recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func corrupt(what string, args ...any) error {
	return fmt.Errorf("the snapshot is damaged: %s\nhint: take it again with `bailey snapshot save`", fmt.Sprintf(what, args...))
}
