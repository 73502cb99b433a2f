package web

import (
	"strconv"

	"github.com/baileyhq/bailey/server"
)

type ledgerBody struct {
	server.LedgerPage
	Kept    bool // there is a ledger
	Entry   string
	Filters *filters
	Pager   pager
}

// ledgerRows is how many entries one page lists.
const ledgerRows = 50

func (s *site) ledger(v *visit) error {
	if !v.page.Watched() { // the ledger that is kept here says nothing of it
		return v.show("ledger", "ledger", "Ledger", ledgerBody{})
	}
	if err := v.mustMay(server.ReadLedger); err != nil {
		return err
	}
	form := v.filters()
	f := server.LedgerFilter{
		Text:    form.text("Text", "q"),
		Kind:    form.choice("Kind", "kind", plainly("all", "record", "key", "shred")...),
		Control: form.control(),
		Since:   form.day("From", "since"),
		Until:   form.lastDay("To", "until"),
		Order:   form.timeOrder(),
		Cursor:  v.cursor(), Limit: ledgerRows,
	}
	if form.err != nil {
		return form.err
	}
	b := ledgerBody{Kept: s.Ledger != nil, Entry: v.r.URL.Query().Get("entry"), Filters: form}
	if _, err := strconv.ParseUint(b.Entry, 10, 53); err != nil {
		b.Entry = ""
	}
	if !b.Kept {
		return v.show("ledger", "ledger", "Ledger", b)
	}
	if v.wantsCSV() {
		f.Limit = exportPage
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
	page, err := s.Ledger(v.r.Context(), f)
	if err != nil {
		return err
	}
	b.LedgerPage, b.Pager = page, v.paged(len(page.Entries), page.Next, 0)
	return v.show("ledger", "ledger", "Ledger", b)
}
