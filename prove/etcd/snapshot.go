package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey/prove"
)

const (
	// keyBucket is where etcd keeps each revision of each key.
	keyBucket = "key"
	// A snapshot that etcd wrote ends with the SHA-256 of what is before; a database
	// consists of whole blocks of 512 bytes.
	blockSize    = 512
	revisionSize = 17 // 8 bytes, '_', 8 bytes; a tombstone has a 't' more
)

// snapshot is a file. It is opened for reading only, and must not change while
// it is open.
type snapshot struct {
	naming
	path  string
	file  *os.File
	info  os.FileInfo
	pages *pages

	mu sync.Mutex
	// A file does not change, so that each question is answered by one reading.
	keys  map[string][]prove.Stored
	looks map[[2]string]looked
	taken time.Time // zero until it was asked for
}

type looked struct {
	stored *prove.Stored
	holds  bool
}

func openSnapshot(ctx context.Context, path, prefix string) (_ Storage, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("etcd: the snapshot %s: %w", path, err)
		}
	}()
	info, err := os.Stat(path) // before it is opened: opening a pipe would wait
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	size, err := intact(ctx, file, info.Size())
	if err != nil {
		return nil, err
	}
	pages, err := openPages(file, size)
	if err != nil {
		return nil, err
	}
	return &snapshot{naming: naming{prefix}, path: path, file: file, info: info, pages: pages,
		keys: map[string][]prove.Stored{}, looks: map[[2]string]looked{}}, nil
}

// intact checks the sum that a snapshot may end with, and gives the size of
// what is before it.
func intact(ctx context.Context, r io.ReaderAt, size int64) (int64, error) {
	if size%blockSize != sha256.Size {
		return size, nil
	}
	size -= sha256.Size
	want := make([]byte, sha256.Size)
	if _, err := r.ReadAt(want, size); err != nil {
		return 0, err
	}
	sum, data := sha256.New(), io.NewSectionReader(r, 0, size)
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if _, err := io.CopyN(sum, data, 16<<20); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, err
		}
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		return 0, errors.New("it is damaged: the SHA-256 at its end is not that of the rest")
	}
	return size, nil
}

// Keys gives the newest revision of each key that is not deleted.
func (s *snapshot) Keys(ctx context.Context, prefix string) ([]prove.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all, known := s.keys[prefix]; known {
		return slices.Clone(all), nil
	}
	newest, err := s.read(ctx, s.stored(prefix), "", false)
	if err != nil {
		return nil, err
	}
	all := make([]prove.Stored, 0, len(newest))
	for key, v := range newest {
		if !v.deleted {
			all = append(all, prove.Stored{Key: s.said(key), By: v.by, Revision: v.main})
		}
	}
	slices.SortFunc(all, func(a, b prove.Stored) int { return strings.Compare(a.Key, b.Key) })
	s.keys[prefix] = all
	return slices.Clone(all), nil
}

// Look reads the newest value of one key.
func (s *snapshot) Look(ctx context.Context, key, text string) (*prove.Stored, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	question := [2]string{key, text}
	if answer, known := s.looks[question]; known {
		return answer.stored, answer.holds, nil
	}
	newest, err := s.read(ctx, s.stored(key), text, true)
	if err != nil {
		return nil, false, err
	}
	var answer looked
	if v, found := newest[s.stored(key)]; found && !v.deleted {
		answer = looked{&prove.Stored{Key: s.said(s.stored(key)), By: v.by, Revision: v.main}, v.holds}
	}
	s.looks[question] = answer
	return answer.stored, answer.holds, nil
}

// Taken is the newest moment at which a Lease was renewed: nodes and parts of the
// control plane renew theirs every few seconds, so that the file was not made long
// after. A file's own times are those of its last copy.
func (s *snapshot) Taken(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken.IsZero() {
		var newest time.Time
		err := s.pages.bucket(keyBucket, func(e element) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			key, value, err := keyValue(e.value)
			if err == nil && bytes.HasPrefix(key, []byte(s.stored(leases))) {
				if at := renewed(value); at.After(newest) {
					newest = at
				}
			}
			return err
		})
		if err != nil {
			return time.Time{}, fmt.Errorf("etcd: the snapshot %s: %w", s.path, err)
		}
		s.taken = newest
	}
	if s.taken.IsZero() {
		return time.Time{}, fmt.Errorf("etcd: when the snapshot %s was made cannot be told: it holds no Lease that can be read\nhint: --etcd reads etcd itself", s.path)
	}
	return s.taken, nil
}

