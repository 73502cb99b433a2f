package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Period is one key's time.
type Period struct {
	Name     string `json:"period"`
	Index    uint64 `json:"index"` // of its key entry
	Shredded bool   `json:"shredded,omitempty"`
	Current  bool   `json:"current,omitempty"`
}

// Shredded is what Shred did.
type Shredded struct {
	Periods []string
	Bodies  int // large records that were deleted
}

// Periods lists the periods, oldest first. It reads the whole log.
func (l *Log) Periods(ctx context.Context) ([]Period, error) {
	periods, _, err := l.survey(ctx, nil)
	return periods, err
}

// Shred destroys the keys of the periods whose names begin with prefix (a
// day is "20261125"): their records cannot be read any more by anybody who has no copy of the key.
// The log stays verifiable. Large records of these periods are deleted. The period that is being written is
// ended first if it is among them.
func (l *Log) Shred(ctx context.Context, prefix string) (Shredded, error) {
	if prefix == "" {
		return Shredded{}, errors.New("name a period, or how its name begins")
	}
	done, err := l.shred(ctx, func(p Period) bool { return strings.HasPrefix(p.Name, prefix) })
	if err == nil && len(done.Periods) == 0 {
		err = errors.New("no period has such a name\nhint: `bailey ledger periods` lists them")
	}
	return done, err
}

// ShredBefore destroys the keys of the periods that ended before a time. There may be none.
func (l *Log) ShredBefore(ctx context.Context, t time.Time) (Shredded, error) {
	periods, err := l.Periods(ctx)
	if err != nil {
		return Shredded{}, err
	}
	ended := map[uint64]bool{}
	later := false // some period after this one began before t, though the next may have begun with the clock ahead
	for _, p := range slices.Backward(periods) {
		ended[p.Index] = later && !p.Shredded
		start, err := time.Parse(periodLayout, p.Name)
		later = later || err == nil && !start.After(t)
	}
	return l.shred(ctx, func(p Period) bool { return ended[p.Index] })
}

func (l *Log) shred(ctx context.Context, chosen func(Period) bool) (Shredded, error) {
	var done Shredded
	if err := l.await(); err != nil {
		return done, err
	}
	periods, err := l.Periods(ctx)
	if err != nil {
		return done, err
	}
	var keys []Period
	for _, p := range periods {
		if !chosen(p) {
			continue
		}
		keys = append(keys, p)
		if p.Current {
			if _, err := l.Rotate(ctx); err != nil {
				return done, err
			}
		}
		if !p.Shredded {
			// The log hears of it first: a key that is gone and not announced would be damage.
			data, err := jsonEntry(kindShred, shredEntry{p.Name, p.Index, l.now().UTC().Format(time.RFC3339)})
			if err != nil {
				return done, err
			}
			if _, err := l.addControl(ctx, data); err != nil {
				return done, err
			}
		}
	}
	if len(keys) == 0 {
		return done, nil
	}
	// Verification believes signed announcements only.
	if err := l.confirm(ctx, l.Size()-1); err != nil {
		return done, err
	}
	doomed := map[uint64]bool{}
	for _, p := range keys {
		if err := remove(filepath.Join(l.dir, wrappedPath(p.Name))); err != nil {
			return done, err
		}
		doomed[p.Index] = true
		done.Periods = append(done.Periods, p.Name)
	}
	_, done.Bodies, err = l.survey(ctx, doomed)
	return done, err
}

// survey reads the log for its periods and deletes the large records of the doomed ones.
func (l *Log) survey(ctx context.Context, doomed map[uint64]bool) (periods []Period, deleted int, err error) {
	t := l.integrated()
	at := map[uint64]int{}
	for bundle := uint64(0); bundle*tileWidth < t.size; bundle++ {
		if err := ctx.Err(); err != nil {
			return nil, deleted, err
		}
		entries, name, err := t.entries(bundle)
		if err != nil {
			return nil, deleted, err
		}
		for i, data := range entries {
			index := bundle*tileWidth + uint64(i)
			e, err := parseEntry(data)
			if err != nil {
				return nil, deleted, fmt.Errorf("%s: entry %d: %w", name, index, err)
			}
			switch e.kind {
			case kindKey:
				at[index] = len(periods)
				periods = append(periods, Period{Name: e.newKey.Period, Index: index})
			case kindShred:
				if i, ok := at[e.shred.Key]; ok {
					periods[i].Shredded = true
				}
			case kindBody:
				if !doomed[e.key] {
					continue
				}
				err := os.Remove(filepath.Join(l.dir, bodyPath(e.bodySum)))
				if err == nil {
					deleted++
				} else if !os.IsNotExist(err) {
					return nil, deleted, err
				}
			}
		}
	}
	if p := l.period.Load(); p != nil {
		if i, ok := at[p.Index]; ok {
			periods[i].Current = true
		}
	}
	return periods, deleted, nil
}
