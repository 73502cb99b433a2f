package prove

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Verify reads and verifies a piece of evidence, and that its summary and the whole
// agree: of a whole, with the summary beside it, if there is one; of a summary,
// with the whole, which must be there.
func Verify(ctx context.Context, path string, trusted []ed25519.PublicKey) (*Summary, error) {
	if IsSummary(path) {
		s, err := loadSummary(ctx, path, trusted)
		if err != nil {
			return nil, err
		}
		file, err := wholeOf(path)
		if err != nil {
			return nil, err
		}
		whole, err := verifyWhole(ctx, file, trusted)
		if err != nil {
			return nil, fmt.Errorf("%s: its whole does not verify: %w", path, err)
		}
		if err := s.agrees(whole); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return s, nil
	}
	whole, err := verifyWhole(ctx, path, trusted)
	if err != nil {
		return nil, err
	}
	for _, suffix := range []string{summarySuffix, summarySuffix + archivedSuffix} {
		beside := filepath.Join(filepath.Dir(path), stemOf(path)+suffix)
		s, err := loadSummary(ctx, beside, trusted)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = s.agrees(whole)
		}
		if err != nil {
			return nil, fmt.Errorf("%s verifies, and the summary beside it does not: %w", path, err)
		}
	}
	return whole, nil
}

// IsSummary reports whether a path is named as that of a summary.
func IsSummary(path string) bool {
	return strings.HasSuffix(strings.TrimSuffix(path, archivedSuffix), summarySuffix)
}

func verifyWhole(ctx context.Context, path string, trusted []ed25519.PublicKey) (*Summary, error) {
	s, size, err := loadSigned(ctx, path, trusted, Open)
	if err != nil {
		return nil, err
	}
	return s.Summary(size), nil
}

// wholeOf finds the whole of a summary: beside it, in the archive, or where it was
// before that.
func wholeOf(path string) (string, error) {
	dir, stem := filepath.Dir(path), stemOf(path)
	places := []string{filepath.Join(dir, stem+wholeSuffix), filepath.Join(dir, stem+wholeSuffix+archivedSuffix), filepath.Join(dir, "..", "..", stem+wholeSuffix)}
	if folder, err := monthOf(dir, stem); err == nil {
		places = append(places, filepath.Join(folder, stem+wholeSuffix+archivedSuffix))
	}
	for _, place := range places {
		if info, err := os.Stat(place); err == nil && info.Mode().IsRegular() {
			return place, nil
		}
	}
	return "", fmt.Errorf("%s: the whole that it sums up is missing: %s", path, places[0])
}

// Find gives the envelope of the whole evidence with that ID, and its name, from a
// folder or its archive. It is nil where there is none.
func Find(dir, id string) (name string, envelope []byte) {
	if len(id) < 12 {
		return "", nil
	}
	for _, pattern := range []string{"*-" + id[:12] + wholeSuffix, filepath.Join(archiveFolder, "*", "*-"+id[:12]+wholeSuffix+archivedSuffix)} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern)) // fails for a wrong pattern only
		for _, path := range found {
			data, err := readEnvelope(path)
			if err == nil && payloadID(data) == id {
				return stemOf(path) + wholeSuffix, data
			}
		}
	}
	return "", nil
}
