package prove

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How the files of a piece of evidence end: 20060102T150405Z-<12 digits of its ID>
// and one of these, in the archive with archivedSuffix behind.
const (
	wholeSuffix    = ".dsse.json"
	summarySuffix  = ".summary.json"
	archivedSuffix = ".gz"
)

// stampLayout is how the names of evidence begin: with the moment when it ended.
const stampLayout = "20060102T150405Z"

// Keep signs a statement and its summary and writes both into the folder, durable.
// It gives the whole's path, ID and envelope.
func Keep(ctx context.Context, dir string, s Statement, key *Key) (path, id string, envelope []byte, err error) {
	envelope, id, err = Sign(ctx, s, key)
	if err != nil {
		return "", "", nil, err
	}
	sum := s.Summary(len(envelope))
	sum.Evidence.ID = id
	brief, err := SignSummary(ctx, sum, key)
	if err != nil {
		return "", "", nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", nil, err
	}
	stem := filepath.Join(dir, fmt.Sprintf("%s-%.12s", s.Predicate.End.UTC().Format(stampLayout), id))
	// The whole first: without a summary it counts, and not the other way round.
	err = writeNew(stem+wholeSuffix, envelope)
	if err == nil {
		err = writeNew(stem+summarySuffix, brief)
	}
	if err != nil {
		return "", "", nil, fmt.Errorf("the evidence could not be kept: %w\nhint: make room, then prove again", err)
	}
	return stem + wholeSuffix, id, envelope, nil
}

// Kept is one piece of evidence in a folder.
type Kept struct {
	// Path is of the whole, or of the summary where that is all there is.
	Path string
	// Copies are further files with the same piece: they are no further tries.
	Copies  []string
	Summary *Summary
	// Err says why it does not count.
	Err error
	// Doubt says why it counts for what was broken only.
	Doubt error
}

// Reading is which evidence of a folder is read.
type Reading struct {
	Since time.Time // when it ended, at least
	// Archived tells to read the archive too, for what is told of a moment in the past.
	Archived bool
}

// piece is the files of a piece of evidence.
type piece struct {
	stem           string // without folder
	whole, summary string // paths; empty where there is none
	size           int64  // of the whole, in bytes; of no use where it is compressed
}

// Load reads and verifies the evidence in a folder, oldest first: of each piece the
// summary, or the whole where it has none. A piece that does not verify is given
// with its error: it raises no rung.
func Load(ctx context.Context, dir string, trusted []ed25519.PublicKey, r Reading) ([]Kept, error) {
	pieces, err := list(dir, r)
	if err != nil {
		return nil, err
	}
	read := make([]*Kept, len(pieces))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(pieces)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(pieces)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				read[i] = pieces[i].load(ctx, dir, trusted)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var all []Kept
	seen := map[string]int{}
	for _, k := range read {
		if k == nil {
			continue
		}
		if k.Err == nil {
			id := k.Summary.Evidence.ID
			if first, known := seen[id]; known {
				all[first].Copies = append(all[first].Copies, k.Path)
				continue
			}
			seen[id] = len(all)
		}
		all = append(all, *k)
	}
	return all, nil
}

// list gives the pieces in a folder by name, so that the oldest come first.
func list(dir string, r Reading) ([]*piece, error) {
	known := map[string]*piece{}
	var all []*piece
	add := func(folder, suffix string) error {
		files, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		from := r.Since.UTC().Format(stampLayout)
		for _, f := range files {
			name, whole := strings.CutSuffix(f.Name(), wholeSuffix+suffix)
			if !whole {
				var summary bool
				if name, summary = strings.CutSuffix(f.Name(), summarySuffix+suffix); !summary {
					continue
				}
			}
			if name < from {
				continue
			}
			p := known[name]
			if p == nil {
				p = &piece{stem: name}
				known[name] = p
				all = append(all, p)
			}
			switch path := filepath.Join(folder, f.Name()); {
			case whole && p.whole == "":
				p.whole = path
				if info, err := f.Info(); err == nil {
					p.size = info.Size()
				}
			case !whole && p.summary == "":
				p.summary = path
			}
		}
		return nil
	}
	if err := add(dir, ""); err != nil {
		return nil, err
	}
	if r.Archived {
		months, err := os.ReadDir(filepath.Join(dir, archiveFolder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, month := range months {
			if err := add(filepath.Join(dir, archiveFolder, month.Name()), archivedSuffix); err != nil {
				return nil, err
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].stem < all[j].stem })
	return all, nil
}

// load reads one piece. It is nil if it went to the archive meanwhile.
func (p *piece) load(ctx context.Context, dir string, trusted []ed25519.PublicKey) *Kept {
	k := &Kept{Path: p.whole}
	var why error
	if p.summary != "" {
		if k.Summary, why = loadSummary(ctx, p.summary, trusted); why == nil && !p.named(k.Summary) {
			k.Summary, why = nil, fmt.Errorf("%s sums up other evidence: %.12s", p.summary, k.Summary.Evidence.ID)
		}
		if k.Summary != nil && p.isThere(dir, k.Summary) {
			if k.Path == "" {
				k.Path = p.summary
			}
			return k
		}
	}
	if p.whole != "" {
		whole, err := LoadFile(ctx, p.whole, trusted)
		if err == nil {
			k.Summary = whole.Summary(int(p.size))
			return k
		}
		why = err
	}
	if errors.Is(why, fs.ErrNotExist) && archived(dir, p.stem) {
		return nil
	}
	if k.Summary == nil {
		k.Err = why
		return k
	}
	if p.whole == "" {
		why = fmt.Errorf("the whole of %s is missing", p.summary)
		k.Path = p.summary
	}
	k.Summary, k.Doubt = k.Summary.withoutWhole(), why
	return k
}

// named reports whether the file's name is that of the evidence summed up.
func (p *piece) named(s *Summary) bool {
	return len(s.Evidence.ID) >= 12 && strings.HasSuffix(p.stem, "-"+s.Evidence.ID[:12])
}

// isThere reports whether the whole seems to be there: it has its size, or is in the
// archive. Whether it is what it was, its verification shows.
func (p *piece) isThere(dir string, s *Summary) bool {
	if strings.HasSuffix(p.whole, wholeSuffix) {
		return p.size == int64(s.Bytes)
	}
	return p.whole != "" || archived(dir, p.stem)
}

// LoadFile reads and verifies one piece of evidence, compressed or not.
func LoadFile(ctx context.Context, path string, trusted []ed25519.PublicKey) (*Statement, error) {
	s, _, err := loadSigned(ctx, path, trusted, Open)
	return s, err
}

func loadSummary(ctx context.Context, path string, trusted []ed25519.PublicKey) (*Summary, error) {
	s, _, err := loadSigned(ctx, path, trusted, OpenSummary)
	return s, err
}

// loadSigned reads an envelope and opens it, and gives its size in bytes too.
func loadSigned[T any](ctx context.Context, path string, trusted []ed25519.PublicKey, open func(context.Context, []byte, []ed25519.PublicKey) (*T, error)) (*T, int, error) {
	data, err := readEnvelope(path)
	if err != nil {
		return nil, 0, err
	}
	s, err := open(ctx, data, trusted)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return s, len(data), nil
}
