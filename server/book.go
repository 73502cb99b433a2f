package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"filippo.io/age"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/baileyhq/bailey/ledger"
)

// Book is the ledger of a server: evidence is recorded in it, and pages show what it holds.
type Book struct {
	o    BookOptions
	root *os.Root // its folder
	tree *os.Root // the log in it: what is published
	// shown remembers what records say: they do not change.
	shown *lru.Cache[uint64, LedgerEntry]

	mu       sync.Mutex
	log      *ledger.Log       // nil where nothing is recorded
	begun    time.Time         // no record is older
	indexes  map[string]uint64 // of evidence, by its ID
	checked  bool              // nothing is recorded before
	damage   string            // for good
	failed   string            // until something is recorded again
	verified *time.Time
}

// BookOptions are what a Book is made of.
type BookOptions struct {
	Dir string
	// Identities open records, so that pages tell what they are about. Without any they are
	// shown as sealed.
	Identities []age.Identity
	Log        *slog.Logger
	Now        func() time.Time
	// Offline asks no witness.
	Offline bool
}

const (
	// verifyLimit bounds the verification at the start: a larger ledger is verified as far as
	// the writer does when it opens one, which is its end.
	verifyLimit = 10 * time.Minute
	// closeLimit is how long the end may take: what was recorded is signed.
	closeLimit = 30 * time.Second
	// shownKept bounds the records of which is remembered what they say.
	shownKept = 1 << 16
)

// OpenBook opens a ledger to be read. Begin has it written.
func OpenBook(o BookOptions) (*Book, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, err
	}
	b := &Book{o: o, root: root, indexes: map[string]uint64{}}
	if b.shown, err = lru.New[uint64, LedgerEntry](shownKept); err != nil {
		panic(err) // the size is a constant
	}
	if b.tree, err = root.OpenRoot("log"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, root.Close())
	}
	return b, nil
}

// Begin takes the ledger's lock, and has evidence recorded once Verify has ended. ledger.ErrLocked
// says that another process holds the lock, and another error that the disk does not answer. A ledger
// that is damaged is left to be looked at, and nothing is recorded. It does nothing in a ledger that is
// being written.
func (b *Book) Begin(ctx context.Context) error {
	b.mu.Lock()
	writing := b.log != nil
	b.mu.Unlock()
	if writing {
		return nil
	}
	log, err := ledger.Open(ctx, b.o.Dir, ledger.Options{Now: b.o.Now, Offline: b.o.Offline})
	var begun time.Time
	if err == nil {
		begun, err = ledger.Begun(b.root.FS())
	}
	if away(err) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err(), b.release(log))
	}
	b.mu.Lock()
	b.log, b.begun, b.checked, b.failed = log, begun, false, ""
	b.mu.Unlock()
	if err != nil {
		b.stop(err.Error())
	}
	return nil
}

const (
	// lockWait is the wait between two tries to begin, and lockPatience how long another process may
	// hold the lock before it is told: whoever wrote before signs what it has recorded.
	lockWait     = time.Second
	lockPatience = time.Minute
)

// Await begins as soon as that is possible. State says what stands against it.
func (b *Book) Await(ctx context.Context) error {
	begun := time.Now()
	for {
		err := b.Begin(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && (!errors.Is(err, ledger.ErrLocked) || time.Since(begun) > lockPatience) {
			b.fail("the ledger cannot be written; it is tried again", err)
		}
		if !pause(ctx, lockWait) {
			return ctx.Err()
		}
	}
}

// away tells an error of the lock or the disk, which may end, from what damage is: files that are
// missing or hold something else.
func away(err error) bool {
	var number syscall.Errno
	return errors.Is(err, ledger.ErrLocked) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &number) && !slices.Contains([]syscall.Errno{syscall.ENOENT, syscall.ENOTDIR, syscall.EISDIR}, number)
}

// fail notes why nothing is recorded now, and says it once.
func (b *Book) fail(what string, err error, more ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != err.Error() {
		b.failed = err.Error()
		b.o.Log.Error(what, append(more, "error", err)...)
	}
}

// Rest ends what Begin began: what was recorded is signed, and the lock is released.
func (b *Book) Rest() error {
	b.mu.Lock()
	log := b.log
	b.log, b.checked, b.failed = nil, false, "" // what another process cannot do is said there
	b.mu.Unlock()
	return b.release(log)
}

func (b *Book) release(log *ledger.Log) error {
	if log == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	return log.Close(ctx)
}

// stop ends recording for good.
func (b *Book) stop(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.damage, b.verified = why, nil
	b.o.Log.Error("the ledger is damaged; nothing more is recorded in it", "ledger", b.o.Dir, "problem", why)
}

// Close rests, and closes the ledger.
func (b *Book) Close() error {
	err := b.Rest()
	if b.tree != nil {
		err = errors.Join(err, b.tree.Close())
	}
	return errors.Join(err, b.root.Close())
}

