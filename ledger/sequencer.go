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
)

// sequencer is Tessera on a folder. Its POSIX driver writes entries, tiles and
// its state with O_SYNC and fsyncs every folder it renames in, so a future
// that resolves is on the disk.
type sequencer struct {
	dir       string
	add       tessera.AddFn
	shutdown  func(context.Context) error
	cancel    context.CancelFunc
	witnesses *witnessClient
}

func startSequencer(dir string, signer note.Signer, c Config, o Options) (*sequencer, error) {
	s := &sequencer{dir: dir, witnesses: &witnessClient{last: map[string]string{}}}
	driver, err := posix.New(context.Background(), posix.Config{
		Path:       dir,
		HTTPClient: &http.Client{Transport: s.witnesses, Timeout: witnessTimeout},
	})
	if err != nil {
		return nil, err
	}
	options := tessera.NewAppendOptions().
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
		options.WithWitnesses(group, &tessera.WitnessOptions{Timeout: witnessTimeout, FailOpen: true}).
			WithCheckpointInterval(witnessEvery).
			WithCheckpointRepublishInterval(recosignEvery)
	}
	ctx, cancel := context.WithCancel(context.Background())
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		cancel()
		return nil, err
	}
	s.add, s.shutdown, s.cancel = appender.Add, shutdown, cancel
	return s, nil
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
