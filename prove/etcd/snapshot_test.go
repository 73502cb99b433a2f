package etcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey/prove"
)

// change is one revision as etcd would store it; an empty value deletes.
type change struct{ key, value string }

// database writes changes, one transaction each, as etcd's data file holds them.
func database(t testing.TB, changes ...change) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"meta", "lease", "key"} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		b := tx.Bucket([]byte("key"))
		for i, c := range changes {
			main := int64(i + 2)
			id := binary.BigEndian.AppendUint64(nil, uint64(main))
			id = binary.BigEndian.AppendUint64(append(id, '_'), 0)
			kv := &mvccpb.KeyValue{Key: []byte(c.key), Value: []byte(c.value), ModRevision: main, CreateRevision: main, Version: 1, Lease: 7}
			if c.value == "" {
				id, kv = append(id, 't'), &mvccpb.KeyValue{Key: []byte(c.key)}
			}
			data, err := proto.Marshal(kv)
			if err != nil {
				return err
			}
			if err := b.Put(id, data); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// sealed appends the sum that etcd appends to a snapshot.
func sealed(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return write(t, append(data, sum[:]...))
}

func write(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keysOf(t *testing.T, path, prefix string) []prove.Stored {
	t.Helper()
	s, err := Open(t.Context(), Options{Snapshot: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Keys(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNewestRevisionCounts(t *testing.T) {
	path := database(t,
		change{"/registry/secrets/a/old", "k8s\x00plain"},
		change{"/registry/secrets/a/old", "k8s:enc:aescbc:v1:key1:x"},
		change{"/registry/secrets/a/gone", "k8s\x00plain"},
		change{"/registry/secrets/a/plain", "k8s\x00plain"},
		change{"/registry/secrets/a/gone", ""},
		change{"/registry/secrets/a/back", "k8s:enc:aescbc:v1:key1:x"},
		change{"/registry/secrets/a/back", ""},
		change{"/registry/secrets/a/back", "k8s:enc:aescbc:v1:key2:x"},
		change{"/registry/secretsx/a/other", "k8s\x00plain"},
	)
	want := []prove.Stored{
		{Key: "/registry/secrets/a/back", By: "aescbc:key2", Revision: 9},
		{Key: "/registry/secrets/a/old", By: "aescbc:key1", Revision: 3},
		{Key: "/registry/secrets/a/plain", Revision: 5},
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, sealed(t, path)} {
		if got := keysOf(t, p, "/registry/secrets/"); !reflect.DeepEqual(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// A tree of several levels, with values that overflow their page: the library
// that wrote it and the reader here must agree on every key.
func TestManyPages(t *testing.T) {
	var changes []change
	for i := range 3000 {
		size := 40
		if i%100 == 0 {
			size = 20_000
		}
		changes = append(changes, change{fmt.Sprintf("/registry/secrets/n%d/s%d", i%7, i%2500), fmt.Sprintf("k8s:enc:secretbox:v1:k%d:%s", i%3, strings.Repeat("c", size))})
	}
	want := map[string]string{}
	for i, c := range changes {
		want[c.key] = fmt.Sprintf("secretbox:k%d/%d", i%3, i+2)
	}
	got := map[string]string{}
	for _, s := range keysOf(t, sealed(t, database(t, changes...)), "/registry/secrets/") {
		got[s.Key] = fmt.Sprintf("%s/%d", s.By, s.Revision)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
}

func TestLookAndPrefix(t *testing.T) {
	path := database(t,
		change{"/kubernetes.io/namespaces/kube-system", "k8s\x00uid-of-this-cluster"},
		change{"/kubernetes.io/secrets/a/b", "k8s\x00plain"})
	s, err := Open(t.Context(), Options{Snapshot: path, Prefix: "kubernetes.io/"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		stored, holds, err := s.Look(t.Context(), "/registry/namespaces/kube-system", "uid-of-this-cluster")
		if err != nil || !holds || stored == nil || stored.Revision != 2 || stored.By != "" {
			t.Errorf("%v, %v, %v", stored, holds, err)
		}
	}
	if stored, holds, err := s.Look(t.Context(), "/registry/namespaces/kube-system", "of another"); err != nil || holds || stored == nil {
		t.Errorf("%v, %v, %v", stored, holds, err)
	}
	if stored, _, err := s.Look(t.Context(), "/registry/namespaces/kube", "x"); err != nil || stored != nil {
		t.Errorf("a key that begins another: %v, %v", stored, err)
	}
	all, err := s.Keys(t.Context(), "/registry/secrets/")
	if err != nil || len(all) != 1 || all[0].Key != "/registry/secrets/a/b" {
		t.Errorf("%v, %v", all, err)
	}
	if err := s.Put(t.Context(), "/registry/secrets/a/b", nil); err == nil {
		t.Error("a snapshot was written to")
	}
}

func TestUnreadableSnapshots(t *testing.T) {
	whole, err := os.ReadFile(sealed(t, database(t, change{"/registry/secrets/a/b", "k8s\x00plain"})))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	unknown, err := os.ReadFile(database(t, change{"/registry/secrets/a/b", "k8s:enc:rot13:v1:key1:plain"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":            {nil, "no etcd snapshot"},
		"text":             {[]byte(strings.Repeat("no database ", 4000)), "no etcd snapshot"},
		"one bit":          {flipped, "damaged"},
		"cut":              {whole[:len(whole)/2+5], ""},
		"cut at a block":   {whole[:8192], "not in the file"},
		"unknown provider": {unknown, "rot13"},
	} {
		s, err := Open(t.Context(), Options{Snapshot: write(t, c.data)})
		if err == nil {
			_, err = s.Keys(t.Context(), "/registry/secrets/")
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "snapshot") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Open(t.Context(), Options{Snapshot: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Open(t.Context(), Options{Snapshot: filepath.Join(t.TempDir(), "none")}); !os.IsNotExist(unwrapPath(err)) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Open(t.Context(), Options{}); err == nil {
		t.Error("nothing was named and something was opened")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Snapshot: write(t, whole)}); err == nil {
		t.Error("a reading that was called off went on")
	}
}

func unwrapPath(err error) error {
	for err != nil {
		if path, ok := err.(*fs.PathError); ok {
			return path
		}
		wrapper, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = wrapper.Unwrap()
	}
	return nil
}

func TestChangedWhileRead(t *testing.T) {
	path := database(t, change{"/registry/secrets/a/b", "k8s\x00plain"})
	s, err := Open(t.Context(), Options{Snapshot: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keys(t.Context(), "/registry/secrets/"); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a file that changes: %v", err)
	}
}

// A page that names its parent as its child.
func TestCircleOfPages(t *testing.T) {
	var changes []change
	for i := range 500 {
		changes = append(changes, change{fmt.Sprintf("/registry/secrets/a/s%d", i), "k8s:enc:aescbc:v1:k:" + strings.Repeat("c", 100)})
	}
	data, err := os.ReadFile(database(t, changes...))
	if err != nil {
		t.Fatal(err)
	}
	turned := 0
	for at := 4096 * 2; at < len(data); at += 4096 {
		if order.Uint16(data[at+8:])&branchFlag != 0 {
			order.PutUint64(data[at+headerSize+8:], uint64(at/4096))
			turned++
		}
	}
	if turned == 0 {
		t.Fatal("no branch page")
	}
	s, err := Open(t.Context(), Options{Snapshot: write(t, data)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if all, err := s.Keys(t.Context(), "/registry/"); err == nil {
		t.Errorf("%d keys out of a circle", len(all))
	}
}

func FuzzSnapshot(f *testing.F) {
	small, err := os.ReadFile(database(f, change{"/registry/secrets/a/b", "k8s\x00plain"}, change{"/registry/secrets/a/b", ""}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(small, 100, byte(3))
	f.Add(small, 4096*3+8, byte(1))
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		if len(data) > 1<<20 {
			return
		}
		data = bytes.Clone(data)
		if at >= 0 && at < len(data) {
			data[at] ^= flip
		}
		p, err := openPages(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		newest, err := readNewest(t.Context(), p, "/registry/", "", false)
		if err == nil && len(newest) > len(data) {
			t.Errorf("%d keys in %d bytes", len(newest), len(data))
		}
	})
}

// TestTaken: a snapshot is as old as the newest Lease in it, whatever the file's
// own times say; one without a Lease that can be read has no age.
func TestTaken(t *testing.T) {
	lease := func(at time.Time) string {
		l := coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: at}}}
		raw, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		stored := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"}, Raw: raw}
		data, err := stored.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return "k8s\x00" + string(data)
	}
	lastYear := time.Now().AddDate(-1, 0, 0).UTC().Truncate(time.Microsecond)
	taken := func(changes ...change) (time.Time, error) {
		s, err := Open(t.Context(), Options{Snapshot: database(t, changes...)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return s.Taken(t.Context())
	}
	at, err := taken(change{"/registry/leases/kube-system/a", lease(lastYear.Add(-time.Hour))}, change{"/registry/leases/kube-node-lease/n", lease(lastYear)},
		change{"/registry/secrets/default/x", "k8s:enc:aescbc:v1:key1:abc"})
	if err != nil || !at.Equal(lastYear) {
		t.Errorf("taken %s, want %s: %v", at, lastYear, err)
	}
	for _, value := range []string{"k8s:enc:aescbc:v1:key1:abc", "k8s\x00\xff\xff", lease(lastYear)[:20]} {
		if at, err := taken(change{"/registry/leases/kube-system/a", value}); err == nil {
			t.Errorf("of %q an age is told: %s", value, at)
		}
	}
}
