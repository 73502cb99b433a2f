package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/collect/repo"
	"github.com/baileyhq/bailey/derive/posture"
	"github.com/baileyhq/bailey/derive/stakes"
	"github.com/baileyhq/bailey/report"
)

// reviewFlags say what is compared and how it is shown.
type reviewFlags struct {
	controls  []string
	failOn    string
	outputs   []string
	version   string
	namespace string
	all       bool
}

func (a *app) reviewCommand() *cobra.Command {
	f := &reviewFlags{}
	c := &cobra.Command{
		Use:   "review BASE..HEAD [FOLDER...]",
		Short: "Say what a change of manifests does to privileges, exposure and verdicts",
		Long: `Review compares two states of a git repository of manifests, kustomizations and
charts: what is newly wrong or worse, which privileges, grants and exposure the
change gives, which it takes away, and where controls stand otherwise. The waivers
and settings of BASE's bailey.yaml count, never those of HEAD.

BASE..HEAD compares two commits, BASE...HEAD the common ancestor with HEAD, and
BASE alone that commit with the working tree. Nothing is checked out, and nothing
that the repository names is run.`,
		Example: `  bailey review main..HEAD
  bailey review main                         the working tree, before it is committed
  bailey review origin/main...HEAD -o markdown=comment.md -o sarif=review.sarif`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError("review wants what to compare\nhint: bailey review main..HEAD, or bailey review main for the working tree")
			}
			return a.review(c.Context(), f, args[0], args[1:])
		},
	}
	flags := c.Flags()
	flags.StringSliceVarP(&f.controls, "control", "c", nil, "only these controls, like compute/pod-security or compute/*")
	flags.StringVar(&f.failOn, "fail-on", "", "exit 1 for what is new or worse at or over: info, low, medium, high, critical, or none (default: the base's failOn, or high)")
	flags.StringArrayVarP(&f.outputs, "output", "o", nil, "text, markdown, sarif or json; FORMAT=FILE, several times")
	flags.StringVar(&f.version, "kubernetes-version", "", "judge at this version, like 1.36 (default: the base's, or "+bailey.LatestVersion.String()+")")
	flags.StringVarP(&f.namespace, "namespace", "n", "", "the namespace of objects that name none")
	flags.BoolVarP(&f.all, "all", "a", false, "show everything")
	return c
}

// side is one of the two states.
type side struct {
	name    string // as the user gave it, with its commit
	state   *repo.State
	config  *config
	folder  string // where its files are
	missing []bool // per folder asked for, whether it is not there
	seen    *bailey.Snapshot
	specs   posture.Specs
	report  *bailey.Report
}

