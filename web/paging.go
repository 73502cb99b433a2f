package web

import (
	"fmt"
	"strconv"

	"github.com/baileyhq/bailey/server"
)

// pager leads on from a page of a list.
type pager struct {
	From, To int  // counted from 1; 0 for an empty page
	Total    int  // 0 where it is not known
	More     bool // there may be more than Total
	First    string
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
	if next != "" {
		p.Next = v.page.With("cursor", next, "at", before+count)
	}
	if v.cursor() != "" {
		p.First = v.page.With()
	}
	return p
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
	from := 0
	if c := v.cursor(); c != "" {
		n, err := strconv.Atoi(c)
		if err != nil || n < 0 {
			return nil, pager{}, fmt.Errorf("%w: cursor=%q is no place in the list; begin at its first page", server.ErrBadInput, c)
		}
		from = min(n, len(all))
	}
	to := min(from+size, len(all))
	next := ""
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], v.paged(to-from, next, len(all)), nil
}
