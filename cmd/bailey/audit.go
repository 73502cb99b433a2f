package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"path/filepath"
	"regexp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/report"
)

// evidenceSize bounds a signed statement that is copied, in bytes.
const evidenceSize = 64 << 20

var evidenceHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// signedStatements finds the evidence of a report in the state folder of its
// cluster, so that a folder of documents can hold it. What is not there, or is not
// what the report names, is left out: the documents then name its hash alone.
func signedStatements(r *bailey.Report) (files []report.Document, address func(*bailey.Evidence) string) {
	names := map[string]string{}
	state, err := clusterState(r.Meta.ClusterUID)
	for i := range r.Evidence {
		e := &r.Evidence[i]
		if err != nil || names[e.ID] != "" || !evidenceHash.MatchString(e.ID) {
			continue
		}
		found, _ := filepath.Glob(filepath.Join(state, "evidence", "*-"+e.ID[:12]+".dsse.json"))
		for _, path := range found {
			data, err := readBounded(path, evidenceSize)
			if err != nil || payloadHash(data) != e.ID {
				continue
			}
			name := "evidence/" + filepath.Base(path)
			names[e.ID] = name
			files = append(files, report.Document{Name: name, Render: func(w io.Writer) error { _, err := w.Write(data); return err }})
			break
		}
	}
	return files, func(e *bailey.Evidence) string { return names[e.ID] }
}

// payloadHash is the SHA-256 of what an envelope signs; empty if it is none.
func payloadHash(envelope []byte) string {
	var e struct{ Payload string }
	if json.Unmarshal(envelope, &e) != nil {
		return ""
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil || len(payload) == 0 {
		return ""
	}
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}
