package ledger_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/baileyhq/bailey/ledger"
)

// serveWitness runs a witness on loopback and gives its URL and key.
func serveWitness(t *testing.T, dir, name string, logs ...string) (url, key string) {
	t.Helper()
	w, err := ledger.OpenCosigner(dir, name, logs)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- w.Serve(t.Context(), socket) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = w.Close()
	})
	return "http://" + socket.Addr().String(), w.Key()
}

// TestWitnessedLedger: a checkpoint carries cosignatures, and verification asks for them.
func TestWitnessedLedger(t *testing.T) {
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	config := l.Config()
	appendTo(t, l, numbered(0, 10)...)
	folders := t.TempDir()
	oneURL, oneKey := serveWitness(t, filepath.Join(folders, "one"), "example.org/one", config.Key)
	twoURL, twoKey := serveWitness(t, filepath.Join(folders, "two"), "example.org/two", config.Key)
	_, awayKey := serveWitness(t, filepath.Join(folders, "three"), "example.org/three", config.Key)
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	awayURL := "http://" + away.Addr().String()
	_ = away.Close()
	witnesses := []ledger.Witness{{Key: oneKey, URL: oneURL}, {Key: twoKey, URL: twoURL}, {Key: awayKey, URL: awayURL}}
	if err := l.Reconfigure(t.Context(), config.Recipients, witnesses, 2); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	l = open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(10, 10)...)
	closeLog(t, l)

	keys := []string{oneKey, twoKey, awayKey}
	r := verify(t, os.DirFS(dir), ledger.VerifyOptions{Witnesses: keys})
	if !r.Intact() || len(r.Cosigned) != 2 || time.Since(r.Cosigned["example.org/one"]) > time.Minute {
		t.Fatalf("%+v", r)
	}
	r = verify(t, os.DirFS(dir), ledger.VerifyOptions{Witnesses: keys, Quorum: 3})
	if r.Intact() || !strings.Contains(r.Problems[0].Text, "2 of 3 witnesses cosigned it, and 3 must have") {
		t.Errorf("%+v", r)
	}

	// What a witness keeps is a checkpoint to hold a copy against.
	kept, err := filepath.Glob(filepath.Join(folders, "one", "*.checkpoint"))
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	since, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(t, os.DirFS(dir), ledger.VerifyOptions{Since: since}); !r.Intact() {
		t.Errorf("%v", r.Problems)
	}
}

// TestWitnessAway: the ledger records on, and says that nobody cosigned.
func TestWitnessAway(t *testing.T) {
	folder := t.TempDir()
	dir, _ := newLedger(t, ledger.InitOptions{})
	l := open(t, dir, ledger.Options{})
	_, key := serveWitness(t, folder, "", l.Config().Key)
	_, stranger, err := note.GenerateKey(rand.Reader, "example.org/other")
	if err != nil {
		t.Fatal(err)
	}
	wrong, wrongKey := serveWitness(t, t.TempDir(), "", stranger)
	if err := l.Reconfigure(t.Context(), l.Config().Recipients, []ledger.Witness{{Key: wrongKey, URL: wrong}}, 1); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	l = open(t, dir, ledger.Options{})
	appendTo(t, l, numbered(0, 3)...)
	closeLog(t, l)
	if problems := l.WitnessProblems(); len(problems) != 1 || !strings.Contains(problems[0], "404") {
		t.Errorf("%v", problems)
	}
	r := verify(t, os.DirFS(dir), ledger.VerifyOptions{})
	if !r.Intact() || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].Text, "0 of 1 witnesses") {
		t.Errorf("%+v", r)
	}
	if r := verify(t, os.DirFS(dir), ledger.VerifyOptions{Witnesses: []string{key}}); r.Intact() {
		t.Error("a witness that was asked for and did not cosign was not missed")
	}
}

