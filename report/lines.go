package report

import (
	"bufio"
	"io"
	"slices"
	"strings"
)

// ANSI styles, as the parameters of the SGR sequence.
const (
	plain    = ""
	bold     = "1"
	faint    = "2"
	red      = "31"
	boldRed  = "1;31"
	yellow   = "33"
	green    = "32"
	cyan     = "36"
	boldCyan = "1;36"
)

// run is a piece of clean text in one style.
type run struct {
	text, style string
	// whole is never broken into lines: a command to be copied.
	whole bool
}

// lines writes text in lines of at most width columns. Only what cannot be
// broken is longer.
type lines struct {
	w     *bufio.Writer
	width int
	color bool
}

func newLines(w io.Writer, o Options) *lines {
	return &lines{w: bufio.NewWriterSize(w, 1<<16), width: o.width(), color: o.Color}
}

func (l *lines) put(r run) {
	if l.color && r.style != plain && strings.TrimSpace(r.text) != "" {
		l.w.WriteString("\x1b[" + r.style + "m" + r.text + "\x1b[0m")
		return
	}
	l.w.WriteString(r.text)
}

// blank ends a paragraph.
func (l *lines) blank() { l.w.WriteByte('\n') }

// heading writes the title of a section, and a remark behind it.
func (l *lines) heading(title, remark string) {
	l.blank()
	l.hang([]run{{text: title, style: bold}, {text: "  "}}, run{text: remark, style: faint})
}

// hang writes a paragraph whose first line begins with the prefix, and whose
// other lines are indented by as much.
func (l *lines) hang(prefix []run, runs ...run) {
	empty := !slices.ContainsFunc(runs, func(r run) bool { return strings.TrimSpace(r.text) != "" })
	indent := 0
	for i, p := range prefix {
		if empty && i == len(prefix)-1 { // no spaces at the end of a line
			p.text = strings.TrimRight(p.text, " ")
		}
		l.put(p)
		indent += columns(p.text)
	}
	at, fresh := indent, true // fresh: nothing on this line but the indent
	for _, r := range runs {
		words := []string{r.text}
		if !r.whole {
			words = strings.Fields(r.text)
		}
		var open strings.Builder // words of one style share one escape sequence
		flush := func() {
			l.put(run{text: open.String(), style: r.style})
			open.Reset()
		}
		for _, word := range words {
			n := columns(word)
			switch {
			case fresh:
			case at+1+n > l.width:
				flush()
				l.w.WriteString("\n" + strings.Repeat(" ", indent))
				at = indent
			case open.Len() > 0:
				open.WriteByte(' ')
				at++
			default:
				l.w.WriteByte(' ')
				at++
			}
			open.WriteString(word)
			at, fresh = at+n, false
		}
		flush()
	}
	l.blank()
}

// row writes a paragraph beside a name in a column of n columns; below the
// name where that is too long.
func (l *lines) row(indent, n int, name run, runs ...run) {
	space := strings.Repeat(" ", indent)
	if columns(name.text) > n {
		l.hang([]run{{text: space}}, name)
		l.hang([]run{{text: space + "  "}}, runs...)
		return
	}
	gap := strings.Repeat(" ", n-columns(name.text)+2)
	l.hang([]run{{text: space}, name, {text: gap}}, runs...)
}
