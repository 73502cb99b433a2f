package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	checkpointEvery = 100 * time.Millisecond // Tessera's least
	witnessEvery    = time.Second            // checkpoints while witnesses are asked
	recosignEvery   = time.Minute            // a standing log asks its witnesses again, so that an absence heals
	witnessTimeout  = 5 * time.Second
	handOver        = time.Millisecond // Tessera waits so long for the rest of a batch that is handed over
	collectEvery    = 10 * time.Second // partial tiles that full ones made useless
	// restAfter is how long after the last entry Tessera ends: while it lives it reads its files 30 times a second.
	restAfter = 30 * time.Second
)

// sequencer is Tessera on a folder. Its POSIX driver writes entries, tiles and
// its state with O_SYNC and fsyncs every folder it renames in, so a future
// that resolves is on the disk. Where no witness is to be asked again and again it rests
// while nothing is added.
type sequencer struct {
	dir       string
	options   *tessera.AppendOptions
	witnesses *witnessClient
	restAfter time.Duration // 0: it does not rest

	mu     sync.Mutex
	at     *appender // nil while it rests
	left   treeState // as it was when it began to rest
	adding int       // entries whose futures are not resolved
	ended  bool
	timer  *time.Timer
}

// appender is Tessera at work.
type appender struct {
	add      tessera.AddFn
	shutdown func(context.Context) error
	cancel   context.CancelFunc
}

func startSequencer(dir string, signer note.Signer, c Config, o Options) (*sequencer, error) {
	s := &sequencer{dir: dir, witnesses: &witnessClient{last: map[string]string{}}, restAfter: restAfter}
	s.options = tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(checkpointEvery).
		WithCheckpointRepublishInterval(0).
		WithBatching(o.BatchSize, handOver).
		WithGarbageCollectionInterval(collectEvery)
	if len(c.Witnesses) > 0 && !o.Offline {
		group, err := witnessGroup(c)
		if err != nil {
			return nil, err
		}
		// A witness that is away must not stop the ledger from recording: the
		// checkpoint is published without it, and verification says so.
		s.options.WithWitnesses(group, &tessera.WitnessOptions{Timeout: witnessTimeout, FailOpen: true}).
			WithCheckpointInterval(witnessEvery).
			WithCheckpointRepublishInterval(recosignEvery)
		s.restAfter = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		return nil, err
	}
	s.timer = time.AfterFunc(time.Hour, s.rest)
	s.doze()
	return s, nil
}

// start has Tessera work; s.mu is held.
func (s *sequencer) start() error {
	driver, err := posix.New(context.Background(), posix.Config{
		Path:       s.dir,
		HTTPClient: &http.Client{Transport: s.witnesses, Timeout: witnessTimeout},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a, shutdown, _, err := tessera.NewAppender(ctx, driver, s.options)
	if err != nil {
		cancel()
		return err
	}
	s.at = &appender{a.Add, shutdown, cancel}
	return nil
}

// add adds an entry. The future is to be called, once.
func (s *sequencer) add(ctx context.Context, entry *tessera.Entry) tessera.IndexFuture {
	at, err := s.wake()
	if err != nil {
		return func() (tessera.Index, error) { return tessera.Index{}, err }
	}
	future := at.add(ctx, entry)
	return func() (tessera.Index, error) {
		defer s.added()
		return future()
	}
}

// wake gives Tessera at work, for one more entry. Where its state is missing, Tessera would begin anew and sign a second
// history: what it left must be there.
func (s *sequencer) wake() (*appender, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended { // another may write by now
		return nil, ErrClosed
	}
	if s.at == nil {
		now, err := readTreeState(os.DirFS(s.dir))
		if err == nil && (now.Size != s.left.Size || now.root() != s.left.root()) {
			err = errors.New("somebody else has changed it")
		}
		if err != nil {
			return nil, fmt.Errorf("the log's state is not as it was left: %w\nhint: `bailey ledger verify` says what is damaged", err)
		}
		if err := s.start(); err != nil {
			return nil, err
		}
	}
	s.adding++
	s.timer.Stop()
	return s.at, nil
}

// added tells that an entry has its index, or none.
func (s *sequencer) added() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.adding--; s.adding == 0 {
		s.doze()
	}
}

// doze has it rest if nothing is added for a while; s.mu is held.
func (s *sequencer) doze() {
	s.timer.Stop()
	if s.restAfter > 0 {
		s.timer.Reset(s.restAfter)
	}
}

// rest ends Tessera until something is added, if all that it integrated is signed: then it has nothing left to write.
func (s *sequencer) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil || s.adding > 0 {
		return
	}
	state, err := readTreeState(os.DirFS(s.dir))
	var size uint64
	if err == nil {
		var data []byte
		if data, err = readBounded(os.DirFS(s.dir), checkpointFile, maxCheckpoint); err == nil {
			_, size, err = peekCheckpoint(data)
		}
	}
	if err != nil || size != state.Size {
		s.doze()
		return
	}
	s.at.cancel()
	s.at, s.left = nil, state
}