// TestWitnessRefuses holds the witness to the statuses of C2SP tlog-witness.
func TestWitnessRefuses(t *testing.T) {
	secret, public, err := note.GenerateKey(rand.Reader, "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	trunk, branch := newHashes(t, 20, 20), newHashes(t, 20, 10)
	point := func(h hashes, size int64, s note.Signer) string {
		root, err := tlog.TreeHash(size, h)
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", s.Name(), size, root)}, s)
		if err != nil {
			t.Fatal(err)
		}
		return string(n)
	}
	request := func(old int64, proof tlog.TreeProof, point string) string {
		s := fmt.Sprintf("old %d\n", old)
		for _, h := range proof {
			s += base64.StdEncoding.EncodeToString(h[:]) + "\n"
		}
		return s + "\n" + point
	}
	prove := func(h hashes, from, to int64) tlog.TreeProof {
		p, err := tlog.ProveTree(to, from, h)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	otherSecret, _, err := note.GenerateKey(rand.Reader, "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	other, err := note.NewSigner(otherSecret)
	if err != nil {
		t.Fatal(err)
	}
	strangerSecret, _, err := note.GenerateKey(rand.Reader, "example.org/stranger")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := note.NewSigner(strangerSecret)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	url, _ := serveWitness(t, filepath.Join(folder, "w"), "", public)
	for _, c := range []struct {
		name, body string
		status     int
		size       string
	}{
		{"garbage", "old x\n", 400, ""},
		{"no proof's end", "old 0\n", 400, ""},
		{"a stranger's log", request(0, nil, point(trunk, 5, stranger)), 404, ""},
		{"another key", request(0, nil, point(trunk, 5, other)), 403, ""},
		{"a proof from nothing", request(0, prove(trunk, 3, 5), point(trunk, 5, signer)), 422, ""},
		{"first", request(0, nil, point(trunk, 12, signer)), 200, ""},
		{"first again", request(0, nil, point(trunk, 12, signer)), 409, "12\n"},
		{"same", request(12, nil, point(trunk, 12, signer)), 200, ""},
		{"same size, other root", request(12, nil, point(branch, 12, signer)), 409, ""},
		{"rolled back", request(12, nil, point(trunk, 8, signer)), 400, ""},
		{"rolled back, said as if it were new", request(0, nil, point(trunk, 8, signer)), 409, "12\n"},
		{"forked", request(12, prove(branch, 12, 20), point(branch, 20, signer)), 422, ""},
		{"no proof", request(12, nil, point(trunk, 20, signer)), 422, ""},
		{"grown", request(12, prove(trunk, 12, 20), point(trunk, 20, signer)), 200, ""},
		{"too long", strings.Repeat("x", 100_000), 400, ""},
	} {
		response, err := http.Post(url+"/add-checkpoint", "text/plain", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != c.status || c.size != "" && (string(body) != c.size || response.Header.Get("Content-Type") != "text/x.tlog.size") {
			t.Errorf("%s: %d %q, want %d %q", c.name, response.StatusCode, body, c.status, c.size)
		}
		if c.status == 200 && !bytes.HasPrefix(body, []byte("— witness/")) {
			t.Errorf("%s: %q is no signature line", c.name, body)
		}
	}
	// A witness that was started anew remembers.
	if _, err := ledger.OpenCosigner(filepath.Join(folder, "w"), "", []string{public}); err == nil {
		t.Error("two witnesses share a folder")
	}
	copied := filepath.Join(folder, "restarted")
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(folder, "w"))); err != nil {
		t.Fatal(err)
	}
	url, _ = serveWitness(t, copied, "", public)
	response, err := http.Post(url+"/add-checkpoint", "text/plain", strings.NewReader(request(0, nil, point(trunk, 8, signer))))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != 409 {
		t.Errorf("a restarted witness answers %d to a rollback", response.StatusCode)
	}
	if err := os.Remove(filepath.Join(copied, "witness.key")); err != nil {
		t.Fatal(err)
	}
	if w, err := ledger.OpenCosigner(filepath.Join(folder, "restarted"), "", nil); err == nil {
		_ = w.Close()
		t.Error("a witness without its key made another")
	}
}

// hashes are the stored hashes of a small tree.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

// newHashes makes a tree whose entries differ from those of others after the first same.
func newHashes(t *testing.T, size, same int64) hashes {
	var h hashes
	for i := range size {
		data := fmt.Sprint("entry ", i)
		if i >= same {
			data += " of another history"
		}
		more, err := tlog.StoredHashes(i, []byte(data), h)
		if err != nil {
			t.Fatal(err)
		}
		h = append(h, more...)
	}
	return h
}
