package saved

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/baileyhq/bailey"
)

var fuzzLimits = Limits{Bytes: 1 << 20, Record: 256 << 10, Facts: 10_000}

// FuzzRead reads any bytes as a file. What it accepts, it can write and read
// again.
func FuzzRead(f *testing.F) {
	whole := encode(f, small())
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(encode(f, generated(f, 60)))
	f.Fuzz(func(t *testing.T, file []byte) { readAgain(t, file) })
}

// FuzzContent reads any bytes as the uncompressed content, with the last record
// made right, so that mutations get past the checksums.
func FuzzContent(f *testing.F) {
	for _, s := range []*bailey.Snapshot{small(), generated(f, 60)} {
		content := decompress(f, encode(f, s))
		end := len(binary.AppendUvarint(nil, uint64(s.Len()))) + sha256.Size
		f.Add(content[:len(content)-2-end], uint64(s.Len()))
	}
	f.Fuzz(func(t *testing.T, content []byte, count uint64) {
		if len(content) > 1<<20 {
			return
		}
		sum := sha256.Sum256(content)
		end := append(binary.AppendUvarint(nil, count), sum[:]...)
		content = append(bytes.Clone(content), recordEnd)
		content = append(binary.AppendUvarint(content, uint64(len(end))), end...)
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		readAgain(t, z.EncodeAll(content, bytes.Clone(frameMark)))
	})
}

func readAgain(t *testing.T, file []byte) {
	s, err := Read(bytes.NewReader(file), fuzzLimits)
	if err != nil {
		return
	}
	var buf bytes.Buffer
	if Write(&buf, s) != nil {
		return // it holds what no snapshot may
	}
	again, err := Read(&buf, Limits{})
	if err != nil {
		t.Fatalf("read, written, and not read again: %v", err)
	}
	if again.Len() != s.Len() {
		t.Fatalf("%d facts became %d", s.Len(), again.Len())
	}
}
