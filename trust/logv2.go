package trust

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"
)

// checkWhole holds the rest of an entry of a log of Rekor's second version to what the
// log signed. sigstore-go makes the entry anew from the signature, and leaves the one that
// the bundle brings, its root hash and its tree size unread.
func checkWhole(entry *tlog.Entry, log *root.TransparencyLog) error {
	if !entry.IsRekorV2() {
		return nil
	}
	verifier, err := signature.LoadVerifier(log.PublicKey, log.SignatureHashFunc)
	if err != nil {
		return err
	}
	u, err := url.Parse(log.BaseURL)
	if err != nil {
		return err
	}
	if err := tlog.VerifyCheckpointAndInclusion(entry, verifier, u.Hostname()); err != nil {
		return fmt.Errorf("the entry that it brings is another: %w", err)
	}
	return checkCheckpoint(entry.TransparencyLogEntry().GetInclusionProof())
}

// checkCheckpoint wants the proof's tree to be the checkpoint's (c2sp.org/tlog-checkpoint:
// origin, size, root hash, each on a line).
func checkCheckpoint(proof *protorekor.InclusionProof) error {
	lines := strings.SplitN(proof.GetCheckpoint().GetEnvelope(), "\n", 4)
	if len(lines) < 4 {
		return errors.New("its checkpoint has too few lines")
	}
	if lines[1] != strconv.FormatInt(proof.GetTreeSize(), 10) || lines[2] != base64.StdEncoding.EncodeToString(proof.GetRootHash()) {
		return errors.New("its proof is about another tree than its checkpoint")
	}
	return nil
}
