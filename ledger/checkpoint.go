package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is a C2SP tlog-checkpoint that was verified.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   tlog.Hash
	// Cosigned gives the time of each cosignature that verified, by the witness's name.
	Cosigned map[string]time.Time
}

// OpenCheckpoint verifies a checkpoint with the log's key and finds the
// cosignatures of the witnesses. Signatures by other keys are ignored.
func OpenCheckpoint(data []byte, log note.Verifier, witnesses ...note.Verifier) (Checkpoint, error) {
	var c Checkpoint
	if len(data) > maxCheckpoint {
		return c, fmt.Errorf("the checkpoint has more than %d bytes", maxCheckpoint)
	}
	n, err := note.Open(data, note.VerifierList(append([]note.Verifier{log}, witnesses...)...))
	if err != nil {
		var unverified *note.UnverifiedNoteError
		var invalid *note.InvalidSignatureError
		switch {
		case errors.As(err, &unverified):
			return c, fmt.Errorf("the checkpoint is not signed by the log's key %s+%08x", log.Name(), log.KeyHash())
		case errors.As(err, &invalid):
			return c, fmt.Errorf("the checkpoint's signature by %s does not verify: a byte of it was changed", invalid.Name)
		}
		return c, fmt.Errorf("the checkpoint cannot be read: %w", err)
	}
	if c, err = parseCheckpoint([]byte(n.Text)); err != nil {
		return c, err
	}
	if c.Origin != log.Name() {
		return c, fmt.Errorf("the checkpoint is of the log %q, not %q", c.Origin, log.Name())
	}
	for _, sig := range append(n.Sigs, n.UnverifiedSigs...) {
		// Two spellings of one signature would be a byte that can be changed unseen.
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return c, fmt.Errorf("the checkpoint's signature by %s is not in canonical base64: a byte of it was changed", sig.Name)
		}
	}
	signed := false
	c.Cosigned = map[string]time.Time{}
	for _, sig := range n.Sigs {
		if sig.Name == log.Name() && sig.Hash == log.KeyHash() {
			signed = true
			continue
		}
		at, err := fnote.CoSigV1Timestamp(sig)
		if err != nil {
			return c, fmt.Errorf("the cosignature of %s: %w", sig.Name, err)
		}
		c.Cosigned[sig.Name] = at.UTC()
	}
	if !signed {
		return c, fmt.Errorf("the checkpoint is not signed by the log's key %s+%08x", log.Name(), log.KeyHash())
	}
	return c, nil
}

var errCheckpoint = errors.New("it is no checkpoint: origin, size and root are expected, a line each")

// parseCheckpoint reads a note's text. Extension lines are passed over.
func parseCheckpoint(text []byte) (Checkpoint, error) {
	lines := strings.SplitN(string(text), "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, errCheckpoint
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > maxTree || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, errCheckpoint
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != hashSize {
		return Checkpoint{}, errCheckpoint
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}, nil
}

// peekCheckpoint reads a checkpoint without verifying it.
func peekCheckpoint(data []byte) (origin string, size uint64, err error) {
	text, _, found := bytes.Cut(data, []byte("\n\n"))
	if !found {
		return "", 0, errCheckpoint
	}
	c, err := parseCheckpoint(append(text, '\n'))
	return c.Origin, c.Size, err
}
