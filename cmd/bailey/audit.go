package main

import (
	"io"
	"path/filepath"
	"regexp"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/report"
)

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
		file, data := prove.Find(filepath.Join(state, "evidence"), e.ID)
		if data == nil {
			continue
		}
		name := "evidence/" + file
		names[e.ID] = name
		files = append(files, report.Document{Name: name, Render: func(w io.Writer) error { _, err := w.Write(data); return err }})
	}
	return files, func(e *bailey.Evidence) string { return names[e.ID] }
}
