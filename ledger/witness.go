package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	witnessKeyFile   = "witness.key"
	maxWitnessBody   = 64 << 10
	maxWitnessProof  = 63 // C2SP tlog-witness
	sizeContentType  = "text/x.tlog.size"
	witnessFileLimit = 2 * maxCheckpoint
)

// Cosigner is a C2SP tlog-witness: it cosigns a checkpoint only if it extends
// the last one of its log that it cosigned, which it keeps on the disk.
type Cosigner struct {
	dir    string
	signer *fnote.Signer
	key    string
	logs   map[string]note.Verifier // by origin
	lock   *os.File

	mu sync.Mutex // one decision at a time, so that check and record are one step
}

// OpenCosigner opens a witness's folder, or makes it with a new key under the
// given name. logs are the verifier keys of the logs it serves.
func OpenCosigner(dir, name string, logs []string) (*Cosigner, error) {
	w := &Cosigner{dir: dir, logs: map[string]note.Verifier{}}
	for _, key := range logs {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("log key %q: %w", key, err)
		}
		if w.logs[v.Name()] != nil {
			return nil, fmt.Errorf("log %s is named twice", v.Name())
		}
		w.logs[v.Name()] = v
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, err
	}
	var err error
	if w.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	if err := w.readKey(name); err != nil {
		return nil, errors.Join(err, w.lock.Close())
	}
	return w, nil
}

