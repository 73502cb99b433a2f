package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

const defaultWidth = 80

// isTerminal reports whether the stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// color reports whether output to the stream may be coloured.
func (a *app) color(stream io.Writer) bool {
	return !a.noColor && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(stream)
}

// columns is the width for text on the stream.
func (a *app) columns(stream io.Writer) int {
	if a.width > 0 {
		return a.width
	}
	if f, ok := stream.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return defaultWidth
}

// progress is one line on the terminal that says what is going on. It shows
// nothing for work that ends at once, and nothing where nobody looks.
type progress struct {
	out   io.Writer
	start time.Time
	shown bool
}

// progressDelay is how long work goes on before it is worth a line.
const progressDelay = 300 * time.Millisecond

func (a *app) newProgress() *progress {
	p := &progress{start: a.now()}
	if !a.quiet && isTerminal(a.stderr) {
		p.out = a.stderr
	}
	return p
}

// step shows how far the work is.
func (p *progress) step(done, total int, what string) {
	p.say(fmt.Sprintf("%d of %d  %s", done, total, printable(what)))
}

// say shows what is going on.
func (p *progress) say(text string) {
	if p.out == nil || time.Since(p.start) < progressDelay {
		return
	}
	p.shown = true
	if len(text) > defaultWidth-2 {
		text = text[:defaultWidth-2]
	}
	fmt.Fprintf(p.out, "\r%-*s", defaultWidth-1, strings.ToValidUTF8(text, ""))
}

// end takes the line away.
func (p *progress) end() {
	if p.shown {
		fmt.Fprintf(p.out, "\r%*s\r", defaultWidth-1, "")
	}
}
