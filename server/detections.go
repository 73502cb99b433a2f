package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/store"
)

const (
	detectionKey = "detection/"
	// suspicious is the least severity of detections that somebody is told of: what ordinary work
	// raises is below it (docs/detections.md).
	suspicious = bailey.SeverityMedium
	// detectionHold is how long nothing more must be seen of a detection for its alert to be over.
	detectionHold = time.Hour
	// callersMost is how many callers of one detection, by namespace, get an alert each; what more
	// do is one alert, so that nobody drowns it in alerts about names of his choice.
	callersMost = 20
	// objectsMost bounds the objects that are kept of one alert: callers choose their names.
	objectsMost = 50
	// auditIDMost bounds an audit ID, in bytes: callers may choose theirs.
	auditIDMost = 64
	// agentMost bounds a User-Agent, in bytes.
	agentMost = 100
	// keyMost bounds a key, in bytes: callers choose parts of it.
	keyMost = 300
)

// detections turns what detections tell into alerts: one for each detection, caller and namespace,
// while it goes on. It is pure: no store, no clock.
type detections struct {
	open map[string]*lasting
}

// seenOf is what is kept of the requests that an alert is about.
type seenOf struct {
	// AuditID and Last tell the last request: that it was taken in, where it is read once more.
	AuditID string    `json:"auditID"`
	Last    time.Time `json:"last"`
	// Told is when it was last told of here, which may be long after it came in.
	Told time.Time `json:"told"`
	// Count counts what was told of, Through those of it that were not refused or dry runs.
	Count   int `json:"count"`
	Through int `json:"through"`
}

// take says what changes with what was told, in the order of its time.
func (d *detections) take(told []detect.Alert, at time.Time) []alertChange {
	changed := map[string]bool{} // whether loudly
	var order []string
	for i := range told {
		a := &told[i]
		if a.Severity < suspicious {
			continue
		}
		key := d.keyOf(a)
		loud := d.note(key, a, at)
		if _, known := changed[key]; !known {
			order = append(order, key)
		}
		changed[key] = changed[key] || loud
	}
	var changes []alertChange
	for _, key := range order {
		l := d.open[key]
		act := alertRevise
		if changed[key] {
			act, l.told = alertRaise, at
		}
		changes = append(changes, alertChange{act, l.alert})
	}
	return changes
}

// keyOf gives the key of the alert that takes it in.
func (d *detections) keyOf(a *detect.Alert) string {
	all := detectionKey + a.Detection
	key := all + "/" + a.Who() + "/" + a.Namespace
	if len(key) > keyMost {
		sum := sha256.Sum256([]byte(key))
		key = all + "/" + hex.EncodeToString(sum[:16])
	}
	if d.open[key] != nil {
		return key
	}
	callers := 0
	for open := range d.open {
		if strings.HasPrefix(open, all+"/") {
			callers++
		}
	}
	if callers >= callersMost {
		return all
	}
	return key
}

// note takes one in, and says whether somebody is to be told: of what is new, of what got through
// when nothing had, and of what goes on after an hour.
func (d *detections) note(key string, a *detect.Alert, at time.Time) (loud bool) {
	l := d.open[key]
	if l == nil {
		l = &lasting{doc: alertDoc{Since: at, Seen: &seenOf{}}}
		d.open[key], loud = l, true
	}
	s := l.doc.Seen
	id := clip(a.AuditIDs[len(a.AuditIDs)-1], auditIDMost)
	if s.AuditID == id && s.Last.Equal(a.Time) {
		return loud // it was kept before, and is read once more
	}
	through := !a.Refused && !a.DryRun
	loud = loud || through && s.Through == 0 || at.Sub(l.told) >= tellAgain
	s.AuditID, s.Last, s.Told = id, a.Time, at
	s.Count++
	if through {
		s.Through++
	}
	if object := a.Object(); object != "" && len(l.doc.Members) < objectsMost {
		l.doc.join([]string{object})
	}
	who := a.Who()
	if key == detectionKey+a.Detection {
		who = "many callers, of whom the last is " + who
	}
	l.alert = store.Alert{Key: key, Kind: store.AlertDetection, Severity: a.Severity, Title: titleOf(a.Title, s), Text: clip(s.text(who, a, l.doc.Members), alertTextMost), Doc: l.doc.text()}
	return loud
}

// titleOf says what was detected, and that nothing of it got through.
func titleOf(title string, s *seenOf) string {
	if s.Through == 0 {
		return title + " (nothing got through)"
	}
	return title
}

// text is one line on what happened last, and one on how often.
func (s *seenOf) text(who string, a *detect.Alert, objects []string) string {
	text := fmt.Sprintf("%s: %s, %s, at %s, from %s with %q (audit ID %s).", who, a.What(), a.How(), a.Time.UTC().Format(time.RFC3339), a.From(), clip(a.UserAgent, agentMost), s.AuditID)
	if s.Count > 1 {
		text += fmt.Sprintf(" %d times so far, %d let through.", s.Count, s.Through)
	}
	if len(objects) > 0 {
		text += " About " + someOf(objects) + "."
	}
	return text
}

// rest ends what has not been seen for long enough.
func (d *detections) rest(at time.Time) []alertChange {
	var changes []alertChange
	for _, key := range slices.Sorted(maps.Keys(d.open)) {
		if l := d.open[key]; at.Sub(l.doc.Seen.Told) >= detectionHold {
			changes = append(changes, alertChange{alertEnd, l.alert})
			delete(d.open, key)
		}
	}
	return changes
}
