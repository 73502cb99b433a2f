package server

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Alerts are pushed by themselves, as they stand: a hub that does not know them yet refuses that push, and
// goes on with the others.

const (
	// mostAlerts is how many alerts one push may have.
	mostAlerts = 50_000
	// The bounds of what an alert says, in bytes: those of what is raised, with room.
	longestKey   = 4 * longestID
	longestTitle = 4 * longestID
	longestText  = 4 * alertTextMost
)

// writeAlerts writes a push of alerts.
func writeAlerts(w io.Writer, h pushHeader, list []store.Alert) error {
	return writeLines(w, h, func(write func(pushed) error) error {
		for i := range list {
			a := pushedAlertOf(list[i])
			if err := write(pushed{Alert: &a}); err != nil {
				return err
			}
		}
		return nil
	})
}

// pushedAlertOf is an alert without what only the store knows it by that it is read from, and of what is kept
// for those who raise it with what is shown.
func pushedAlertOf(a store.Alert) store.Alert {
	kept := docOf(&a)
	shown := alertDoc{Control: kept.Control, Rule: kept.Rule, Since: kept.Since}
	a.Doc, a.Delivered, a.Changed, a.Seq = shown.text(), time.Time{}, 0, 0
	return a
}

// alerts reads what follows the header of a push of alerts.
func (p *pushReader) alerts() ([]store.Alert, error) {
	var list []store.Alert
	err := p.body(func(one *pushed) error {
		switch {
		case one.Alert == nil:
			return errors.New("a push of alerts holds nothing else")
		case len(list) == mostAlerts:
			return fmt.Errorf("more than %d alerts", mostAlerts)
		}
		if err := validAlert(one.Alert); err != nil {
			return err
		}
		list = append(list, pushedAlertOf(*one.Alert))
		return nil
	})
	return list, err
}

// validAlert takes any character in a key and a title: who calls an API server chooses parts of them, and must
// not have a spoke's alerts refused.
func validAlert(a *store.Alert) error {
	switch {
	case a.Key == "" || len(a.Key) > longestKey:
		return fmt.Errorf("no key of an alert: %.40q", a.Key)
	case len(a.Title) > longestTitle || len(a.Text) > longestText:
		return errors.New("an alert that says too much")
	case a.Times < 1 || a.Times > mostTries:
		return errors.New("an alert with an impossible number")
	case !keepable(a.First) || !keepable(a.Last) || !a.Resolved.IsZero() && !keepable(a.Resolved):
		return errors.New("an alert with an impossible time")
	}
	doc := docOf(a)
	if len(doc.Control) > longestID || len(doc.Rule) > longestID || !doc.Since.IsZero() && !keepable(doc.Since) {
		return errors.New("an alert of an impossible rule or time")
	}
	err := validID(string(a.Kind))
	if a.Object != (bailey.Ref{}) {
		err = errors.Join(err, validRef(a.Object))
	}
	return err
}

// keepable reports whether a history, which counts nanoseconds from 1970 on, can hold a moment.
func keepable(at time.Time) bool { return at.Year() > 1677 && at.Year() < 2262 }
