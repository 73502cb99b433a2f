package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// waiversMost bounds the waivers that count: each is looked at with every finding. Of those that count no
// more, so many are sorted with them, those that ended last.
const waiversMost = 1000

// waiverTold is for how long after its end reports tell of a waiver that nobody has ended.
const waiverTold = 90 * 24 * time.Hour

// Waivers gives a page of the waivers that a filter takes, and how many it takes; 0 if that is not known.
func (d *Desk) Waivers(ctx context.Context, a Ask, f WaiverFilter) (rows []WaiverEntry, total int, next string, err error) {
	if err := f.valid(); err != nil {
		return nil, 0, "", err
	}
	uid, err := d.cluster(a)
	if err != nil {
		return nil, 0, "", err
	}
	at, after, found := strings.Cut(f.Cursor, waiverPast)
	if found {
		rows, next, err = d.pastWaivers(ctx, a, uid, f, at, after, f.Limit)
		return rows, 0, next, err
	}
	now := d.o.Now()
	all, past, err := d.waivers(ctx, a, uid, now, f, store.WaiverQuery{Limit: waiversMost})
	if err != nil {
		return nil, 0, "", err
	}
	if err := d.accepts(ctx, a, uid, all); err != nil {
		return nil, 0, "", err
	}
	if all, err = f.Of(all, now); err != nil {
		return nil, 0, "", err
	}
	rows, next, err = pieceOf(all, f.Cursor, f.Limit)
	if past == "" {
		return rows, len(all), next, err
	}
	// Behind those that were sorted come those that ended before.
	if room := pieceSize(f.Limit) - len(rows); err == nil && next == "" {
		at := strconv.FormatInt(now.Unix(), 10)
		if next = at + waiverPast + past; room > 0 {
			var more []WaiverEntry
			more, next, err = d.pastWaivers(ctx, a, uid, f, at, past, room)
			rows = append(slices.Clip(rows), more...)
		}
	}
	return rows, 0, next, err
}

// waivers gives the waivers among which all are that a filter takes, in no order and without what they accept: those of the
// configuration, all that count at a moment, and of those that the filter takes the ones that ended last, with the store's
// cursor to the others. How many of the last, and among how many they are looked for, past says.
func (d *Desk) waivers(ctx context.Context, a Ask, uid string, now time.Time, f WaiverFilter, past store.WaiverQuery) (all []WaiverEntry, next string, err error) {
	all = []WaiverEntry{}
	if a.Sees.All && uid == d.o.Own() { // the configuration is about no other cluster
		for _, w := range d.o.Configured() {
			all = append(all, WaiverEntry{Waiver: w, Configured: true})
		}
	}
	if f.State != "expired" && f.State != "ended" {
		if err := eachKept(func(after string) (string, error) {
			page, err := d.o.Store.Waivers(ctx, store.WaiverQuery{Cluster: uid, Access: access(a), EndsAfter: now, Limit: loadPage, After: after})
			for i := range page.Items {
				all = append(all, waiverOf(&page.Items[i]))
			}
			return page.Next, err
		}); err != nil {
			return nil, "", err
		}
	}
	if f.State == "active" || f.State == "expiring" {
		return all, "", nil
	}
	some, next, err := d.endedBy(ctx, a, uid, now, f, past)
	return append(all, some...), next, err
}

// endedBy gives those that a filter takes of the waivers that had ended by a moment, the last first.
func (d *Desk) endedBy(ctx context.Context, a Ask, uid string, at time.Time, f WaiverFilter, q store.WaiverQuery) ([]WaiverEntry, string, error) {
	q.Cluster, q.Access, q.EndsBy, q.State = uid, access(a), at, store.All
	switch f.State {
	case "expired", "current":
		q.State = store.Open
	case "ended":
		q.State = store.Gone
	}
	entry := func(w *store.Waiver) WaiverEntry {
		one := waiverOf(w)
		one.State = one.StateAt(at)
		return one
	}
	q.Keep = func(w *store.Waiver) bool {
		one := entry(w)
		return f.takes(&one)
	}
	page, err := d.o.Store.Waivers(ctx, q)
	all := make([]WaiverEntry, 0, len(page.Items))
	for i := range page.Items {
		all = append(all, entry(&page.Items[i]))
	}
	return all, page.Next, err
}

