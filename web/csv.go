package web

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// csvMost bounds the rows of one export.
const csvMost = 100_000

// exportPage is how many rows of an export are asked for at once.
const exportPage = 1000

const (
	// rowsPatience is how long an export waits for the next rows, and for them to be taken.
	rowsPatience = time.Minute
	rowsEvery    = 10 * time.Millisecond
)

// errNoTable tells that a view cannot be a file.
var errNoTable = errors.New("this page has no table, and cannot be had as CSV\nhint: leave out format=csv; /api/v1/openapi.json lists what programs can read")

// wantsCSV reports whether the view is asked for as a file.
func (v *visit) wantsCSV() bool { return v.r.URL.Query().Get("format") == "csv" }

// export writes all rows of a view as CSV. each hands rows over until there are no more, or
// until it is told that there is no more room.
func (v *visit) export(name string, head []string, each func(row func(cells ...any) bool) error) error {
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="bailey-%s-%s.csv"`, name, v.page.Now.UTC().Format(time.DateOnly)))
	out := csv.NewWriter(v.w)
	_ = out.Write(head)
	rows := 0
	// However long the whole takes, it goes on while rows come and are taken.
	control, began := http.NewResponseController(v.w), time.Time{}
	err := each(func(cells ...any) bool {
		if now := time.Now(); now.Sub(began) > rowsEvery {
			began = now
			_ = control.SetWriteDeadline(now.Add(rowsPatience))
		}
		line := make([]string, len(cells))
		for i, c := range cells {
			line[i] = cell(c)
		}
		rows++
		return out.Write(line) == nil && rows < csvMost
	})
	switch {
	case err != nil && rows == 0:
		h.Del("Content-Disposition")
		return err
	case err != nil: // the answer has begun: what is lacking is said in it
		v.site.Log.Error("an export ended early", "view", name, "error", err)
		_ = out.Write([]string{"incomplete: the server could not read the rest"})
	case rows == csvMost:
		_ = out.Write([]string{fmt.Sprintf("incomplete: an export ends after %d rows; narrow the filter", csvMost)})
	}
	out.Flush()
	return nil
}

// cell writes a value so that no spreadsheet takes it for a formula.
func cell(value any) string {
	var s string
	switch x := value.(type) {
	case time.Time:
		if !x.IsZero() {
			s = x.UTC().Format(time.RFC3339)
		}
	case *time.Time:
		if x != nil {
			s = x.UTC().Format(time.RFC3339)
		}
	case *bailey.Rung:
		if x != nil {
			s = x.String()
		}
	default:
		s = fmt.Sprint(x)
	}
	if s != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(s[0])) {
		return "'" + s
	}
	return s
}