func (a *app) review(ctx context.Context, f *reviewFlags, revisions string, folders []string) error {
	outputs, err := parseReviewOutputs(f.outputs)
	if err != nil {
		return err
	}
	chosen, err := chooseControls(f.controls)
	if err != nil {
		return err
	}
	r, err := repo.Open(ctx, ".")
	if errors.Is(err, repo.ErrNoRepository) {
		return usageError("%w\nhint: review compares commits; `bailey scan --diff` compares results", err)
	}
	if err != nil {
		return err
	}
	base, head, err := a.sides(ctx, r, revisions)
	if err != nil {
		return err
	}
	var notes []string
	if base.config, err = configOf(ctx, r, base.state); err != nil {
		return fmt.Errorf("the base's configuration counts, and cannot be used: %w", err)
	}
	if head.config, err = configOf(ctx, r, head.state); err != nil {
		notes = append(notes, "bailey.yaml of the change cannot be used, and would fail the next scan: "+err.Error())
		head.config = &config{}
	}
	failOn, err := (&judgeFlags{failOn: f.failOn}).threshold(base.config)
	if err != nil {
		return err
	}
	options := check.Options{Weigher: stakes.Weigher}
	if options.Waivers, err = base.config.waivers(); err != nil {
		return err
	}
	if options.Baseline, err = baselineOf(ctx, r, base); err != nil {
		return err
	}
	targets, err := folderNames(r, folders)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "bailey-review-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	base.folder, head.folder = filepath.Join(scratch, "base"), filepath.Join(scratch, "head")
	for _, s := range []*side{base, head} {
		if err := a.judgeSide(ctx, f, r, s, targets, base.config, chosen, options); err != nil {
			return err
		}
	}
	if err := wantObjects(base, head, targets); err != nil {
		return err
	}
	moved := posture.Moved(base.seen, head.seen, &base.specs, &head.specs)
	review := report.Review(base.report, head.report, moved)
	review.Base, review.Head = base.name, head.name
	review.Effects = posture.Compare(base.seen, head.seen, moved)
	for i := range review.Effects {
		source := &review.Effects[i].Source
		source.File = head.within(base.within(source.File))
	}
	waivers, err := head.config.waivers()
	if err != nil {
		notes = append(notes, "waivers of the change that would fail the next scan: "+err.Error())
	} else {
		review.Waivers = check.CompareWaivers(options.Waivers, waivers)
	}
	unseen, newly, err := unseenOf(ctx, r, base, head)
	if err != nil {
		return err
	}
	review.Notes = slices.Concat(notes, unseen, notesOf(ctx, r, base, head))
	shown := report.Options{Verbose: f.all, FailOn: failOn, Command: "bailey review " + quoted(revisions), Version: version}
	if err := a.writeReview(outputs, review, shown); err != nil {
		return err
	}
	if report.ReviewFailing(review, failOn) > 0 {
		return &exitError{code: exitFindings}
	}
	if newly > 0 {
		return &exitError{exitFailed, fmt.Errorf("%s of the change could not be read and could before, or was not there: nothing is known of it\nhint: the review names it under what was not looked at", plural(newly, "part"))}
	}
	return nil
}

// sides finds the two states that a range of revisions means.
func (a *app) sides(ctx context.Context, r *repo.Repository, revisions string) (base, head *side, err error) {
	from, to, ranged := strings.Cut(revisions, "..")
	to, ancestor := strings.CutPrefix(to, ".")
	if from == "" || strings.HasPrefix(from, "-") || ranged && to == "" || strings.Contains(to, "..") {
		return nil, nil, usageError("%q is no range of commits\nhint: BASE..HEAD, BASE...HEAD (from the common ancestor), or BASE (against the working tree)", revisions)
	}
	commit, err := r.Commit(ctx, from)
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	head = &side{}
	if ranged {
		id, err := r.Commit(ctx, to)
		if err != nil {
			return nil, nil, &exitError{exitUsage, err}
		}
		if ancestor {
			if commit, err = r.MergeBase(ctx, commit, id); err != nil {
				return nil, nil, err
			}
			from = "the ancestor with " + from
		}
		head.name = fmt.Sprintf("%s (%.10s)", to, id)
		head.state, err = r.Tree(ctx, id)
		if err != nil {
			return nil, nil, err
		}
	} else {
		head.name = "the working tree"
		if head.state, err = r.WorkingTree(ctx); err != nil {
			return nil, nil, &exitError{exitUsage, err}
		}
	}
	base = &side{name: fmt.Sprintf("%s (%.10s)", from, commit)}
	base.state, err = r.Tree(ctx, commit)
	return base, head, err
}

// configOf reads the bailey.yaml of a state: that of the folder that review is run in,
// or the nearest above. Its path is within the repository.
func configOf(ctx context.Context, r *repo.Repository, s *repo.State) (*config, error) {
	for dir := filepath.ToSlash(r.Within); ; dir = path.Dir(dir) {
		if dir == "." {
			dir = ""
		}
		name := path.Join(dir, configName)
		data, err := r.File(ctx, s, name)
		if err != nil {
			return nil, err
		}
		if len(data) > configLimit {
			return nil, usageError("%s is larger than %d KiB", name, configLimit>>10)
		}
		if data != nil {
			return parseConfig(name, data)
		}
		if dir == "" {
			return &config{}, nil
		}
	}
}

