package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/fix"
	"github.com/baileyhq/bailey/report"
)

// fixer makes the changes of findings in copies of files, round by round.
type fixer struct {
	app     *app
	target  *targetFlags
	conf    *config
	targets []string
	patches string // folder for post-render patches; empty for none

	files   map[string]*fixedFile // by absolute path, links resolved
	overlay map[string][]byte     // what has changed of them
	charts  map[string]*postRender
	barred  map[string]error // charts that are not patched, and why
	// patchedFiles are those of the charts, once all is made.
	patchedFiles []*fixedFile
	trees        map[string]trees // of charts and kustomizations, until a file changes

	given map[bailey.Ref][]*bailey.Fact // each object as often as it is given

	made map[string]bool // findings that were fixed, by ID and change
	done []fixNote
	left map[string]fixNote // by finding

	changes []func() // take back what was changed for the finding that is being fixed

	// Of this round: what was changed, so that later changes find their place.
	shifts map[string][]shift
	edited map[string]*editedObject
}

// fixNote is a change that was made, or that was not, for a finding.
type fixNote struct {
	finding bailey.Finding
	object  bailey.Ref // that changes
	file    string
	patch   []bailey.PatchOp
	change  string // in words
	check   string // what a person must know or do
	how     string // where it was made, if not in the object's own text
	why     string // it was not made
}

// shift says that the lines of a file moved behind a line.
type shift struct{ line, by int }

// errLater is of a change that is tried again once the rest was judged anew.
var errLater = errors.New("later")

func newFixer(a *app, t *targetFlags, conf *config, targets []string, patches string) *fixer {
	return &fixer{app: a, target: t, conf: conf, targets: targets, patches: patches,
		files: map[string]*fixedFile{}, overlay: map[string][]byte{}, charts: map[string]*postRender{}, trees: map[string]trees{},
		made: map[string]bool{}, left: map[string]fixNote{}}
}

// request is a finding with the changes that silence it.
type request struct {
	finding *bailey.Finding
	changes []bailey.Change
}

// requests are the findings to fix, in the order in which their changes least
// often have to wait for each other: those that move items of lists come last, from
// the end of the list on.
func requests(r *bailey.Report) []request {
	var all []request
	for i := range r.Findings {
		finding := &r.Findings[i]
		if finding.Waiver != nil || finding.Baseline {
			continue
		}
		if changes := r.FixOf(finding); len(changes) > 0 {
			all = append(all, request{finding, changes})
		}
	}
	slices.SortStableFunc(all, func(a, b request) int { return a.moves() - b.moves() })
	return all
}

// moves ranks a request by the first item of a list that it moves, the last ones
// before the first ones; one that moves none is 0.
func (q request) moves() int {
	rank := 0
	for _, c := range q.changes {
		for _, op := range c.Patch {
			if _, index, moves := movedBy(op); moves {
				rank = max(rank, math.MaxInt32-index)
			}
		}
	}
	return rank
}

// round makes what can be made of the fixes for what was found, and reports
// whether something was, which is to be judged.
func (f *fixer) round(ctx context.Context, s *bailey.Snapshot, r *bailey.Report) (made bool, err error) {
	f.shifts, f.edited = map[string][]shift{}, map[string]*editedObject{}
	f.left = map[string]fixNote{}
	var later []request
	for _, q := range requests(r) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		notes, err := f.fix(ctx, s, q.finding, q.changes)
		switch {
		case err == nil:
			f.done = append(f.done, notes...)
			made = made || len(notes) > 0
		case errors.Is(err, errLater):
			later = append(later, q)
		case ctx.Err() != nil:
			return false, ctx.Err()
		default:
			f.leaveOne(s, q, err)
		}
	}
	if !made {
		for _, q := range later {
			f.leaveOne(s, q, errors.New("its changes are of one place"))
		}
	}
	return made, nil
}

// leave notes why what could be fixed is not.
func (f *fixer) leave(s *bailey.Snapshot, r *bailey.Report, why error) {
	f.left = map[string]fixNote{}
	for _, q := range requests(r) {
		if !f.isPatched(s, q.changes) {
			f.leaveOne(s, q, why)
		}
	}
}

func (f *fixer) leaveOne(s *bailey.Snapshot, q request, why error) {
	note := describe(s, q.finding, q.changes[0])
	note.why = why.Error()
	f.left[q.finding.ID] = note
}