// leases is where Leases are stored.
const leases = DefaultPrefix + "/leases/"

// renewed gives the renewTime of a stored Lease; zero where it is encrypted, or is
// none.
func renewed(value []byte) time.Time {
	data, found := bytes.CutPrefix(value, []byte("k8s\x00"))
	if !found {
		return time.Time{}
	}
	var stored runtime.Unknown
	var lease coordinationv1.Lease
	if stored.Unmarshal(data) != nil || lease.Unmarshal(stored.Raw) != nil || lease.Spec.RenewTime == nil {
		return time.Time{}
	}
	return lease.Spec.RenewTime.UTC()
}

// Put refuses: a snapshot is what it is.
func (s *snapshot) Put(context.Context, string, []byte) error {
	return fmt.Errorf("etcd: %s is a snapshot and is never written to", s.path)
}

// Close closes the file.
func (s *snapshot) Close() error { return s.file.Close() }

// version is the newest revision of a key, without its value.
type version struct {
	main, sub int64
	deleted   bool
	by        string
	err       error
	holds     bool
}

// read goes through the whole file, and gives the newest version of each key
// under the prefix, or of the key that it is.
func (s *snapshot) read(ctx context.Context, prefix, text string, exact bool) (map[string]version, error) {
	newest, err := readNewest(ctx, s.pages, prefix, text, exact)
	if err != nil {
		return nil, fmt.Errorf("etcd: the snapshot %s: %w", s.path, err)
	}
	info, err := os.Stat(s.path)
	if err != nil || !os.SameFile(info, s.info) || info.Size() != s.info.Size() || !info.ModTime().Equal(s.info.ModTime()) {
		return nil, fmt.Errorf("etcd: the snapshot %s changed while it was read\nhint: an etcd that runs is read by its endpoints, or by a snapshot that it makes", s.path)
	}
	return newest, nil
}

func readNewest(ctx context.Context, p *pages, prefix, text string, exact bool) (map[string]version, error) {
	newest := map[string]version{}
	err := p.bucket(keyBucket, func(e element) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(e.key) < revisionSize || e.bucket {
			return fmt.Errorf("the bucket %s holds what is no revision", keyBucket)
		}
		v := version{main: int64(binary.BigEndian.Uint64(e.key)), sub: int64(binary.BigEndian.Uint64(e.key[9:])),
			deleted: len(e.key) > revisionSize && e.key[revisionSize] == 't'}
		key, value, err := keyValue(e.value)
		if err != nil {
			return fmt.Errorf("revision %d: %w", v.main, err)
		}
		if exact && string(key) != prefix || !bytes.HasPrefix(key, []byte(prefix)) {
			return nil
		}
		last, found := newest[string(key)]
		if found && (last.main > v.main || last.main == v.main && last.sub > v.sub) {
			return nil
		}
		if !found && len(newest) >= keyLimit {
			return tooMany(prefix)
		}
		if !v.deleted {
			v.by, v.err = encryptedBy(value)
			v.holds = text != "" && bytes.Contains(value, []byte(text))
		}
		newest[string(key)] = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	for key, v := range newest { // of an older version nobody asks
		if v.err != nil {
			return nil, fmt.Errorf("%s: %w", printable(key), v.err)
		}
	}
	return newest, nil
}

// keyValue takes key (1) and value (5) out of a mvccpb.KeyValue.
func keyValue(b []byte) (key, value []byte, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, nil, protowire.ParseError(n)
		}
		b = b[n:]
		switch {
		case number == 1 && kind == protowire.BytesType:
			key, n = protowire.ConsumeBytes(b)
		case number == 5 && kind == protowire.BytesType:
			value, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return nil, nil, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return key, value, nil
}