// waiverPast stands in a cursor between the moment of the first page and the store's cursor.
const waiverPast = ":"

// pastWaivers gives a page of those that ended before the ones that were sorted, as they stood at the first page.
func (d *Desk) pastWaivers(ctx context.Context, a Ask, uid string, f WaiverFilter, at, after string, limit int) ([]WaiverEntry, string, error) {
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return nil, "", fmt.Errorf("%w: begin at the first page", ErrCursor)
	}
	rows, next, err := d.endedBy(ctx, a, uid, time.Unix(seconds, 0), f, store.WaiverQuery{Limit: pieceSize(limit), After: after})
	if next != "" {
		next = at + waiverPast + next
	}
	return rows, next, err
}

// Waiver gives one that was added here.
func (d *Desk) Waiver(ctx context.Context, a Ask, id string) (WaiverEntry, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return WaiverEntry{}, err
	}
	one := make([]WaiverEntry, 1)
	if one[0], err = d.waiver(ctx, a, uid, id); err != nil {
		return one[0], err
	}
	return one[0], d.accepts(ctx, a, uid, one)
}

// waiver gives one that was added here, without what it accepts.
func (d *Desk) waiver(ctx context.Context, a Ask, uid, id string) (w WaiverEntry, err error) {
	if id == "" {
		return w, ErrNotFound
	}
	page, err := d.o.Store.Waivers(ctx, store.WaiverQuery{Cluster: uid, Access: access(a), State: store.All, ID: id})
	if err == nil && len(page.Items) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return w, err
	}
	w = waiverOf(&page.Items[0])
	w.State = w.StateAt(d.o.Now())
	return w, nil
}

func waiverOf(w *store.Waiver) WaiverEntry {
	entry := WaiverEntry{ID: w.ID, Waiver: w.Waiver, AddedBy: w.AddedBy, AddedAt: w.Added, RemovedBy: w.RemovedBy}
	if !w.Removed.IsZero() {
		entry.RemovedAt = &w.Removed
	}
	for _, e := range w.Extended {
		entry.Extended = append(entry.Extended, WaiverExtension(e))
	}
	return entry
}

// accepts counts the findings that each waiver takes in.
func (d *Desk) accepts(ctx context.Context, a Ask, uid string, entries []WaiverEntry) error {
	counts, more, err := d.o.Store.Accepted(ctx, access(a), uid)
	for i := range entries {
		e := &entries[i]
		if e.RemovedAt != nil {
			continue
		}
		e.More = more
		at := slices.IndexFunc(counts, func(c store.Accepted) bool { return sameWaiver(c.Waiver, e.Waiver) })
		if at >= 0 { // of two that say the same, the first
			e.Accepts = counts[at].Findings
			counts = slices.Delete(counts, at, at+1)
		}
	}
	return err
}

func sameWaiver(a, b bailey.Waiver) bool {
	return a.Rule == b.Rule && a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name && a.Reason == b.Reason && a.Owner == b.Owner && a.Expires.Equal(b.Expires)
}

