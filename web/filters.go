package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// filters reads how a view is narrowed and sorted from its address, and is shown as the form that
// changes it.
type filters struct {
	v      *visit
	Fields []field
	Chips  []chip
	err    error // what is first wrong with the address
}

// field is one field of the form: a choice where it has options.
type field struct {
	Name, Label, Value string
	Type               string // of an input
	Most               int    // characters
	Wide               bool
	Options            []option
}

// option is a value with the text that is shown for it.
type option struct{ Value, Text string }

// chip is a part of a filter that can be taken away.
type chip struct{ Name, Value, Without string }

func (v *visit) filters() *filters { return &filters{v: v} }

func (f *filters) take(one field, shown string) {
	if shown != "" {
		f.Chips = append(f.Chips, chip{strings.ToLower(one.Label), shown, f.v.page.With(one.Name, "")})
	}
	f.Fields = append(f.Fields, one)
}

func (f *filters) fail(err error) { f.err = cmp.Or(f.err, err) }

// text is a field for words.
func (f *filters) text(label, name string) string {
	one := field{Name: name, Label: label, Type: "search", Most: 300, Wide: true, Value: strings.TrimSpace(f.v.r.URL.Query().Get(name))}
	f.write(one)
	return one.Value
}

// write takes a field that something is written into.
func (f *filters) write(one field) {
	if utf8.RuneCountInString(one.Value) > one.Most {
		f.fail(fmt.Errorf("%w: %s is longer than %d characters", server.ErrBadInput, one.Name, one.Most))
	}
	f.take(one, one.Value)
}

// name is a field for a whole name.
func (f *filters) name(label, name string, most int) string {
	one := field{Name: name, Label: label, Type: "text", Most: most, Value: strings.TrimSpace(f.v.r.URL.Query().Get(name))}
	f.write(one)
	return one.Value
}

// hidden is a part of the address without a field that can be seen: where a link leads that narrows by it.
func (f *filters) hidden(name string) string {
	value := f.v.r.URL.Query().Get(name)
	if value != "" {
		f.take(field{Name: name, Label: name, Value: value, Type: "hidden"}, value)
	}
	return value
}

// choice is a field for one of some values, of which the first is taken unless another is chosen.
func (f *filters) choice(label, name string, options ...option) string {
	chosen := f.v.r.URL.Query().Get(name)
	usual := options[0].Value
	at := slices.IndexFunc(options, func(o option) bool { return o.Value == chosen })
	if at < 0 && chosen != "" {
		f.fail(oneOf(name, chosen, values(options)...))
		at = 0
	}
	at = max(at, 0)
	one := field{Name: name, Label: label, Value: options[at].Value, Options: slices.Clone(options)}
	one.Options[0].Value = "" // what is usual is not in the address
	if at == 0 {
		one.Value = ""
		f.take(one, "")
		return usual
	}
	f.take(one, options[at].Text)
	return one.Value
}

func values(options []option) []string {
	var all []string
	for _, o := range options {
		if o.Value != "" {
			all = append(all, o.Value)
		}
	}
	return all
}

// plainly are values that are shown as they are, after what is shown where none is chosen.
func plainly[T ~string](none string, values ...T) []option {
	all := []option{{"", none}}
	for _, v := range values {
		all = append(all, option{string(v), string(v)})
	}
	return all
}

// control is a field for a control.
func (f *filters) control() string {
	ids := make([]string, 0, len(f.v.site.Controls))
	for _, c := range f.v.site.Controls {
		ids = append(ids, c.ID)
	}
	return f.choice("Control", "control", plainly("all", ids...)...)
}

// severity is a field for the least severity.
func (f *filters) severity() bailey.Severity {
	name := f.choice("At least", "severity", plainly("any severity", severityNames...)...)
	if name == "" {
		return bailey.SeverityNone
	}
	least, err := bailey.ParseSeverity(name)
	f.fail(err)
	return least
}

// day is a field for a day; zero if none is chosen.
func (f *filters) day(label, name string) time.Time {
	one := field{Name: name, Label: label, Type: "date", Value: f.v.r.URL.Query().Get(name)}
	var at time.Time
	if one.Value != "" {
		var err error
		at, err = day(name, one.Value)
		f.fail(err)
	}
	f.take(one, one.Value)
	return at
}

// lastDay is a field for the last day that is taken: it gives the moment at which it ends.
func (f *filters) lastDay(label, name string) time.Time {
	at := f.day(label, name)
	if !at.IsZero() {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// order is a field for the order, of which the first is usual.
func (f *filters) order(options ...option) string {
	chips := f.Chips
	order := f.choice("Order", "order", options...)
	f.Chips = chips // it hides nothing
	f.v.page.order, f.v.page.usual = order, options[0].Value
	return order
}

// timeOrder is a field for the order of what is listed by when it was.
func (f *filters) timeOrder() string {
	return f.order(option{"newest", "newest first"}, option{"oldest", "oldest first"})
}

// Hides tells whether a page that lists nothing leaves anything out: by a filter, or on other pages.
func (f *filters) Hides(p pager) bool { return len(f.Chips) > 0 || p.First+p.Prev+p.Next != "" }

// column is the head of a column of a table, with the link that sorts by it.
type column struct{ Class, Title, Href, Sorted string }

// Col is a column that the table can be sorted by, in each of some orders; a "-" before one says that
// it goes down. Chosen again, the next one is taken.
func (p *page) Col(class, title string, orders ...string) column {
	c := column{Class: class, Title: title}
	next := 0
	for i, o := range orders {
		order, down := strings.CutPrefix(o, "-")
		if order != p.order {
			continue
		}
		c.Sorted = "ascending"
		if down {
			c.Sorted = "descending"
		}
		next = (i + 1) % len(orders)
	}
	if len(orders) > 0 {
		order := strings.TrimPrefix(orders[next], "-")
		if order == p.usual {
			order = ""
		}
		c.Href = p.With("order", order)
	}
	return c
}
