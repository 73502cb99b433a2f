package server

import "github.com/baileyhq/bailey"

// skippedLines bounds how much of what was not read is told one by one.
const skippedLines = 10

// tellSkipped logs what a reading could not read: the pages say it of each control, and who runs the
// server looks here first.
func (l *Loop) tellSkipped(s *bailey.Snapshot) {
	told := 0
	for _, t := range s.Meta.Targets {
		for _, skipped := range t.Skipped {
			if told++; told <= skippedLines {
				l.o.Log.Warn("not read", "what", skipped.What, "why", skipped.Why, "hint", skipped.Hint)
			}
		}
	}
	if told > skippedLines {
		l.o.Log.Warn("more was not read", "lists", told-skippedLines)
	}
}
