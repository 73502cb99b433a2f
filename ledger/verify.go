package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// VerifyOptions say what to hold a ledger against.
type VerifyOptions struct {
	// Key is the log's verifier key. Default: the one in ledger.json, which
	// somebody who replaced the whole ledger replaced too.
	Key string
	// Witnesses are verifier keys; Quorum of them (default: the majority) must have cosigned the
	// checkpoint. Default: those of ledger.json, whose absence is then only a note.
	Witnesses []string
	Quorum    int
	// Since is a checkpoint of this log that was seen before. The log must extend it.
	Since []byte
	// Partial accepts an export of a part of the log.
	Partial bool
	// Progress, if set, is told how many entries were verified, from one goroutine.
	Progress func(done, total uint64)
}

// Report is what Verify found.
type Report struct {
	Origin     string               `json:"origin"`
	Key        string               `json:"key"` // with which the checkpoint was verified
	Size       uint64               `json:"size"`
	Root       string               `json:"root"`               // base64
	Unsigned   uint64               `json:"unsigned,omitempty"` // entries after the checkpoint
	From       uint64               `json:"from"`               // of the entries that were verified
	To         uint64               `json:"to"`
	Records    uint64               `json:"records"`
	Periods    int                  `json:"periods"`
	Shredded   int                  `json:"shredded,omitempty"` // periods
	Bodies     uint64               `json:"bodies,omitempty"`   // large records, beside the log
	Cosigned   map[string]time.Time `json:"cosigned,omitempty"` // time, by witness
	Problems   []Problem            `json:"problems"`
	MoreFaults int                  `json:"moreProblems,omitempty"` // beyond those in Problems
	Notes      []Problem            `json:"notes,omitempty"`        // what is odd and no damage
	MoreNotes  int                  `json:"moreNotes,omitempty"`
}

// Intact reports whether nothing is wrong.
func (r Report) Intact() bool { return len(r.Problems) == 0 }

// Problem says what is wrong where.
type Problem struct {
	File  string  `json:"file,omitempty"`
	Index *uint64 `json:"index,omitempty"` // of the entry
	Text  string  `json:"text"`
}

func (p Problem) String() string {
	s := p.File
	if p.Index != nil {
		if s != "" {
			s += ": "
		}
		s += fmt.Sprintf("entry %d", *p.Index)
	}
	if s == "" {
		return p.Text
	}
	return s + ": " + p.Text
}

// maxProblems is how many problems and how many notes a report lists; the rest is counted.
const maxProblems = 100

func (r *Report) problem(file string, format string, args ...any) {
	r.add(Problem{File: file, Text: fmt.Sprintf(format, args...)})
}

func (r *Report) add(p Problem) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	} else {
		r.MoreFaults++
	}
}

func (r *Report) note(file string, format string, args ...any) {
	if len(r.Notes) < maxProblems {
		r.Notes = append(r.Notes, Problem{File: file, Text: fmt.Sprintf(format, args...)})
	} else {
		r.MoreNotes++
	}
}

// verifier is one verification under way.
type verifier struct {
	ctx     context.Context
	fsys    fs.FS
	log     fs.FS
	options VerifyOptions
	key     note.Verifier
	report  Report

	config    Config
	configSum string
	signed    Checkpoint // zero where it does not verify
	tree      tree       // all entries that are there, signed or not
	roots     map[uint64][]claim
	part      *exported // of a partial export
	cut       bool      // too much is missing: the rest of the entries was not looked at

	keys     map[uint64]keyEntry // by index
	lastKey  uint64
	shredded map[uint64]bool    // key entries, by index
	missing  map[uint64]*absent // large records that are not there, by key entry
	bodies   map[[hashSize]byte]struct{}
}

// claim is what somebody says the root was at some size.
type claim struct {
	file string
	root tlog.Hash
	text string // what it means when the root is another
}

type absent struct {
	count int
	first string
	index uint64
}

// Verify checks a ledger, or a copy of one, offline: every entry against its tile,
// every tile against those above it, the root against the signed checkpoint, large
// records and wrapped keys against the hashes that entries hold. It reads nothing twice, and its
// memory does not grow with the number of records but for 32 bytes for each large one. The error says
// that it could not be done; damage is in the report.
func Verify(ctx context.Context, fsys fs.FS, o VerifyOptions) (Report, error) {
	if _, err := fs.Stat(fsys, "."); err != nil {
		return Report{}, err
	}
	v := &verifier{
		ctx: ctx, fsys: fsys, log: logFS{fsys}, options: o,
		report: Report{Problems: []Problem{}},
		roots:  map[uint64][]claim{}, keys: map[uint64]keyEntry{}, shredded: map[uint64]bool{},
		missing: map[uint64]*absent{}, bodies: map[[hashSize]byte]struct{}{},
	}
	if err := v.readConfig(); err != nil {
		return v.report, err
	}
	ok, err := v.readHeads()
	if err != nil || !ok {
		return v.report, err
	}
	if err := v.verifyTree(); err != nil {
		return v.report, err
	}
	v.verifyKeys()
	if err := v.verifyFiles(); err != nil {
		return v.report, err
	}
	return v.report, nil
}