// InForce gives the waivers that were added here and count now, and those that have expired in the last
// ninety days and that nobody has ended, which reports tell of: of many the newest.
func (d *Desk) InForce(ctx context.Context, uid string) ([]bailey.Waiver, error) {
	var all []bailey.Waiver
	now, expired := d.o.Now(), 0
	err := eachKept(func(after string) (string, error) {
		page, err := d.o.Store.Waivers(ctx, store.WaiverQuery{Cluster: uid, Access: store.Everything(), EndsAfter: now.Add(-waiverTold), Limit: loadPage, After: after})
		for _, w := range page.Items {
			if !now.Before(w.Expires) {
				if expired++; expired > waiversMost {
					return "", nil
				}
			}
			all = append(all, w.Waiver)
		}
		return page.Next, err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return all, err
}

// room fails where as many waivers count as may.
func (d *Desk) room(ctx context.Context, uid string) error {
	kept, err := d.InForce(ctx, uid)
	if err != nil {
		return err
	}
	now, live := d.o.Now(), 0
	for _, w := range kept {
		if now.Before(w.Expires) {
			live++
		}
	}
	if live >= waiversMost {
		return badInput(fmt.Errorf("%d waivers count, and no more can: each is compared with every finding\nhint: end those that are not needed, or take several in by one with * in its names", live))
	}
	return nil
}

// AddWaiver accepts findings for a time.
func (d *Desk) AddWaiver(ctx context.Context, a Ask, by string, w bailey.Waiver) (id string, err error) {
	uid, err := d.cluster(a)
	if err != nil {
		return "", err
	}
	defer func() {
		target := strings.TrimSpace(strings.TrimSpace(w.Rule+" "+w.Kind) + " " + strings.Trim(w.Namespace+"/"+w.Name, "/"))
		if id != "" {
			target = id + ": " + target
		}
		d.Deeds.Did(ctx, uid, by, ActAddWaiver, target, err)
	}()
	if err := d.watched(uid); err != nil {
		return "", err
	}
	now := d.o.Now()
	if err := d.o.Valid(w); err != nil {
		return "", badInput(err)
	}
	if !w.Expires.After(now) {
		return "", badInput(errors.New("the waiver's end is past"))
	}
	if err := d.room(ctx, uid); err != nil {
		return "", err
	}
	id = newSecret()[:16]
	if err := d.o.Store.AddWaiver(ctx, uid, now, id, by, w); err != nil {
		return "", err
	}
	d.o.Changed(ctx)
	return id, nil
}

// EndWaiver ends a waiver.
func (d *Desk) EndWaiver(ctx context.Context, a Ask, by, id string) (err error) {
	uid, err := d.cluster(a)
	if err != nil {
		return err
	}
	defer func() { d.Deeds.Did(ctx, uid, by, ActEndWaiver, id, err) }()
	if err := d.watched(uid); err != nil {
		return err
	}
	if _, err := d.waiver(ctx, a, uid, id); err != nil { // what may not be seen is not ended
		return err
	}
	if err := d.o.Store.RemoveWaiver(ctx, uid, d.o.Now(), id, by); err != nil {
		return err
	}
	d.o.Changed(ctx)
	return nil
}

// ExtendWaiver puts off the end of a waiver, for a reason that is kept with who did it.
func (d *Desk) ExtendWaiver(ctx context.Context, a Ask, by, id, reason string, expires time.Time) (err error) {
	uid, err := d.cluster(a)
	if err != nil {
		return err
	}
	defer func() {
		d.Deeds.Did(ctx, uid, by, ActExtendWaiver, id+": until "+expires.UTC().Format(time.RFC3339)+": "+reason, err)
	}()
	if err := d.watched(uid); err != nil {
		return err
	}
	w, err := d.waiver(ctx, a, uid, id)
	if err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(reason) == "":
		return badInput(errors.New("say why the risk is accepted for longer"))
	case !expires.After(d.o.Now()):
		return badInput(errors.New("the waiver's end is past"))
	case w.State == "expired" && w.RemovedAt == nil: // it counts anew
		if err := d.room(ctx, uid); err != nil {
			return err
		}
	}
	err = d.o.Store.ExtendWaiver(ctx, uid, d.o.Now(), id, by, reason, expires)
	if errors.Is(err, store.ErrConflict) { // it was ended, ends later, or was extended too often: who repeats what was done is not told so
		return badInput(errors.New(strings.TrimSuffix(strings.TrimPrefix(err.Error(), "store: "), ": "+store.ErrConflict.Error())))
	}
	if err != nil {
		return err
	}
	d.o.Changed(ctx)
	return nil
}
