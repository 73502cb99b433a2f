package prove

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// archiveFolder, in the folder of the evidence, has a folder a month for what no
// verdict rests on any more.
const archiveFolder = "archive"

// Archive moves evidence, compressed, to where scans do not read it. Each list is
// taken in its order, and left at the first piece that cannot be moved: what counts
// must be the same however far it came. It ends early, without an error, when ctx
// does. A kill loses nothing and doubles nothing.
func Archive(ctx context.Context, dir string, lists [][]Kept, trusted []ed25519.PublicKey) (moved int, err error) {
	for _, list := range lists {
		for _, k := range list {
			if ctx.Err() != nil {
				return moved, err
			}
			failed := k.Doubt
			for _, path := range append([]string{k.Path}, k.Copies...) {
				if failed == nil {
					failed = archive(ctx, dir, path, k.Summary.Evidence.ID, trusted)
				}
			}
			if failed != nil {
				err = errors.Join(err, failed)
				break
			}
			moved++
		}
	}
	if moved > 0 {
		err = errors.Join(err, syncFolder(dir))
	}
	return moved, err
}

// archive moves the files of one piece. The whole is verified first, for the sake of
// what may be in the archive already.
func archive(ctx context.Context, dir, path, id string, trusted []ed25519.PublicKey) error {
	stem := stemOf(path)
	folder, err := monthOf(dir, stem)
	if err != nil {
		return err
	}
	live := filepath.Join(dir, stem)
	whole, err := readEnvelope(live + wholeSuffix)
	if errors.Is(err, fs.ErrNotExist) && archived(dir, stem) { // another run was faster, or was cut off
		return remove(live + summarySuffix)
	}
	if err != nil {
		return err
	}
	s, err := Open(ctx, whole, trusted)
	if err != nil {
		return fmt.Errorf("%s: %w", live+wholeSuffix, err)
	}
	if s.Predicate.Evidence.ID != id {
		return fmt.Errorf("%s: %w", live+wholeSuffix, errDisagree)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := errors.Join(syncFolder(dir), syncFolder(filepath.Dir(folder))); err != nil {
		return err
	}
	if err := compress(filepath.Join(folder, stem+wholeSuffix), whole); err != nil {
		return err
	}
	summary, err := readEnvelope(live + summarySuffix)
	if err == nil {
		err = compress(filepath.Join(folder, stem+summarySuffix), summary)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A whole without its summary still counts; a summary without its whole does not.
	return errors.Join(remove(live+summarySuffix), remove(live+wholeSuffix))
}

// compress writes what is not there yet, durable.
func compress(path string, data []byte) error {
	path += archivedSuffix
	there, err := readEnvelope(path)
	if err == nil && bytes.Equal(there, data) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("%s holds something else than the evidence of this name\nhint: `bailey evidence verify` shows which of the two is good", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err = w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return writeNew(path, b.Bytes())
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// stemOf is what the files of one piece are named after.
func stemOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), archivedSuffix)
	if stem, summary := strings.CutSuffix(name, summarySuffix); summary {
		return stem
	}
	return strings.TrimSuffix(name, wholeSuffix)
}

// monthOf is the folder of the archive for a piece.
func monthOf(dir, stem string) (string, error) {
	stamp, _, _ := strings.Cut(stem, "-")
	at, err := time.Parse(stampLayout, stamp)
	if err != nil {
		return "", fmt.Errorf("%s: its name does not begin with the moment when it ended", stem)
	}
	return filepath.Join(dir, archiveFolder, at.Format("2006-01")), nil
}

// archived reports whether the archive has the whole.
func archived(dir, stem string) bool {
	folder, err := monthOf(dir, stem)
	if err != nil {
		return false
	}
	info, err := os.Stat(filepath.Join(folder, stem+wholeSuffix+archivedSuffix))
	return err == nil && info.Mode().IsRegular()
}

// readEnvelope reads an envelope, compressed or not.
func readEnvelope(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, archivedSuffix) {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		r = z
	}
	var b bytes.Buffer
	if size := info.Size(); size < evidenceLimit {
		b.Grow(int(size) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(io.LimitReader(r, evidenceLimit+1)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if b.Len() > evidenceLimit {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, evidenceLimit>>20)
	}
	return b.Bytes(), nil
}
