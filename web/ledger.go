package web

import (
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type ledgerBody struct {
	server.LedgerPage
	Filter   server.LedgerFilter
	Controls []*bailey.Control
	Kept     bool // there is a ledger
	Entry    string
	Since    string
	Until    string // the last day
	Pager    pager
}

// ledgerRows is how many entries one page lists.
const ledgerRows = 50

func (s *site) ledger(v *visit) error {
	if err := v.mustMay(server.ReadLedger); err != nil {
		return err
	}
	q := v.r.URL.Query()
	b := ledgerBody{Controls: s.Controls, Kept: s.Ledger != nil, Entry: q.Get("entry"), Since: q.Get("since"), Until: q.Get("until"),
		Filter: server.LedgerFilter{Kind: q.Get("kind"), Control: q.Get("control"), Text: strings.TrimSpace(q.Get("q")), Cursor: v.cursor(), Limit: ledgerRows}}
	if b.Filter.Kind != "" {
		if err := oneOf("kind", b.Filter.Kind, "record", "key", "shred"); err != nil {
			return err
		}
	}
	var err error
	if b.Since != "" {
		if b.Filter.Since, err = day("since", b.Since); err != nil {
			return err
		}
	}
	if b.Until != "" {
		if b.Filter.Until, err = day("until", b.Until); err != nil {
			return err
		}
		b.Filter.Until = b.Filter.Until.AddDate(0, 0, 1)
	}
	if _, err := strconv.ParseUint(b.Entry, 10, 53); err != nil {
		b.Entry = ""
	}
	if !b.Kept {
		return v.show("ledger", "ledger", "Ledger", b)
	}
	if v.wantsCSV() {
		f := b.Filter
		f.Limit = 1000
		return v.export("ledger", []string{"index", "kind", "period", "bytes", "at", "id", "control", "experiment", "verdict"}, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				f.Cursor = cursor
				list, err := s.Ledger(v.r.Context(), f)
				for _, e := range list.Entries {
					if !row(e.Index, e.Kind, e.Period, e.Bytes, e.At, e.ID, e.Control, e.Experiment, e.Verdict) {
						return "", err
					}
				}
				return list.Next, err
			})
		})
	}
	page, err := s.Ledger(v.r.Context(), b.Filter)
	if err != nil {
		return err
	}
	b.LedgerPage, b.Pager = page, v.paged(len(page.Entries), page.Next, 0)
	return v.show("ledger", "ledger", "Ledger", b)
}