// baselineOf reads the baseline that a state's configuration names, from that state.
func baselineOf(ctx context.Context, r *repo.Repository, s *side) (check.Baseline, error) {
	if s.config.Baseline == "" {
		return nil, nil
	}
	name := path.Join(path.Dir(s.config.path), filepath.ToSlash(s.config.Baseline))
	data, err := r.File(ctx, s.state, name)
	if err != nil || data == nil {
		return nil, usageError("the baseline %s, which %s names, is not in %s", name, s.config.path, s.name)
	}
	baseline, err := check.ReadBaseline(strings.NewReader(string(data)))
	if err != nil {
		return nil, usageError("%s: %w", name, err)
	}
	return baseline, nil
}

// folderNames gives the folders asked for as paths within the repository.
func folderNames(r *repo.Repository, folders []string) ([]string, error) {
	if len(folders) == 0 {
		return []string{"."}, nil
	}
	var names []string
	for _, f := range folders {
		name := filepath.Join(r.Within, f)
		if !filepath.IsLocal(name) {
			return nil, usageError("%s lies outside of the repository\nhint: name a folder in it", f)
		}
		names = append(names, filepath.ToSlash(name))
	}
	return names, nil
}

// judgeSide reads one state and judges it by the base's settings.
func (a *app) judgeSide(ctx context.Context, f *reviewFlags, r *repo.Repository, s *side, targets []string, conf *config, chosen []*bailey.Control, o check.Options) error {
	p := a.newProgress()
	defer p.end()
	p.step(0, 1, "reading "+s.name)
	if err := os.Mkdir(s.folder, 0o700); err != nil {
		return err
	}
	if err := r.Write(ctx, s.state, s.folder); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	complete, err := conf.complete()
	if err != nil {
		return err
	}
	m := manifests.Options{Complete: complete, Namespace: f.namespace, At: a.now(), Root: s.folder, Whole: s.specs.Add}
	for _, text := range []string{f.version, conf.KubernetesVersion} {
		if text != "" {
			if m.Version, err = bailey.ParseVersion(text); err != nil {
				return usageError("kubernetes-version: %w", err)
			}
			break
		}
	}
	var there []string
	for _, t := range targets {
		full := filepath.Join(s.folder, filepath.FromSlash(t))
		_, err := os.Lstat(full)
		s.missing = append(s.missing, err != nil)
		if err == nil {
			there = append(there, full)
		}
	}
	if s.seen, err = unlessEnded(ctx, func() (*bailey.Snapshot, error) { return manifests.Collect(ctx, there, m) }); err != nil {
		return err
	}
	if s.report, err = check.Judge(ctx, s.seen, chosen, o); err != nil {
		return err
	}
	s.report.Meta.Targets = slices.Clone(s.report.Meta.Targets)
	for i := range s.report.Findings {
		source := &s.report.Findings[i].Source
		source.File = s.within(source.File)
	}
	for i := range s.report.Meta.Targets {
		t := &s.report.Meta.Targets[i]
		t.Name = s.within(t.Name)
		t.Skipped = slices.Clone(t.Skipped)
		for j := range t.Skipped {
			t.Skipped[j].What, t.Skipped[j].Why = s.within(t.Skipped[j].What), s.within(t.Skipped[j].Why)
		}
	}
	s.report.Coverage.Missing = slices.Clone(s.report.Coverage.Missing)
	for i := range s.report.Coverage.Missing {
		m := &s.report.Coverage.Missing[i]
		m.Detail, m.Hint = s.within(m.Detail), s.within(m.Hint)
	}
	return nil
}

// within takes the folder that the files were written to out of a text.
func (s *side) within(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, s.folder+"/", ""), s.folder, ".")
}