// Verify verifies the whole ledger, and lets what is proven be recorded from then on; damage
// ends that for good. That it was not verified whole in the time that it has is in the log.
func (b *Book) Verify(ctx context.Context) {
	defer func() {
		b.mu.Lock()
		b.checked = true
		b.mu.Unlock()
	}()
	limited, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	report, err := ledger.Verify(limited, b.root.FS(), ledger.VerifyOptions{})
	switch {
	case ctx.Err() != nil:
	case err != nil && limited.Err() != nil:
		b.o.Log.Warn("the ledger was not verified whole in the time that this has at the start; bailey ledger verify does it", "ledger", b.o.Dir, "limit", verifyLimit)
	case err != nil:
		b.stop(err.Error())
	case !report.Intact():
		why := report.Problems[0].String()
		if more := len(report.Problems) - 1 + report.MoreFaults; more > 0 {
			why = fmt.Sprintf("%s; and %d more", why, more)
		}
		b.stop(why)
	default:
		now := b.o.Now()
		b.mu.Lock()
		b.verified = &now
		b.mu.Unlock()
		b.o.Log.Info("the ledger is intact", "ledger", b.o.Dir, "entries", report.Size, "root", report.Root)
	}
}

// writing gives the log to append to; nil where nothing is recorded.
func (b *Book) writing() *ledger.Log {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.damage != "" || !b.checked {
		return nil
	}
	return b.log
}

// evidenceName is the ID of the record of a piece of evidence.
func evidenceName(id string) string { return "evidence/" + id }

// Record records a signed piece of evidence. That it cannot be is told by State: the
// evidence is kept as a file, and Take records it later.
func (b *Book) Record(ctx context.Context, id string, envelope []byte) {
	log := b.writing()
	if log == nil {
		return
	}
	index, err := log.Append(ctx, ledger.Record{ID: evidenceName(id), Data: envelope})
	if err != nil {
		if ctx.Err() == nil {
			b.fail("evidence could not be recorded in the ledger; it is tried again after the next run", err, "evidence", id)
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = ""
	b.indexes[id] = index[0]
}

// Piece is a piece of evidence that is kept.
type Piece struct {
	ID string
	At time.Time
	// Read gives its envelope; an error of fs.ErrNotExist where the whole is no longer kept.
	Read func() ([]byte, error)
}

// Take records what is not in the ledger yet of evidence that was made since it began, and
// reports whether an index became known that was not.
func (b *Book) Take(ctx context.Context, pieces []Piece) bool {
	log := b.writing()
	if log == nil {
		return false
	}
	learned := false
	for _, p := range pieces {
		if p.At.Before(b.begun) {
			continue
		}
		b.mu.Lock()
		_, known := b.indexes[p.ID]
		b.mu.Unlock()
		if known {
			continue
		}
		found, err := log.Find(evidenceName(p.ID))
		if index, there := found[evidenceName(p.ID)]; there {
			b.mu.Lock()
			b.indexes[p.ID] = index
			b.mu.Unlock()
			learned = true
			continue
		}
		var envelope []byte
		if err == nil {
			envelope, err = p.Read()
		}
		switch {
		case ctx.Err() != nil:
			return learned
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			b.o.Log.Error("a piece of evidence is not in the ledger, and cannot be recorded", "evidence", p.ID, "error", err)
		default:
			b.Record(ctx, p.ID, envelope)
			learned = true
		}
	}
	return learned
}

// Index gives the index of a piece of evidence.
func (b *Book) Index(evidence string) (uint64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	index, found := b.indexes[evidence]
	return index, found
}

// State says how the ledger is.
func (b *Book) State() LedgerState {
	list, err := ledger.List(context.Background(), b.root.FS(), ledger.ListOptions{})
	b.mu.Lock()
	defer b.mu.Unlock()
	s := LedgerState{Appending: b.log != nil && b.checked && b.damage == "", Size: list.Size, Verified: b.verified, Problem: cmp.Or(b.damage, b.failed), Damaged: b.damage != ""}
	if err != nil && s.Problem == "" {
		s.Problem, s.Damaged = "it cannot be read: "+err.Error(), !away(err)
		if s.Damaged { // what was verified before says nothing any more
			b.verified, s.Verified = nil, nil
		}
	}
	return s
}

var (
	ledgerEntriesMetric = prometheus.NewDesc("bailey_ledger_entries", "Entries of the ledger that are signed.", nil, nil)
	ledgerDamagedMetric = prometheus.NewDesc("bailey_ledger_damaged", "1 if the ledger is damaged, or does not take what should be recorded; else 0.", nil, nil)
)

// Describe is of prometheus.Collector.
func (b *Book) Describe(to chan<- *prometheus.Desc) {
	to <- ledgerEntriesMetric
	to <- ledgerDamagedMetric
}

// Collect is of prometheus.Collector.
func (b *Book) Collect(to chan<- prometheus.Metric) {
	s, damaged := b.State(), 0.0
	if s.Problem != "" {
		damaged = 1
	}
	to <- prometheus.MustNewConstMetric(ledgerEntriesMetric, prometheus.GaugeValue, float64(s.Size))
	to <- prometheus.MustNewConstMetric(ledgerDamagedMetric, prometheus.GaugeValue, damaged)
}
