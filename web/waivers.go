package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type waiversBody struct {
	Waivers []server.WaiverEntry
	Filters *filters
	Pager   pager
}

const (
	waiverRows  = 50
	waiverUsual = 30 * 24 * time.Hour // what the forms propose
)

func (s *site) waivers(v *visit) error {
	form := v.filters()
	f := server.WaiverFilter{
		Text:    form.text("Text", "q"),
		State:   form.choice("State", "state", option{"current", "not ended"}, option{"active", "in force"}, option{"expiring", "ends soon"}, option{"expired", "expired"}, option{"ended", "ended"}, option{"all", "all"}),
		Control: form.control(),
		Owner:   form.name("Owner", "owner", 256),
		Order:   form.order(option{"expiry", "next to end first"}, option{"newest", "newest first"}, option{"accepts", "most findings first"}, option{"rule", "by rule"}, option{"owner", "by owner"}),
		Cursor:  v.cursor(),
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		f.Limit = exportPage
		return v.export("waivers", []string{"id", "state", "rule", "kind", "namespace", "name", "reason", "owner", "expires", "added by", "added", "ended by", "ended", "accepts", "extended", "extended by", "extended because"}, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				f.Cursor = cursor
				list, _, next, err := s.Desk.Waivers(v.r.Context(), v.ask, f)
				for _, w := range list {
					var last server.WaiverExtension
					if n := len(w.Extended); n > 0 {
						last = w.Extended[n-1]
					}
					if !row(w.ID, w.State, w.Rule, w.Kind, w.Namespace, w.Name, w.Reason, w.Owner, w.Expires, w.AddedBy, w.AddedAt, w.RemovedBy, w.RemovedAt, w.Accepts, last.At, last.By, last.Reason) {
						return "", err
					}
				}
				return next, err
			})
		})
	}
	f.Limit = waiverRows
	list, total, next, err := s.Desk.Waivers(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	return v.show("waivers", "waivers", "Waivers", waiversBody{list, form, v.paged(len(list), next, total)})
}

// waiverForm is what somebody wrote into the form, with what is wrong with it.
type waiverForm struct {
	Rule, Kind, Namespace, Name, Reason, Owner, Expires string

	Problems map[string]string // by field
	Soonest  string
	Rules    []string
}

func (s *site) newWaiver(v *visit) error {
	if err := v.mustMay(server.WriteWaivers); err != nil {
		return err
	}
	if !v.page.Can.Waive {
		return fmt.Errorf("%w: waivers of this cluster are added at the server that watches it", server.ErrBadInput)
	}
	q := v.r.URL.Query()
	return v.showForm(http.StatusOK, waiverForm{Rule: q.Get("rule"), Kind: q.Get("kind"), Namespace: q.Get("namespace"), Name: q.Get("name"),
		Expires: v.page.Now.Add(waiverUsual).UTC().Format(time.DateOnly)})
}

func (v *visit) showForm(status int, f waiverForm) error {
	f.Soonest = v.page.Now.Add(24 * time.Hour).UTC().Format(time.DateOnly)
	for _, c := range v.site.Controls {
		f.Rules = append(f.Rules, c.ID)
		for _, r := range c.Rules {
			f.Rules = append(f.Rules, c.RuleID(r))
		}
	}
	return v.showAs(status, "newwaiver", "waivers", "Add a waiver", f)
}

// Bounds of what a waiver says, in bytes.
const waiverText = 2000

