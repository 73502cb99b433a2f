package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/audit"
	"github.com/baileyhq/bailey/derive/detect"
)

func (a *app) detectCommand() *cobra.Command {
	var o detectOptions
	c := &cobra.Command{
		Use:   "detect [FILE|-]",
		Short: "Find attacks in the audit log of an API server",
		Long: `Detect reads audit events (audit.k8s.io/v1, one JSON object a line, as the API
server's --audit-log-path has them) and tells what looks like an attack. It says
too what the log records too little of to tell. docs/detections.md lists what it
finds.

  bailey detect audit.log
  bailey detect --follow audit.log            wait for more, across rotations
  bailey detect --policy policy.yaml          what a policy leaves unseen

Exit codes: 0 nothing at or over --fail-on, 1 alerts, 2 usage, 3 could not run,
4 no event was read.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(args); err != nil {
				return err
			}
			if o.policy != "" {
				if err := a.detectBlindness(&o); err != nil || len(args) == 0 {
					return err
				}
			}
			return a.detect(c.Context(), &o, args)
		},
	}
	flags := c.Flags()
	flags.StringVarP(&o.format, "output", "o", "text", "text, or json: an alert a line")
	flags.BoolVarP(&o.follow, "follow", "f", false, "wait for more lines until interrupted")
	flags.StringVar(&o.policy, "policy", "", "an audit policy; say which detections it leaves blind")
	flags.StringVar(&o.showName, "show", "info", "the lowest severity that is shown")
	flags.StringVar(&o.failName, "fail-on", "high", "the severity from which on alerts give exit code 1")
	return c
}

type detectOptions struct {
	format, policy     string
	follow             bool
	showName, failName string
	show, failOn       bailey.Severity
}

func (o *detectOptions) check(args []string) (err error) {
	if o.format != "text" && o.format != "json" {
		return usageError("no output format %q\nhint: text and json are", o.format)
	}
	for _, s := range []struct {
		name  string
		value *bailey.Severity
	}{{o.showName, &o.show}, {o.failName, &o.failOn}} {
		if *s.value, err = bailey.ParseSeverity(s.name); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	switch {
	case len(args) == 0 && o.policy == "":
		return usageError("detect wants an audit log\nhint: name its file, or - for standard input")
	case o.follow && (len(args) == 0 || args[0] == "-"):
		return usageError("--follow wants the file of an audit log")
	}
	return nil
}

// detection is one reading of a log.
type detection struct {
	*app
	options *detectOptions
	set     *detect.Set

	events, alerts, failing int
	// unreadable counts lines that are no event; first says what the first was.
	unreadable int
	first      string
	line       int
	// blind counts the events that held too little for a detection.
	blind map[string]int
	// cut counts the events that held more than is read.
	cut map[string]int
}

func (a *app) detect(ctx context.Context, o *detectOptions, args []string) error {
	set, err := detect.Compile()
	if err != nil {
		return err
	}
	d := &detection{app: a, options: o, set: set, blind: map[string]int{}, cut: map[string]int{}}
	if err := d.read(ctx, args[0]); err != nil {
		return err
	}
	summary := a.stdout
	if o.format == "json" {
		summary = a.stderr
	}
	if err := d.summarize(summary); err != nil {
		return err
	}
	switch {
	case d.events == 0:
		return &exitError{exitNothing, fmt.Errorf("%s holds no audit event\nhint: is it the file of --audit-log-path, in the JSON format?", args[0])}
	case d.failing > 0:
		return &exitError{code: exitFindings}
	}
	return nil
}

func (d *detection) read(ctx context.Context, name string) error {
	if !d.options.follow {
		in := d.stdin
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return fmt.Errorf("the audit log: %w\nhint: name the file of --audit-log-path, or - for standard input", err)
			}
			defer f.Close()
			in = f
		}
		if err := audit.Lines(ctx, in, d.take); err != nil {
			return fmt.Errorf("%s, after %d events: %w", name, d.events, err)
		}
		return nil
	}
	var from audit.Position
	for {
		err := audit.Tail(ctx, name, from, func(line []byte, _ audit.Position) error { return d.take(line, nil) })
		var long *audit.LongLineError
		var lost *audit.LostError
		switch {
		case errors.As(err, &lost):
			fmt.Fprintf(d.stderr, "bailey: %v\n", lost)
			if from, err = audit.Oldest(name); err != nil {
				return err
			}
		case errors.As(err, &long):
			from = long.Next
			if err := d.take(nil, long); err != nil {
				return err
			}
		case ctx.Err() != nil: // this is how following ends
			return nil
		default:
			return err
		}
	}
}

// take judges one line, or what is left of one that was too long.
func (d *detection) take(line []byte, long *audit.LongLineError) error {
	d.line++
	var e *detect.Event
	err := fmt.Errorf("it is longer than %d bytes", audit.MaxLine)
	switch {
	case long == nil:
		e, err = detect.Decode(line, detect.DefaultLimits)
	case long.Rest != nil:
		e, err = detect.DecodeRest(long.Rest, long.Cut, detect.DefaultLimits)
	}
	if err != nil {
		if d.unreadable++; d.unreadable == 1 {
			d.first = fmt.Sprintf("line %d: %v", d.line, err)
		}
		return nil
	}
	d.events++
	for _, b := range d.set.Blind(e) {
		if e.Cut {
			d.cut[b.Name]++
		} else {
			d.blind[b.Name]++
		}
	}
	for _, alert := range d.set.Match(e) {
		if alert.Severity >= d.options.failOn {
			d.failing++
		}
		if alert.Severity < d.options.show {
			continue
		}
		d.alerts++
		if err := d.print(alert); err != nil {
			return err
		}
	}
	return nil
}

func (d *detection) print(alert detect.Alert) error {
	if d.options.format == "json" {
		text, err := json.Marshal(alert)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(d.stdout, "%s\n", text)
		return err
	}
	_, err := fmt.Fprint(d.stdout, printable(alertText(alert)))
	return err
}

// alertText is what happened, who did it, and how it ended.
func alertText(a detect.Alert) string {
	what, how := strings.TrimSpace(a.What()+" "+a.Object()), a.How()
	if n := len(a.AuditIDs); n > 1 {
		how += fmt.Sprintf(", the last of %d requests", n)
	}
	return fmt.Sprintf("%s %s (%s): %s\n  %s  %s: %s\n  from %s with %q; %s; audit ID %s\n",
		a.Severity, a.Detection, a.Technique, a.Title, a.Time.UTC().Format(time.RFC3339), a.Who(), what, a.From(), a.UserAgent, how, a.AuditIDs[len(a.AuditIDs)-1])
}

func (d *detection) summarize(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d alerts in %d events.\n", d.alerts, d.events)
	if d.unreadable > 0 {
		fmt.Fprintf(&b, "%d lines could not be read and were not judged. The first: %s\n", d.unreadable, d.first)
	}
	names := func(of map[string]int, how func(n int, x *detect.Detection) string) string {
		var all []string
		for _, x := range detect.All() { // in the order of the documentation
			if n := of[x.Name]; n > 0 {
				all = append(all, fmt.Sprintf("%s (%s)", x.Name, how(n, x)))
			}
		}
		return strings.Join(all, ", ")
	}
	if len(d.blind) > 0 {
		fmt.Fprintf(&b, "Not told, because this log records too little: %s.\n", names(d.blind, func(n int, x *detect.Detection) string { return fmt.Sprintf("%d events below level %s", n, x.Level) }))
	}
	if len(d.cut) > 0 {
		fmt.Fprintf(&b, "Not told, because what was sent is larger or deeper than is read, which is a way to hide: %s.\n", names(d.cut, func(n int, _ *detect.Detection) string { return plural(n, "event") }))
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// detectBlindness says what a policy leaves unseen.
func (a *app) detectBlindness(o *detectOptions) error {
	f, err := os.Open(o.policy)
	if err != nil {
		return fmt.Errorf("the audit policy: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 2<<20))
	if err != nil {
		return fmt.Errorf("the audit policy: %w", err)
	}
	policy, err := detect.DecodePolicy(data)
	if err != nil {
		return fmt.Errorf("%s: %w", o.policy, err)
	}
	blind := detect.Blind(policy, detect.All())
	if o.format == "json" {
		return json.NewEncoder(a.stdout).Encode(map[string]any{"blind": slices.Concat([]detect.Blindness{}, blind)})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s records what %d of %d detections need.\n", o.policy, len(detect.All())-len(blind), len(detect.All()))
	for _, x := range blind {
		how := "blind"
		if x.Partly {
			how = "partly blind"
		}
		fmt.Fprintf(&b, "  %s: %s; needs %s, has %s: %s\n", x.Detection, how, x.Needs, x.Has, x.Why)
	}
	_, err = io.WriteString(a.stdout, printable(b.String()))
	return err
}