func describe(s *bailey.Snapshot, finding *bailey.Finding, c bailey.Change) fixNote {
	note := fixNote{finding: *finding, object: c.Object, patch: c.Patch, check: c.Note}
	c.Note = ""
	note.change = report.DescribeChange(c, c.Object)
	note.file = finding.Source.File
	if fact := s.Get(c.Object); fact != nil {
		note.file = fact.Source.File
	}
	return note
}

// fix makes all changes of one finding, or none.
func (f *fixer) fix(ctx context.Context, s *bailey.Snapshot, finding *bailey.Finding, changes []bailey.Change) (notes []fixNote, err error) {
	key := finding.ID
	for _, c := range changes {
		text, err := json.Marshal(c.Patch)
		if err != nil {
			return nil, err
		}
		key += string(text)
	}
	if f.made[key] {
		if f.isPatched(s, changes) {
			return nil, nil
		}
		return nil, errors.New("it was made, and the finding came back: another rule asks for the opposite, or what the files are rendered with sets it again")
	}
	for _, c := range changes {
		if len(c.Patch) == 0 {
			return nil, fmt.Errorf("it is a new object, %s: `bailey enforce -o kustomize=DIR` writes what guards a namespace", c.Object)
		}
	}
	f.changes = nil
	undo := f.state()
	for _, c := range changes {
		note := describe(s, finding, c)
		if note.how, err = f.change(ctx, s, c); err != nil {
			undo()
			return nil, err
		}
		notes = append(notes, note)
	}
	f.made[key] = true
	return notes, nil
}

// state gives a function that takes back what is changed from now on. It is good
// for the finding that is being fixed.
func (f *fixer) state() (undo func()) {
	mark := len(f.changes)
	return func() {
		for _, back := range slices.Backward(f.changes[mark:]) {
			back()
		}
		f.changes = f.changes[:mark]
	}
}

// assign sets an entry of one of the fixer's maps, so that it can be taken back.
func assign[K comparable, V any](f *fixer, m map[K]V, key K, value V) {
	old, known := m[key]
	f.changes = append(f.changes, func() {
		if m[key] = old; !known {
			delete(m, key)
		}
	})
	m[key] = value
}

// change makes one change. It says where, if not in the object's own text.
func (f *fixer) change(ctx context.Context, s *bailey.Snapshot, c bailey.Change) (how string, err error) {
	fact := s.Get(c.Object)
	if fact == nil || fact.Source.File == "" {
		return "", fmt.Errorf("%s is in none of the files", c.Object)
	}
	edited, err := f.edited[objectKey(fact)].with(c.Patch)
	if err != nil {
		return "", err
	}
	if how, err = f.changeFact(ctx, fact, c); err != nil {
		return "", err
	}
	done := []writtenAt{placeOf(fact).changedBy(how)}
	for _, copied := range f.given[fact.Ref] {
		// What was the same object in several files stays so. A file that is given
		// under several names is one place, which is changed once.
		at := placeOf(copied)
		if !reflect.DeepEqual(copied.Object, fact.Object) || slices.ContainsFunc(done, at.isChangedWith) {
			continue
		}
		also, err := f.changeFact(ctx, copied, c)
		if err != nil {
			return "", fmt.Errorf("%s, which holds the same object: %w", copied.Source.File, err)
		}
		done = append(done, at.changedBy(also))
		how += "; the same object: " + cmp.Or(also, copied.Source.File)
	}
	how = strings.TrimPrefix(how, "; ")
	assign(f, f.edited, objectKey(fact), edited)
	return how, nil
}

// changeFact makes a change where the object is written, or what it is made from.
func (f *fixer) changeFact(ctx context.Context, fact *bailey.Fact, c bailey.Change) (how string, err error) {
	switch {
	case fact.Source.Rendered == nil:
		return "", f.editObject(fact, c.Patch)
	case fact.Source.Rendered.Medium == "chart":
		return f.changeChart(ctx, fact, c)
	}
	return f.changeKustomization(ctx, fact, c)
}

// writtenAt is where an object is written, links resolved, and the chart or
// kustomization that renders it; empty for none.
type writtenAt struct {
	file         string
	line, column int
	rendered     string
}

