package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/report"
	"github.com/baileyhq/bailey/server"
)

// report gives the server's newest report.
func (f *remoteFlags) report(ctx context.Context) (*bailey.Report, error) {
	from, err := f.connect()
	if err != nil {
		return nil, err
	}
	answer, err := from.ask(ctx, http.MethodGet, "/api/v1/report", nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	r, err := report.ReadJSON(answer.Body)
	var network interface{ Timeout() bool }
	switch {
	case err == nil:
		r.Controls = controls.All()
		return r, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, report.ErrOtherSchema):
		return nil, from.failure("another version of Bailey: %w\nhint: %s", withoutHint(err), sameVersion)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &network):
		return nil, from.cut(withoutHint(err))
	}
	return nil, from.failure("this is no report: %w\nhint: %s", withoutHint(err), sameVersion)
}

// withoutHint leaves out what is to be done about a file.
func withoutHint(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\nhint:")
	return errors.New(text)
}

// scanRemote shows and judges the server's report as a scan does its own. What the server
// honours of waivers and evidence is the server's own; the flags and the configuration here
// say when it fails, and may accept more by a baseline.
func (a *app) scanRemote(ctx context.Context, f *remoteFlags, t *targetFlags, j *judgeFlags, diff string) error {
	ask, err := j.resolve(t)
	if err != nil {
		return err
	}
	r, err := f.report(ctx)
	if err != nil {
		return err
	}
	if len(j.controls) > 0 {
		report.Only(r, ask.chosen)
	}
	for i := range r.Findings {
		if finding := &r.Findings[i]; finding.Waiver == nil && ask.options.Baseline[finding.ID] {
			finding.Baseline = true
		}
	}
	if diff != "" {
		old, err := a.oldReport(ctx, diff, ask.chosen, ask.options)
		if err != nil {
			return err
		}
		r = report.Compare(old, r)
	}
	command := scanCommandLine(t, j, nil) + " --server " + quoted(f.server)
	if err := a.write(ask.outputs, r, a.reportOptions(j, ask.failOn, command)); err != nil {
		return err
	}
	return verdictOf(r, ask.failOn, ask.unknownFails)
}

// writeBaseline writes the findings of a report as a baseline.
func (a *app) writeBaseline(path string, r *bailey.Report, command string) error {
	if err := writeFile(path, 0o644, func(w io.Writer) error { return check.WriteBaseline(w, r) }); err != nil {
		return err
	}
	accepted := 0
	for i := range r.Findings {
		if r.Findings[i].Waiver == nil {
			accepted++
		}
	}
	fmt.Fprintf(a.stdout, "%s accepts %d findings. Use it with: %s --baseline %s\n", path, accepted, command, quoted(path))
	return nil
}

// listRemoteEvidence lists the evidence that the server's verdicts rest on. The server verified
// it; nothing of it is verified here.
func (a *app) listRemoteEvidence(ctx context.Context, f *remoteFlags) error {
	r, err := f.report(ctx)
	if err != nil {
		return err
	}
	if len(r.Evidence) == 0 {
		return &exitError{exitNothing, errors.New("the server has no evidence yet\nhint: `bailey prove --server URL` makes it")}
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for i := range r.Evidence {
		e := &r.Evidence[i]
		total := e.Total()
		fmt.Fprintf(w, "held %d of %d\t%s\t%s %s\t%s\t%.16s\n", total.Held, total.Tried, e.At.Format(time.RFC3339), printable(e.Control), printable(e.Experiment), printable(e.Scope.String()), printable(e.Signer))
	}
	return w.Flush()
}

// here names a flag that says how experiments are run here; empty if none is set.
func (f *proveFlags) here(c *cobra.Command) string {
	named := ""
	c.Flags().Visit(func(flag *pflag.Flag) {
		switch flag.Name {
		case "server", "token-file", "server-ca", "isolated", "output", "no-color", "offline", "quiet", "width":
		default:
			named = "--" + flag.Name
		}
	})
	return named
}

// remotePoll is how often a run is asked after.
const remotePoll = 500 * time.Millisecond

// proveRemote has the server run experiments, and waits until they have ended.
func (a *app) proveRemote(ctx context.Context, f *remoteFlags, names []string, isolated bool, format string) error {
	if format != "text" && format != "json" {
		return usageError("prove has no output format %q: use text or json", format)
	}
	chosen, err := chooseControls(names)
	if err != nil {
		return err
	}
	order := server.RunOrder{Controls: []string{}, Isolated: isolated}
	if len(names) > 0 {
		for _, c := range chosen {
			order.Controls = append(order.Controls, c.ID)
		}
	}
	from, err := f.connect()
	if err != nil {
		return err
	}
	var made struct{ ID string }
	if err := from.get(ctx, http.MethodPost, "/api/v1/runs", order, &made); err != nil {
		return err
	}
	if made.ID == "" || strings.ContainsAny(made.ID, "/?#% ") {
		return from.failure("the run has no name\nhint: %s", sameVersion)
	}
	fmt.Fprintf(a.stderr, "The server runs %s; whoever interrupts this only stops waiting.\n", printable(made.ID))
	var run server.Run
	for {
		if err := from.get(ctx, http.MethodGet, "/api/v1/runs/"+made.ID, nil, &run); err != nil {
			return err
		}
		if run.State != "planned" && run.State != "running" {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(remotePoll):
		}
	}
	if format == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(run); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stdout, "%s: %d of %d tries held, %d broken, %d inconclusive\n", printable(run.State), run.Held, run.Tried, run.Broken, run.Inconclusive)
	}
	switch {
	case run.State != "done":
		return from.failure("the run %s: %s", printable(run.State), printable(run.Error))
	case run.Broken > 0:
		return &exitError{code: exitFindings}
	case run.Tried == 0:
		return &exitError{exitNothing, errors.New("nothing was tried\nhint: `bailey prove --list` says what there is, and the server's log why not")}
	}
	return nil
}