// readConfig reads ledger.json and the keys to verify with.
func (v *verifier) readConfig() error {
	var err error
	v.config, v.configSum, err = readConfig(v.fsys)
	key := v.options.Key
	switch {
	case errors.Is(err, fs.ErrNotExist) && key == "":
		return fmt.Errorf("there is no %s here, so this is no ledger\nhint: name the ledger's folder, or give the log's key", configFile)
	case err != nil:
		v.report.problem(configFile, "%s", detail(err, configFile))
	}
	if key == "" {
		key = v.config.Key
	}
	if key == "" {
		return nil // damaged, and said so
	}
	if v.key, err = note.NewVerifier(key); err != nil {
		return fmt.Errorf("log key: %w", err)
	}
	v.report.Key, v.report.Origin = key, v.key.Name()
	if v.config.Key != "" && v.config.Key != key {
		v.report.problem(configFile, "it names another log key than the one that was given: %s", v.config.Key)
	}
	if v.options.Partial {
		return v.readExported()
	}
	if _, err := fs.Stat(v.fsys, exportFile); err == nil {
		v.report.problem(exportFile, "this is an export of a part of a log; it verifies as such with --partial")
	}
	return nil
}

// detail is an error's text without the file name that the problem bears already.
func detail(err error, file string) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "it is missing"
	}
	text := err.Error()
	for _, prefix := range []string{file + ": ", file + " "} {
		if len(text) > len(prefix) && text[:len(prefix)] == prefix {
			return text[len(prefix):]
		}
	}
	return text
}

// readHeads reads the checkpoint, what is remembered of earlier ones and what
// the writer integrated since. It reports false where nothing says how large the log is.
func (v *verifier) readHeads() (bool, error) {
	// In this order a log that grows meanwhile looks consistent.
	remembered, rememberedErr := readBounded(v.fsys, signedFile, maxCheckpoint)
	raw, err := readBounded(v.log, checkpointFile, maxCheckpoint)
	state, stateErr := readTreeState(v.log)

	name := logFolder + "/" + checkpointFile
	witnesses, quorum, asked, witnessErr := v.witnesses()
	if witnessErr != nil {
		return false, witnessErr
	}
	size := uint64(0)
	switch {
	case err != nil:
		v.report.problem(name, "%s", detail(err, name))
	case v.key == nil:
	default:
		v.signed, err = OpenCheckpoint(raw, v.key, witnesses...)
		if err != nil {
			v.report.problem(name, "%s", detail(err, "the checkpoint"))
			_, size, _ = peekCheckpoint(raw)
		} else {
			size = v.signed.Size
			v.report.Size, v.report.Root, v.report.Cosigned = size, v.signed.Root.String(), v.signed.Cosigned
			v.claim(size, claim{name, v.signed.Root, "the entries are not those that the signed checkpoint commits to"})
			v.checkQuorum(name, len(witnesses), quorum, asked)
		}
	}
	if v.options.Since != nil {
		if err := v.since("the checkpoint that was remembered", v.options.Since, true); err != nil {
			return false, err
		}
	}
	switch {
	case rememberedErr == nil && v.key != nil:
		if err := v.since(signedFile, remembered, false); err != nil {
			v.report.problem(signedFile, "%s", detail(err, "the checkpoint"))
		}
	case rememberedErr != nil && !errors.Is(rememberedErr, fs.ErrNotExist):
		v.report.problem(signedFile, "%s", detail(rememberedErr, signedFile))
	}
	v.readState(state, stateErr, &size)
	if version, err := readBounded(v.log, treeVersionFile, 64); err == nil && string(version) != "1" {
		v.report.problem(logFolder+"/"+treeVersionFile, "it is not 1, so the writer could not go on")
	}
	v.tree = tree{v.log, size}
	if size > 0 && v.signed.Size == 0 && v.part == nil {
		// Nothing that verifies says how large the log is. Go on, for what else there is to say,
		// only if the files look as if it were true.
		if _, _, err := v.tree.bundle((size - 1) / tileWidth); err != nil {
			return false, nil
		}
	}
	return size > 0 || v.signed.Origin != "", nil
}

// claim remembers what the root must be at a size.
func (v *verifier) claim(size uint64, c claim) { v.roots[size] = append(v.roots[size], c) }