// wantObjects fails where neither state holds any object, or a folder is in none.
func wantObjects(base, head *side, targets []string) error {
	for i, t := range targets {
		if t != "." && base.missing[i] && head.missing[i] {
			return usageError("%s is neither in %s nor in %s, or holds no manifest", t, base.name, head.name)
		}
	}
	if base.seen.Len() == 0 && head.seen.Len() == 0 {
		return &exitError{exitNothing, fmt.Errorf("nothing was scanned: neither %s nor %s holds a Kubernetes object\nhint: is it the right repository and folder?", base.name, head.name)}
	}
	return nil
}

// unseenOf names what of the change was not looked at: what cannot be read now, and
// what could not be read before either and is no longer the same. Newly counts the
// first.
func unseenOf(ctx context.Context, r *repo.Repository, base, head *side) (notes []string, newly int, err error) {
	before := map[string]bool{}
	for _, skip := range skips(base) {
		before[skip.What+"\x00"+skip.Why] = true
	}
	for _, skip := range skips(head) {
		note := skip.What + ": " + skip.Why
		if !before[skip.What+"\x00"+skip.Why] {
			notes = append(notes, note)
			newly++
			continue
		}
		was, err := r.Identity(ctx, base.state, skip.What)
		if err != nil {
			return nil, 0, err
		}
		is, err := r.Identity(ctx, head.state, skip.What)
		if err != nil {
			return nil, 0, err
		}
		if was != is {
			notes = append(notes, note+"; it was so before, and what changed of it is not seen")
		}
	}
	return notes, newly, nil
}

// notesOf says what the change alters about how things are judged.
func notesOf(ctx context.Context, r *repo.Repository, base, head *side) []string {
	var notes []string
	a, b := *base.config, *head.config
	a.Waivers, b.Waivers = nil, nil
	a.path, b.path = "", ""
	if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) {
		notes = append(notes, "the change alters bailey.yaml beside its waivers: here the base's counts")
	}
	was, _ := baselineOf(ctx, r, base)
	is, err := baselineOf(ctx, r, head)
	if err != nil {
		return append(notes, "the change's baseline cannot be read: "+err.Error())
	}
	more := 0
	for id := range is {
		if _, known := was[id]; !known {
			more++
		}
	}
	if more > 0 {
		notes = append(notes, fmt.Sprintf("the change's baseline accepts %s more, which does not count here", plural(more, "finding")))
	}
	return notes
}

func skips(s *side) []bailey.Skip {
	all := slices.Clone(s.state.Skipped)
	for _, t := range s.report.Meta.Targets {
		all = append(all, t.Skipped...)
	}
	return all
}

// reviewOutput is one -o.
type reviewOutput struct {
	format report.ReviewFormat
	path   string
}

func parseReviewOutputs(values []string) ([]reviewOutput, error) {
	if len(values) == 0 {
		values = []string{"text"}
	}
	var outputs []reviewOutput
	standard := 0
	for _, value := range values {
		name, file, toFile := strings.Cut(value, "=")
		if toFile && file == "" {
			return nil, usageError("-o %s names no file\nhint: write -o %s=FILE", value, name)
		}
		format, err := report.LookupReview(name)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		if !toFile {
			standard++
		}
		outputs = append(outputs, reviewOutput{format, file})
	}
	if standard > 1 {
		return nil, usageError("only one output can go to standard output\nhint: give the others a file, like -o sarif=out.sarif")
	}
	return outputs, nil
}

func (a *app) writeReview(outputs []reviewOutput, r *bailey.ChangeReview, o report.Options) error {
	for _, out := range outputs {
		if out.path != "" {
			o.Color, o.Width = false, a.columns(nil)
			if err := writeFile(out.path, 0o644, func(w io.Writer) error { return out.format.Render(w, r, o) }); err != nil {
				return err
			}
			continue
		}
		o.Color, o.Width = a.color(a.stdout), a.columns(a.stdout)
		w := bufio.NewWriterSize(a.stdout, 64<<10)
		if err := out.format.Render(w, r, o); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("the review could not be written: %w", err)
		}
	}
	return nil
}