func (w *Cosigner) readKey(name string) error {
	path := filepath.Join(w.dir, witnessKeyFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if files, err := filepath.Glob(filepath.Join(w.dir, "*.checkpoint")); err != nil || len(files) > 0 {
			return fmt.Errorf("%s holds checkpoints but no %s\nhint: restore the key; a witness that forgot its own must be replaced", w.dir, witnessKeyFile)
		}
		if name == "" {
			name = "witness/" + rand.Text()[:12]
		}
		if err := checkOrigin(name); err != nil {
			return err
		}
		secret, public, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			return err
		}
		data = []byte(secret + "\n" + public + "\n")
		if err := writeDurable(path, data); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	secret, public, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	if w.signer, err = fnote.NewSignerForCosignatureV1(secret); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if name != "" && name != w.signer.Name() {
		return fmt.Errorf("the witness in %s is named %s", w.dir, w.signer.Name())
	}
	if w.key, err = fnote.VKeyToCosignatureV1(public); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Key is the witness's verifier key, for cosignature/v1.
func (w *Cosigner) Key() string { return w.key }

// Close releases the folder.
func (w *Cosigner) Close() error { return w.lock.Close() }

// Serve answers add-checkpoint requests until ctx ends.
func (w *Cosigner) Serve(ctx context.Context, on net.Listener) error {
	s := &http.Server{Handler: w, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	ended := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(grace)
	})
	defer ended()
	if err := s.Serve(on); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// refusal is an answer other than a cosignature.
type refusal struct {
	status int
	text   string
	size   *uint64 // the size that was cosigned last, where the answer is that
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

func (w *Cosigner) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/add-checkpoint" {
		http.Error(out, "there is only /add-checkpoint", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		http.Error(out, "add-checkpoint wants POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, maxWitnessBody))
	if err != nil {
		http.Error(out, "the request is too large or was cut off", http.StatusBadRequest)
		return
	}
	cosignature, err := w.add(body)
	var no *refusal
	switch {
	case errors.As(err, &no) && no.size != nil:
		out.Header().Set("Content-Type", sizeContentType)
		out.WriteHeader(no.status)
		fmt.Fprintf(out, "%d\n", *no.size)
	case errors.As(err, &no):
		http.Error(out, no.text, no.status)
	case err != nil:
		http.Error(out, "the witness could not record the checkpoint", http.StatusInternalServerError)
	default:
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = out.Write(cosignature)
	}
}

// add decides on one request, in the order that C2SP tlog-witness gives.
func (w *Cosigner) add(body []byte) ([]byte, error) {
	request, err := parseWitnessRequest(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%s", err)
	}
	origin, _, err := peekCheckpoint(request.checkpoint)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%s", err)
	}
	log := w.logs[origin]
	if log == nil {
		return nil, refuse(http.StatusNotFound, "this witness does not know the log")
	}
	c, err := OpenCheckpoint(request.checkpoint, log)
	if err != nil {
		return nil, refuse(http.StatusForbidden, "%s", err)
	}
	if request.old > c.Size {
		return nil, refuse(http.StatusBadRequest, "the old size is larger than the checkpoint's")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last, err := w.last(origin, log)
	if err != nil {
		return nil, err
	}
	if request.old != last.Size {
		return nil, &refusal{http.StatusConflict, "the old size is not that of the checkpoint cosigned last", &last.Size}
	}
	if err := extends(last, c, request.proof); err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: textOf(request.checkpoint)}, w.signer)
	if err != nil {
		return nil, err
	}
	line := signed[bytes.LastIndex(signed, []byte("\n\n"))+2:]
	kept := append(bytes.Clone(request.checkpoint), line...)
	if err := writeDurable(w.path(origin), kept); err != nil {
		return nil, err
	}
	return line, nil
}

// textOf is the text that a note's signatures sign.
func textOf(msg []byte) string {
	return string(msg[:bytes.LastIndex(msg, []byte("\n\n"))+1])
}

// extends checks that a checkpoint extends the last one.
func extends(last, c Checkpoint, proof tlog.TreeProof) error {
	switch {
	case last.Size == c.Size && last.Size > 0:
		if last.Root != c.Root {
			return refuse(http.StatusConflict, "another root of this size was cosigned")
		}
		if len(proof) > 0 {
			return refuse(http.StatusUnprocessableEntity, "equal sizes want no proof")
		}
	case last.Size == 0:
		if len(proof) > 0 {
			return refuse(http.StatusUnprocessableEntity, "an old size of 0 wants no proof")
		}
		if empty := (&frontier{}).root(nil); c.Size == 0 && c.Root != empty {
			return refuse(http.StatusUnprocessableEntity, "the root is not that of an empty log")
		}
	default:
		if err := tlog.CheckTree(proof, int64(c.Size), c.Root, int64(last.Size), last.Root); err != nil {
			return refuse(http.StatusUnprocessableEntity, "the proof does not show that the checkpoint extends the one of size %d", last.Size)
		}
	}
	return nil
}

// path is where a log's last checkpoint is kept; it serves `ledger verify --since`.
func (w *Cosigner) path(origin string) string {
	return filepath.Join(w.dir, hexSum([]byte(origin))+".checkpoint")
}

// last gives the checkpoint of a log that was cosigned last; zero if none was.
func (w *Cosigner) last(origin string, log note.Verifier) (Checkpoint, error) {
	data, err := readBounded(os.DirFS(w.dir), filepath.Base(w.path(origin)), witnessFileLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return Checkpoint{}, nil
	}
	if err != nil {
		return Checkpoint{}, err
	}
	return OpenCheckpoint(data, log)
}

// witnessRequest is the body of add-checkpoint.
type witnessRequest struct {
	old        uint64
	proof      tlog.TreeProof
	checkpoint []byte
}

// parseWitnessRequest reads: a line "old N", proof lines, an empty line, a checkpoint.
func parseWitnessRequest(body []byte) (witnessRequest, error) {
	var r witnessRequest
	if len(body) > maxWitnessBody {
		return r, errors.New("the request is too large")
	}
	line, rest, _ := bytes.Cut(body, []byte("\n"))
	size, found := strings.CutPrefix(string(line), "old ")
	old, err := strconv.ParseUint(size, 10, 63)
	if !found || err != nil || strconv.FormatUint(old, 10) != size {
		return r, errors.New(`the first line is not "old" and a size`)
	}
	r.old = old
	for {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			return r, errors.New("no empty line ends the proof")
		}
		rest = after
		if len(line) == 0 {
			break
		}
		hash, err := base64.StdEncoding.Strict().DecodeString(string(line))
		if err != nil || len(hash) != hashSize || len(r.proof) == maxWitnessProof {
			return r, errors.New("the proof is not at most 63 hashes in base64")
		}
		r.proof = append(r.proof, tlog.Hash(hash))
	}
	if len(rest) == 0 {
		return r, errors.New("there is no checkpoint")
	}
	r.checkpoint = rest
	return r, nil
}
