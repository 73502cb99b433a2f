package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Options are the settings of an open log. The zero value is good.
type Options struct {
	// Records that wait while others are written go together. BatchAge is how long the
	// writers of the last batch are awaited for more, BatchSize how many records are enough.
	// Default 256 and 5 ms.
	BatchSize uint
	BatchAge  time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Offline asks no witness.
	Offline bool
}

// Log is a ledger open for writing. Its methods may be called concurrently.
type Log struct {
	dir        string
	config     Config
	configSum  string // SHA-256 of ledger.json, hex
	options    Options
	now        func() time.Time
	signer     note.Signer
	idKey      []byte
	contentKey []byte
	lock       *os.File
	own        *own

	period   atomic.Pointer[period]
	rotating sync.Mutex
	sealing  sync.RWMutex // held to read while a batch is sealed and until it is in the log

	mu      sync.Mutex
	tree    *sequencer // replaced only when nothing runs
	known   *known
	queue   *queue
	pending map[keyedID]place
	running int        // batches between admit and their end
	idle    *sync.Cond // running went down
	broken  error      // a write failed: what is in the log must be read again
	closed  bool

	stop    chan struct{} // ends remembering
	stopped chan struct{}
}

// Open opens a ledger for writing. It holds a lock on it until Close.
func Open(ctx context.Context, dir string, o Options) (*Log, error) {
	if o.BatchSize == 0 {
		o.BatchSize = 256
	}
	if o.BatchAge == 0 {
		o.BatchAge = 5 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Log{dir: dir, options: o, now: o.Now, pending: map[keyedID]place{}, stop: make(chan struct{}), stopped: make(chan struct{})}
	l.idle = sync.NewCond(&l.mu)
	if err := l.open(ctx); err != nil {
		if l.tree != nil {
			l.tree.abandon()
		}
		if l.lock != nil {
			_ = l.lock.Close()
		}
		return nil, err
	}
	l.queue = newQueue(o)
	go l.queue.run(l.sequence)
	go l.remember()
	return l, nil
}

func (l *Log) open(ctx context.Context) (err error) {
	if _, err := os.Stat(filepath.Join(l.dir, configFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is no ledger: it has no %s\nhint: bailey ledger init makes one", l.dir, configFile)
		}
		return err
	}
	if l.lock, err = lockFolder(l.dir); err != nil {
		return err
	}
	if l.config, l.configSum, err = readConfig(os.DirFS(l.dir)); err != nil {
		return err
	}
	if err := l.readKeys(); err != nil {
		return err
	}
	if l.own, err = readOwn(l.dir); err != nil {
		return err
	}
	p, err := l.loadPeriod()
	if err != nil {
		return err
	}
	l.period.Store(p)
	before, err := l.checkState()
	if err != nil {
		return err
	}
	if err := l.checkConfig(); err != nil {
		return err
	}
	if err := sweep(filepath.Join(l.dir, logFolder), before.Size); err != nil {
		return err
	}
	if l.tree, err = startSequencer(filepath.Join(l.dir, logFolder), l.signer, l.config, l.options); err != nil {
		return err
	}
	if l.known, err = openKnown(filepath.Join(l.dir, indexFolder), l.integrated); err != nil {
		return err
	}
	if err := l.known.scan(l.integrated()); err != nil {
		return err
	}
	if err := l.awaitCheckpoint(ctx, before.Size); err != nil {
		return err
	}
	if err := l.own.settle(l.configSum); err != nil {
		return err
	}
	return l.finishReconfigure(ctx)
}

// lockFolder takes the writer's lock. The system gives it back when the process ends, however it ends.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w\nhint: wait for it or stop it; one process writes, any number read and verify", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// readKeys reads the writer's keys.
func (l *Log) readKeys() error {
	data, err := os.ReadFile(filepath.Join(l.dir, signingKey))
	if err != nil {
		return err
	}
	if l.signer, err = note.NewSigner(strings.TrimSpace(string(data))); err != nil {
		return fmt.Errorf("%s: %w", signingKey, err)
	}
	v, err := note.NewVerifier(l.config.Key)
	if err != nil {
		return err
	}
	if l.signer.Name() != v.Name() || l.signer.KeyHash() != v.KeyHash() {
		return fmt.Errorf("%s is not the key that %s names", signingKey, configFile)
	}
	if data, err = os.ReadFile(filepath.Join(l.dir, idKey)); err != nil {
		return err
	}
	if l.idKey, err = hex.DecodeString(strings.TrimSpace(string(data))); err != nil || len(l.idKey) != idKeySize {
		return fmt.Errorf("%s holds no key", idKey)
	}
	return l.readContentKey()
}

// checkState refuses a log that is not what this writer left. Tessera would begin
// anew where its state is missing, and sign a second history.
func (l *Log) checkState() (treeState, error) {
	state, err := readTreeState(os.DirFS(filepath.Join(l.dir, logFolder)))
	if err != nil {
		return state, fmt.Errorf("the log's state cannot be read: %w\nhint: `bailey ledger verify` says what is damaged", err)
	}
	v, err := note.NewVerifier(l.config.Key)
	if err != nil {
		return state, err
	}
	signed := uint64(0)
	for _, name := range []string{logFolder + "/" + checkpointFile, signedFile} {
		size, err := l.checkSigned(name, v, state)
		if err != nil {
			return state, err
		}
		signed = max(signed, size)
	}
	return state, l.checkTail(state, signed)
}

// checkSigned holds the log against a checkpoint in a file, and gives its size. There may be none.
func (l *Log) checkSigned(name string, v note.Verifier, state treeState) (uint64, error) {
	data, err := readBounded(os.DirFS(l.dir), name, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	last, err := OpenCheckpoint(data, v)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if last.Size > state.Size {
		return 0, fmt.Errorf("the log has %d entries, but a checkpoint over %d was signed: an older copy was put back\nhint: restore the newest log; a shorter one must not be signed again", state.Size, last.Size)
	}
	root, err := tlog.TreeHash(int64(last.Size), l.integrated().hashes(state.root()))
	if err != nil {
		return 0, fmt.Errorf("the log is damaged: %w\nhint: `bailey ledger verify` says what is damaged", err)
	}
	if root != last.Root {
		return 0, fmt.Errorf("the log differs from the checkpoint over %d entries in %s\nhint: restore the log that was signed; another one must not be", last.Size, name)
	}
	return last.Size, nil
}

// integrated is the tree as Tessera left it on the disk.
func (l *Log) integrated() tree {
	fsys := os.DirFS(filepath.Join(l.dir, logFolder))
	state, _ := readTreeState(fsys) // an unreadable state has no entries, which every caller notices
	return tree{fsys, state.Size}
}

// await is ready for callers without the lock.
func (l *Log) await() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready()
}

// ready makes the log fit for appending, after a failed write too. l.mu is held.
func (l *Log) ready() error {
	if l.broken != nil {
		for l.running > 0 {
			l.idle.Wait()
		}
		if err := l.heal(); err != nil {
			return fmt.Errorf("the ledger cannot go on after a failed write (%w): %w", l.broken, err)
		}
	}
	if l.closed {
		return ErrClosed
	}
	return nil
}

// heal reads anew what a failed write left in the log: some of its records may
// be there although nobody was told. l.mu is held and nothing runs.
func (l *Log) heal() error {
	if l.broken == nil || l.closed {
		return nil // another one did it
	}
	l.known.collect(true)
	t := l.integrated()
	if err := l.known.scan(t); err != nil {
		return err
	}
	if err := sweep(filepath.Join(l.dir, logFolder), t.size); err != nil {
		return err
	}
	l.broken = nil
	return nil
}

// Config is what the ledger runs with.
func (l *Log) Config() Config { return l.config }

// Checkpoint waits until a checkpoint that covers size entries is signed and on the
// disk, and gives it. It is at most a fraction of a second behind Append.
func (l *Log) Checkpoint(ctx context.Context, size uint64) ([]byte, error) {
	if err := l.awaitCheckpoint(ctx, size); err != nil {
		return nil, err
	}
	return os.ReadFile(checkpointPath(l.dir))
}

func (l *Log) awaitCheckpoint(ctx context.Context, size uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 3*witnessTimeout)
	defer cancel()
	for {
		data, err := os.ReadFile(checkpointPath(l.dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, n, err := peekCheckpoint(data); err == nil && n >= size {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no checkpoint over %d entries was written: %w", size, ctx.Err())
		case <-time.After(checkpointEvery / 4):
		}
	}
}

// remember keeps a copy of the newest checkpoint, by which verification finds
// that an older one was put back.
func (l *Log) remember() {
	defer close(l.stopped)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			_ = l.rememberNow() // the next second tries again
		}
	}
}

func (l *Log) rememberNow() error {
	data, err := os.ReadFile(checkpointPath(l.dir))
	if err != nil {
		return err
	}
	path := filepath.Join(l.dir, signedFile)
	have, err := os.ReadFile(path)
	if err == nil && string(have) == string(data) {
		return nil
	}
	return writeDurable(path, data)
}

// Close waits until what was appended is signed, and releases the ledger.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	for l.running > 0 {
		l.idle.Wait()
	}
	l.mu.Unlock()
	l.queue.close()
	close(l.stop)
	<-l.stopped
	err := errors.Join(l.tree.close(ctx), l.rememberNow())
	l.known.close()
	return errors.Join(err, l.lock.Close())
}

// WitnessProblems says which witnesses did not cosign when they were asked last, and why.
func (l *Log) WitnessProblems() []string { return l.tree.witnesses.problems() }

// Size is how many entries the log has, records and others.
func (l *Log) Size() uint64 { return l.integrated().size }
