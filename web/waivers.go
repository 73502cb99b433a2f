package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type waiversBody struct {
	Waivers []waiverRow
	State   string
	Pager   pager
}

type waiverRow struct {
	server.WaiverEntry
	State string // in force, ends soon, expired or ended
}

const (
	waiverRows  = 50
	endsSoon    = 14 * 24 * time.Hour
	waiverUsual = 30 * 24 * time.Hour // what the form proposes
)

func (v *visit) waiverState(w server.WaiverEntry) string {
	switch left := w.Expires.Sub(v.page.Now); {
	case w.RemovedAt != nil:
		return "ended"
	case left <= 0:
		return "expired"
	case left < endsSoon:
		return "ends soon"
	}
	return "in force"
}

func (s *site) waivers(v *visit) error {
	all, err := s.Desk.Waivers(v.r.Context(), v.ask)
	if err != nil {
		return err
	}
	b := waiversBody{State: v.r.URL.Query().Get("state")}
	if b.State != "" {
		if err := oneOf("state", b.State, "all"); err != nil {
			return err
		}
	}
	var rows []waiverRow
	for _, w := range all {
		r := waiverRow{w, v.waiverState(w)}
		if r.State != "ended" || b.State == "all" {
			rows = append(rows, r)
		}
	}
	slices.SortStableFunc(rows, func(a, b waiverRow) int { return a.Expires.Compare(b.Expires) })
	if v.wantsCSV() {
		return v.export("waivers", []string{"id", "state", "rule", "kind", "namespace", "name", "reason", "owner", "expires", "added by", "added", "ended by", "ended", "accepts"}, func(row func(...any) bool) error {
			for _, w := range rows {
				if !row(w.ID, w.State, w.Rule, w.Kind, w.Namespace, w.Name, w.Reason, w.Owner, w.Expires, w.AddedBy, w.AddedAt, w.RemovedBy, w.RemovedAt, w.Accepts) {
					break
				}
			}
			return nil
		})
	}
	if b.Waivers, b.Pager, err = cut(v, rows, waiverRows); err != nil {
		return err
	}
	return v.show("waivers", "waivers", "Waivers", b)
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
