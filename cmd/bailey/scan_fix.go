package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// fixFlags say whether files are changed by what rules ask for.
type fixFlags struct {
	on      bool
	dryRun  bool
	patches string
}

func (x *fixFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&x.on, "fix", false, "make the changes that silence findings in the files, then judge them (see docs/fixing.md)")
	f.BoolVar(&x.dryRun, "dry-run", false, "with --fix: show the changes as a diff, and write nothing")
	f.StringVar(&x.patches, "fix-patches", "", "with --fix: what a chart's values cannot change goes to this folder, as kustomizations for post-rendering")
}

// check refuses flags that do not go together with --fix.
func (x *fixFlags) check(t *targetFlags, targets []string, asAdmitted bool, diff, save string) error {
	switch {
	case !x.on && x.dryRun:
		return usageError("--dry-run belongs to --fix\nhint: bailey scan --fix --dry-run TARGET")
	case !x.on && x.patches != "":
		return usageError("--fix-patches belongs to --fix\nhint: bailey scan --fix --fix-patches DIR TARGET")
	case !x.on:
		return nil
	case asAdmitted || diff != "" || x.dryRun && save != "":
		return usageError("--fix does not go together with --as-admitted, --diff, or, in a dry-run, --save\nhint: fix first, and scan again")
	case len(targets) == 0:
		return usageError("--fix changes files, and no file or folder is given\nhint: bailey scan --fix TARGET; for a cluster, bailey scan --all shows the commands, and bailey enforce keeps it so")
	case len(t.hosts) > 0:
		return usageError("--fix changes manifests, and --hosts is of machines\nhint: leave out --hosts")
	}
	for _, target := range targets {
		if target == "-" {
			return usageError("--fix changes files, and - is standard input\nhint: name the file")
		}
		if x.patches != "" && within(target, x.patches) {
			return usageError("--fix-patches %s lies in %s, where scans would take it for manifests\nhint: name a folder beside it", x.patches, target)
		}
		if isSnapshot(target) {
			return usageError("--fix changes manifests, and %s is a snapshot\nhint: name the files that it was made of", target)
		}
	}
	return nil
}

// within reports whether a path, which need not be there yet, lies in the folder.
func within(folder, path string) bool {
	rest, err := filepath.Rel(absolutePath(folder), absolutePath(path))
	return err == nil && filepath.IsLocal(rest)
}

// maxRounds is in how many rounds changes are made, each of which is judged. A
// change may let another rule see something, but not without end.
const maxRounds = 25

// scanFixed fixes the targets' files until nothing more can be, writes them, and
// judges what is there then. A dry-run shows the difference.
func (a *app) scanFixed(ctx context.Context, t *targetFlags, j *judgeFlags, x *fixFlags, targets []string, save string) error {
	ask, err := j.resolve(t)
	if err != nil {
		return err
	}
	f, before, now, err := a.fix(ctx, t, ask.conf, targets, x.patches, ask.chosen, ask.options)
	if err != nil {
		return err
	}
	if x.dryRun {
		if err := f.writeDiff(a.stdout); err != nil {
			return err
		}
		f.print(a.stderr, now, true)
		return verdictOf(before, ask.failOn, ask.unknownFails)
	}
	if err := writeWhole(f.changed()); err != nil {
		return err
	}
	told := a.stdout
	if slices.ContainsFunc(ask.outputs, func(o output) bool { return o.path == "" && o.format.Name != "text" }) {
		told = a.stderr
	}
	f.print(told, now, false)
	return a.scanTargets(ctx, t, j, targets, "", save)
}

// fix makes what can be made, in copies of the files. It gives what was found
// before, and what is found then.
func (a *app) fix(ctx context.Context, t *targetFlags, conf *config, targets []string, patches string, chosen []*bailey.Control, o check.Options) (f *fixer, before, now *bailey.Report, err error) {
	barred := map[string]error{}
	for {
		f = newFixer(a, t, conf, targets, patches)
		f.barred = barred
		if before, now, err = f.run(ctx, chosen, o, maxRounds); err != nil {
			return nil, nil, nil, err
		}
		lost, err := f.lost()
		if err != nil {
			return nil, nil, nil, err
		}
		if len(lost) == 0 {
			f.patchedFiles, err = f.patchFiles()
			return f, before, now, err
		}
		maps.Copy(barred, lost) // once more, without those
	}
}

// run makes changes in the given number of rounds at most. It gives what was found
// before, and what is found with all that was made.
func (f *fixer) run(ctx context.Context, chosen []*bailey.Control, o check.Options, rounds int) (before, now *bailey.Report, err error) {
	t := f.target
	t.overlay, t.each = f.overlay, func(fact *bailey.Fact, _ func() any) { f.given[fact.Ref] = append(f.given[fact.Ref], fact) }
	defer func() { t.overlay, t.each = nil, nil }()
	var first *bailey.Snapshot
	for n := 0; ; n++ {
		f.given = map[bailey.Ref][]*bailey.Fact{}
		s, err := f.app.snapshot(ctx, t, f.targets)
		if err != nil {
			return nil, nil, err
		}
		if now, err = check.Judge(ctx, s, chosen, o); err != nil {
			return nil, nil, err
		}
		if before == nil {
			before, first = now, s
		}
		if err := readable(first, s); err != nil {
			return nil, nil, err
		}
		if n == rounds {
			f.leave(s, now, fmt.Errorf("%s of changes were made, and it is one more: run it again", plural(rounds, "round")))
			return before, now, nil
		}
		if made, err := f.round(ctx, s, now); err != nil || !made {
			return before, now, err
		}
	}
}

// readable refuses changes with which an object can no longer be read.
func readable(before, now *bailey.Snapshot) error {
	for _, kind := range before.Kinds() {
		for _, fact := range before.List(kind, "") {
			if now.Get(fact.Ref) == nil {
				return fmt.Errorf("nothing was written: with the changes made, %s of %s could no longer be read\nhint: fix the files one by one", fact.Ref, fact.Source.File)
			}
		}
	}
	return nil
}

// writeDiff shows what changes in the files.
func (f *fixer) writeDiff(w io.Writer) error {
	for _, file := range f.changed() {
		name := filepath.ToSlash(file.name)
		old := path.Join("a", name)
		if file.before == nil {
			old = os.DevNull
		}
		if _, err := w.Write(diff.Diff(old, file.before, path.Join("b", name), file.after)); err != nil {
			return fmt.Errorf("the diff could not be written: %w", err)
		}
	}
	return nil
}