func (s *site) addWaiver(v *visit) error {
	if err := v.mustMay(server.WriteWaivers); err != nil {
		return err
	}
	field := func(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }
	f := waiverForm{field("rule"), field("kind"), field("namespace"), field("name"), field("reason"), field("owner"), field("expires"), map[string]string{}, "", nil}
	for name, value := range map[string]string{"rule": f.Rule, "kind": f.Kind, "namespace": f.Namespace, "name": f.Name, "reason": f.Reason, "owner": f.Owner} {
		if len(value) > waiverText {
			f.Problems[name] = fmt.Sprintf("This is longer than %d bytes.", waiverText)
		}
	}
	if !s.isRule(strings.TrimSuffix(f.Rule, "/*")) {
		f.Problems["rule"] = "Name a rule or a control, such as compute/pod-security."
	}
	if f.Reason == "" {
		f.Problems["reason"] = "Say why the risk is accepted; whoever reviews this must understand it."
	}
	if f.Owner == "" {
		f.Problems["owner"] = "Name who answers for it: a person or a team."
	}
	expires, err := time.Parse(time.DateOnly, f.Expires)
	if err != nil || !expires.After(v.page.Now) {
		f.Problems["expires"] = "Give a day to come: no waiver is for ever."
	}
	if len(f.Problems) > 0 {
		return v.showForm(http.StatusUnprocessableEntity, f)
	}
	_, err = s.Desk.AddWaiver(v.r.Context(), v.ask, v.by(), bailey.Waiver{Rule: f.Rule, Kind: f.Kind, Namespace: f.Namespace, Name: f.Name,
		Reason: f.Reason, Owner: f.Owner, Expires: expires})
	if err != nil {
		return err
	}
	http.Redirect(v.w, v.r, v.page.Href("/waivers"), http.StatusSeeOther)
	return nil
}

func (s *site) isRule(id string) bool {
	for _, c := range s.Controls {
		if c.ID == id {
			return true
		}
		for _, r := range c.Rules {
			if c.RuleID(r) == id {
				return true
			}
		}
	}
	return false
}

// extension is the form that puts off the end of a waiver, with what is wrong with it.
type extension struct {
	server.WaiverEntry
	New, Why string
	Problems map[string]string // by field
	Soonest  string
}

// toExtend gives the waiver of a request that somebody may extend, and the day after its end.
func (v *visit) toExtend() (w server.WaiverEntry, soonest time.Time, err error) {
	if err := v.mustMay(server.WriteWaivers); err != nil {
		return w, soonest, err
	}
	w, err = v.site.Desk.Waiver(v.r.Context(), v.ask, v.r.PathValue("id"))
	if err == nil && w.RemovedAt != nil {
		err = server.ErrNotFound
	}
	soonest = w.Expires
	if v.page.Now.After(soonest) {
		soonest = v.page.Now
	}
	return w, soonest.AddDate(0, 0, 1), err
}

func (v *visit) showExtension(status int, x extension, soonest time.Time) error {
	x.Soonest = soonest.UTC().Format(time.DateOnly)
	return v.showAs(status, "extendwaiver", "waivers", "Extend a waiver", x)
}

func (s *site) longerWaiver(v *visit) error {
	w, soonest, err := v.toExtend()
	if err != nil {
		return err
	}
	return v.showExtension(http.StatusOK, extension{WaiverEntry: w, New: soonest.Add(waiverUsual).UTC().Format(time.DateOnly)}, soonest)
}

func (s *site) extendWaiver(v *visit) error {
	w, soonest, err := v.toExtend()
	if err != nil {
		return err
	}
	x := extension{WaiverEntry: w, New: strings.TrimSpace(v.r.PostFormValue("expires")), Why: strings.TrimSpace(v.r.PostFormValue("reason")), Problems: map[string]string{}}
	switch {
	case x.Why == "":
		x.Problems["reason"] = "Say why the risk is accepted for longer; whoever reviews this must understand it."
	case len(x.Why) > waiverText:
		x.Problems["reason"] = fmt.Sprintf("This is longer than %d bytes.", waiverText)
	}
	expires, err := time.Parse(time.DateOnly, x.New)
	if err != nil || !expires.After(w.Expires) || !expires.After(v.page.Now) {
		x.Problems["expires"] = "Give a day to come, after the one on which it ends now."
	}
	if len(x.Problems) > 0 {
		return v.showExtension(http.StatusUnprocessableEntity, x, soonest)
	}
	if err := s.Desk.ExtendWaiver(v.r.Context(), v.ask, v.by(), w.ID, x.Why, expires); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, v.page.Href("/waivers", "q", w.ID), http.StatusSeeOther)
	return nil
}

func (s *site) endWaiver(v *visit) error {
	if err := v.mustMay(server.WriteWaivers); err != nil {
		return err
	}
	if err := s.Desk.EndWaiver(v.r.Context(), v.ask, v.by(), v.r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, v.page.Href("/waivers"), http.StatusSeeOther)
	return nil
}