func placeOf(fact *bailey.Fact) writtenAt {
	at := writtenAt{manifests.Absolute(fact.Source.File), fact.Source.Line, fact.Source.Column, ""}
	if fact.Source.Rendered != nil {
		at.rendered = manifests.Absolute(fact.Source.Rendered.Path)
	}
	return at
}

// changedBy is the place after a change: one in the file itself is one for all that is
// built from it.
func (at writtenAt) changedBy(how string) writtenAt {
	if how == "" {
		at.rendered = ""
	}
	return at
}

// isChangedWith reports whether who changes the other place changes this one too. A
// file and what a kustomization makes of it count as one: a change of both would
// be made twice in what is built.
func (at writtenAt) isChangedWith(other writtenAt) bool {
	same := at.file == other.file && at.line == other.line && at.column == other.column
	return same && (at.rendered == other.rendered || at.rendered == "" || other.rendered == "")
}

func objectKey(fact *bailey.Fact) string {
	return fact.Source.File + "\n" + fact.Ref.String() + "\n" + fact.APIVersion
}

// editObject makes a patch in the text of an object that a file holds as it is.
func (f *fixer) editObject(fact *bailey.Fact, patch []bailey.PatchOp) error {
	path, file, err := f.open(fact.Source.File)
	if err != nil {
		return err
	}
	edited, err := fix.Edit(file.after, fix.Place{Line: f.lineOf(path, fact), Column: fact.Source.Column, Kind: fact.Kind.Short(), Name: fact.Name}, patch)
	if err != nil {
		return err
	}
	f.shift(path, fact, file.after, edited)
	f.set(path, edited)
	return nil
}

// lineOf is the line of a file at which the object of the fact begins now.
func (f *fixer) lineOf(path string, fact *bailey.Fact) int {
	line := fact.Source.Line
	for _, moved := range f.shifts[path] {
		if moved.line < fact.Source.Line {
			line += moved.by
		}
	}
	return line
}

// shift notes by how much an edit of the fact's object moves what stands behind it.
func (f *fixer) shift(path string, fact *bailey.Fact, before, after []byte) {
	moved := shift{fact.Source.Line, lineCount(after) - lineCount(before)}
	assign(f, f.shifts, path, append(slices.Clone(f.shifts[path]), moved))
}

func lineCount(text []byte) int { return strings.Count(string(text), "\n") }

// set puts a text in the place of a file's.
func (f *fixer) set(path string, text []byte) {
	file := f.files[path]
	if string(file.after) == string(text) {
		return
	}
	old := file.after
	f.changes = append(f.changes, func() {
		file.after = old
		clear(f.trees)
	})
	file.after = text
	assign(f, f.overlay, path, text)
	clear(f.trees)
}

// open reads a file that may be written: one of the targets, or in one of them.
func (f *fixer) open(name string) (path string, file *fixedFile, err error) {
	path, err = filepath.Abs(name)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", nil, err
	}
	if file := f.files[path]; file != nil {
		return path, file, nil
	}
	if !slices.ContainsFunc(slices.Concat(f.targets, f.target.values), func(target string) bool { return holds(target, path) }) {
		return "", nil, fmt.Errorf("%s leads out of what was given to be fixed", name)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", nil, err
	case !info.Mode().IsRegular():
		return "", nil, fmt.Errorf("%s is not a regular file", name)
	case info.Mode()&0o222 == 0:
		return "", nil, fmt.Errorf("%s is read-only", name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	file = &fixedFile{name: name, path: path, before: text, after: text}
	f.files[path] = file
	return path, file, nil
}

// holds reports whether the path, links resolved, is the target or lies in it.
func holds(target, path string) bool {
	root, err := filepath.Abs(target)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return false
	}
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		switch filepath.Base(target) {
		case "Chart.yaml", "kustomization.yaml", "kustomization.yml", "Kustomization":
			root = filepath.Dir(root) // the folder is the target
		}
	}
	within, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(within)
}

// changed are the files that are to be written, those of the target before those of
// patches, by path.
func (f *fixer) changed() []*fixedFile {
	var files []*fixedFile
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		if file := f.files[path]; !bytes.Equal(file.before, file.after) {
			files = append(files, file)
		}
	}
	return append(files, f.patchedFiles...)
}
