package web

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey/server"
)

// pager leads on from a page of a list.
type pager struct {
	From, To int  // counted from 1; 0 for an empty page
	Total    int  // 0 where it is not known
	More     bool // there may be more than Total
	First    string
	Prev     string
	Next     string
	Export   string
}

// paged gives the links from a page that holds count rows and has a cursor to the next.
func (v *visit) paged(count int, next string, total int) pager {
	before := v.position()
	p := pager{To: before + count, Total: total, Export: v.page.With("format", "csv")}
	if count > 0 {
		p.From = before + 1
	}
	trail := v.trail()
	if next != "" {
		p.Next = v.page.With("cursor", next, "at", before+count, "back", trail.and(place{before, v.cursor()}))
	}
	if v.cursor() != "" {
		p.First = v.page.With()
	}
	if rest, last, found := trail.last(); found {
		if last.cursor == "" {
			p.Prev, p.First = p.First, "" // the page before is the first one
		} else {
			p.Prev = v.page.With("cursor", last.cursor, "at", last.at, "back", string(rest))
		}
	}
	return p
}

// place is where a page begins: after how many rows, and at which cursor; none for the first.
type place struct {
	at     int
	cursor string
}

// trail are the places of the pages that led to one, the last one last, as they stand in its address:
// a cursor leads on, and this leads back. Of a long one the beginning is dropped.
type trail string

// trailMost bounds a trail in an address, in bytes.
const trailMost = 2000

func (v *visit) trail() trail {
	t := v.r.URL.Query().Get("back")
	if len(t) > trailMost || v.cursor() == "" {
		return ""
	}
	return trail(t)
}

// and is the trail with one more place.
func (t trail) and(p place) string {
	one := strconv.Itoa(p.at) + "~" + p.cursor
	if t == "" {
		return one
	}
	for len(t)+1+len(one) > trailMost {
		_, rest, more := strings.Cut(string(t), ".")
		if !more {
			return one
		}
		t = trail(rest)
	}
	return string(t) + "." + one
}

// last takes the last place off.
func (t trail) last() (rest trail, p place, found bool) {
	one := string(t)
	if i := strings.LastIndex(one, "."); i >= 0 {
		rest, one = t[:i], one[i+1:]
	}
	at, cursor, found := strings.Cut(one, "~")
	n, err := strconv.Atoi(at)
	return rest, place{n, cursor}, found && err == nil && n >= 0
}

func (v *visit) cursor() string { return v.r.URL.Query().Get("cursor") }

// position is how many rows came before this page, for its heading only.
func (v *visit) position() int {
	at, err := strconv.Atoi(v.r.URL.Query().Get("at"))
	if err != nil || at < 0 || v.cursor() == "" {
		return 0
	}
	return at
}

// cut gives one page of a list that is held whole. Its cursor is the number of rows before it.
func cut[T any](v *visit, all []T, size int) ([]T, pager, error) {
	from, err := v.from()
	if err != nil {
		return nil, pager{}, err
	}
	from = min(from, len(all))
	to := min(from+size, len(all))
	return all[from:to], v.counted(from, to-from, len(all)), nil
}

// from is how many rows come before the page, of a list whose cursor is that.
func (v *visit) from() (int, error) {
	c := v.cursor()
	if c == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(c)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: cursor=%q is no place in the list; begin at its first page", server.ErrBadInput, c)
	}
	return n, nil
}

// counted gives the links from a page of such a list, which holds count rows of total.
func (v *visit) counted(from, count, total int) pager {
	next := ""
	if from+count < total {
		next = strconv.Itoa(from + count)
	}
	return v.paged(count, next, total)
}

// eachPage asks for page after page until there are no more.
func eachPage(ask func(cursor string) (next string, err error)) error {
	cursor := ""
	for {
		next, err := ask(cursor)
		if err != nil || next == "" || next == cursor {
			return err
		}
		cursor = next
	}
}