// close ends it for good, once all that was added is signed.
func (s *sequencer) close(ctx context.Context) error {
	at := s.end()
	if at == nil {
		return nil
	}
	defer at.cancel()
	return at.shutdown(ctx)
}

// abandon ends it for good as it is.
func (s *sequencer) abandon() {
	if at := s.end(); at != nil {
		at.cancel()
	}
}

func (s *sequencer) end() *appender {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at
	s.at, s.restAfter, s.ended = nil, 0, true
	s.timer.Stop()
	return at
}

func witnessGroup(c Config) (tessera.WitnessGroup, error) {
	group := tessera.WitnessGroup{N: c.Quorum}
	for _, w := range c.Witnesses {
		u, err := url.Parse(w.URL)
		if err != nil {
			return group, err
		}
		witness, err := tessera.NewWitness(w.Key, u)
		if err != nil {
			return group, err
		}
		group.Components = append(group.Components, witness)
	}
	return group, nil
}

// treeState is what Tessera keeps about the tree that it integrated.
type treeState struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

// Tessera's own files, below the log's folder.
const (
	treeStateFile   = ".state/treeState"
	treeVersionFile = ".state/version"
)

// readTreeState reads the size and root that are integrated, signed or not yet.
func readTreeState(fsys fs.FS) (treeState, error) {
	var s treeState
	data, err := readBounded(fsys, treeStateFile, 4096)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s: %w", treeStateFile, err)
	}
	// JSON has many spellings; the writer uses one.
	if again, err := json.Marshal(s); err != nil || len(s.Root) != hashSize || s.Size > maxTree || !bytes.Equal(again, data) {
		return treeState{}, fmt.Errorf("%s: it is not as the writer leaves it", treeStateFile)
	}
	return s, nil
}

func (s treeState) root() tlog.Hash { return tlog.Hash(s.Root) }

// witnessClient bounds what a witness may answer and remembers why it refused:
// Tessera only logs that.
type witnessClient struct {
	mu   sync.Mutex
	last map[string]string // URL -> what went wrong last, "" when it cosigned
}

func (w *witnessClient) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	problem := ""
	switch {
	case err != nil:
		problem = err.Error()
	case response.StatusCode != http.StatusOK:
		problem = "it answered " + response.Status
	}
	if !errors.Is(err, context.Canceled) { // the quorum was reached without it
		w.mu.Lock()
		w.last[r.URL.String()] = problem
		w.mu.Unlock()
	}
	if response != nil {
		response.Body = &boundedBody{io.LimitReader(response.Body, 64<<10), response.Body}
	}
	return response, err
}

// problems gives what went wrong with each witness when it was asked last.
func (w *witnessClient) problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for u, problem := range w.last {
		if problem != "" {
			list = append(list, u+": "+problem)
		}
	}
	return list
}

type boundedBody struct {
	io.Reader
	io.Closer
}

func checkpointPath(dir string) string { return filepath.Join(dir, logFolder, checkpointFile) }