// readState takes in what the writer integrated after the checkpoint.
func (v *verifier) readState(state treeState, err error, size *uint64) {
	name := logFolder + "/" + treeStateFile
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return // a copy of what is served has none
	case err != nil:
		v.report.problem(name, "%s", detail(err, treeStateFile))
		return
	case v.signed.Origin == "":
	case state.Size < v.signed.Size:
		v.report.problem(name, "it counts %d entries, fewer than the checkpoint's %d: an older state was put back", state.Size, v.signed.Size)
		return
	case state.Size == v.signed.Size:
		v.claim(state.Size, claim{name, state.root(), "its root is not that of the entries"})
		return
	}
	if state.Size == 0 {
		return
	}
	if _, _, err := (tree{v.log, state.Size}).bundle((state.Size - 1) / tileWidth); err != nil {
		v.report.problem(name, "it counts %d entries, and there are fewer", state.Size)
		return
	}
	v.claim(state.Size, claim{name, state.root(), "its root is not that of the entries"})
	if v.signed.Origin != "" {
		v.report.Unsigned = state.Size - v.signed.Size
		v.report.note(name, "%d entries after the checkpoint are not signed yet: the writer is at work, or was stopped; the next open signs them", v.report.Unsigned)
	}
	*size = max(*size, state.Size)
}

// since holds the log against a checkpoint that was seen before.
func (v *verifier) since(file string, data []byte, given bool) error {
	c, err := OpenCheckpoint(data, v.key)
	if err != nil {
		if given {
			return fmt.Errorf("%s: %w", file, err)
		}
		return err
	}
	switch {
	case v.signed.Origin == "":
	case c.Size > v.signed.Size:
		v.report.problem(logFolder+"/"+checkpointFile, "it is over %d entries, but %s is over %d: the log was rolled back, or an old checkpoint put in its place", v.signed.Size, file, c.Size)
	default:
		name := file
		if given {
			name = ""
		}
		v.claim(c.Size, claim{name, c.Root, fmt.Sprintf("the log is not the one that %s signs over its first %d entries: it was forked or rewritten", file, c.Size)})
	}
	return nil
}

// witnesses gives the keys to look for, how many must have cosigned, and
// whether the caller asked for it.
func (v *verifier) witnesses() (keys []note.Verifier, quorum int, asked bool, err error) {
	if len(v.options.Witnesses) == 0 {
		if v.options.Quorum > 0 {
			return nil, 0, false, errors.New("a quorum wants witness keys")
		}
		keys, err = v.config.verifiers()
		return keys, v.config.Quorum, false, err
	}
	names := map[string]bool{}
	for _, key := range v.options.Witnesses {
		k, err := fnote.NewVerifierForCosignatureV1(key)
		if err != nil {
			return nil, 0, true, fmt.Errorf("witness key %q: %w", key, err)
		}
		if names[k.Name()] {
			return nil, 0, true, fmt.Errorf("witness %s is named twice", k.Name())
		}
		names[k.Name()] = true
		keys = append(keys, k)
	}
	quorum = v.options.Quorum
	if quorum == 0 {
		quorum = len(keys)/2 + 1
	}
	if quorum > len(keys) {
		return nil, 0, true, fmt.Errorf("a quorum of %d wants as many witness keys; there are %d", quorum, len(keys))
	}
	return keys, quorum, true, nil
}

func (v *verifier) checkQuorum(file string, known, quorum int, asked bool) {
	have := len(v.signed.Cosigned)
	if have >= quorum {
		return
	}
	text := fmt.Sprintf("%d of %d witnesses cosigned it, and %d must have", have, known, quorum)
	if asked {
		v.report.problem(file, "%s", text)
	} else {
		v.report.note(file, "%s", text)
	}
}

// exported is what export.json of a partial export holds.
type exported struct {
	From uint64 `json:"from"` // the entries asked for: From <= index < To
	To   uint64 `json:"to"`
	// Bundles are the entry bundles that are here: those of the range and those
	// with the key and shred entries that it needs.
	Bundles []uint64 `json:"bundles"`

	has map[uint64]bool
}

const (
	exportFile = "export.json"
	maxExport  = 64 << 20
)

func (v *verifier) readExported() error {
	data, err := readBounded(v.fsys, exportFile, maxExport)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a whole one is verified as such
	}
	if err != nil {
		return err
	}
	x, err := parseExported(data)
	if err != nil {
		v.report.problem(exportFile, "%s", err)
		return nil
	}
	v.part = x
	for b := x.From / tileWidth; b <= (x.To-1)/tileWidth; b++ {
		if !x.has[b] {
			v.report.problem(exportFile, "bundle %d is of the range and is not listed", b)
			break
		}
	}
	return nil
}

// wants reports whether an entry is one that a part was asked for; of a whole log all are.
func (x *exported) wants(index uint64) bool {
	return x == nil || index >= x.From && index < x.To
}

func parseExported(data []byte) (*exported, error) {
	x := &exported{has: map[uint64]bool{}}
	if err := strictJSON(data, x); err != nil {
		return nil, err
	}
	for _, b := range x.Bundles {
		if b > maxTree/tileWidth {
			return nil, fmt.Errorf("bundle %d cannot be", b)
		}
		x.has[b] = true
	}
	if x.From >= x.To || x.To > maxTree {
		return nil, fmt.Errorf("the range from %d to %d is empty", x.From, x.To)
	}
	return x, nil
}

func (x *exported) marshal() ([]byte, error) {
	data, err := json.MarshalIndent(x, "", "  ")
	return append(data, '\n'), err
}
