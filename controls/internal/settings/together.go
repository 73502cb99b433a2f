package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// asked is a setting of one component.
type asked struct {
	by      string // "kube-apiserver@cp-1"
	setting bailey.Setting
	holds   bool
	seen    string // what the component has in its place
}

// together makes one setting of the same flag or field of several components. Each has its
// say, those too that are as they should be: what is written goes to all of them. Where it
// would take the place of what another has, nothing is written, and a person is told.
func together(all []asked) bailey.Setting {
	s := all[0].setting
	var looks []asked // nothing is to be written in their place
	plain, differ := true, false
	for _, a := range all {
		if !a.holds {
			s.Seen = append(s.Seen, bailey.SettingSeen{Component: a.by, Value: a.seen})
		}
		if a.setting.Value == nil {
			looks = append(looks, a)
		}
		plain = plain && a.setting.File == nil
		differ = differ || written(&a.setting) != written(&s)
	}
	note := func(a asked) string { return a.setting.Note }
	switch {
	case len(looks) > 0:
		s.Note = apiece(looks, note)
	case differ && plain:
		s.Note = "the machines want different values, and one would take the place of all: give each its own: " +
			apiece(all, func(a asked) string { return Text(a.setting.Value) })
	case differ:
		s.Note = "the machines have different files, and one would take the place of all: make each of its own, and plan again for each by itself"
	default:
		s.Note, s.Replaces = apiece(all, note), nil
		for _, a := range all {
			for _, flag := range a.setting.Replaces {
				if !slices.Contains(s.Replaces, flag) {
					s.Replaces = append(s.Replaces, flag)
				}
			}
		}
		return s
	}
	s.Value, s.File, s.Replaces = nil, nil, nil
	return s
}

// written is what a setting writes: its file, else its value.
func written(s *bailey.Setting) string {
	if s.File != nil {
		return s.File.Text
	}
	return Text(s.Value)
}

// most is how many components are named of those that are alike.
const most = 3

// apiece gives what is to be said of each component, with its name where that is not the same
// of all.
func apiece(all []asked, of func(asked) string) string {
	by := map[string][]string{}
	var order []string
	for _, a := range all {
		text := of(a)
		if text == "" {
			continue
		}
		if by[text] == nil {
			order = append(order, text)
		}
		if !slices.Contains(by[text], a.by) {
			by[text] = append(by[text], a.by)
		}
	}
	alike := len(order) < 2 || !slices.ContainsFunc(all, func(a asked) bool { return a.by != all[0].by })
	for i, text := range order {
		names := by[text]
		switch {
		case alike:
			continue
		case len(names) > most:
			names = append(names[:most-1:most-1], fmt.Sprintf("%d more", len(names)-most+1))
		}
		order[i] = strings.Join(names, ", ") + ": " + text
	}
	return strings.Join(order, "; ")
}
