package server

import "github.com/baileyhq/bailey/derive/detect"

// ownLeast is how many of Bailey's own requests are remembered at least.
const ownLeast = 20_000

// made reports whether Bailey made the request of an event.
func (d *Detector) made(e *detect.Event) bool {
	after, sealed := d.o.Hallmark.sealed(e)
	switch {
	case !sealed:
		return false
	case after.Abs() > idHolds:
		if !d.late {
			d.late = true
			d.o.Log.Warn("a request with an audit ID of Bailey's is judged like anybody's: it came at another time than the ID was made for; the clocks of this machine and the API server's differ, or somebody sent it again", "after", after)
		}
		return false
	}
	came, known, _ := d.own.PeekOrAdd(e.AuditID, e.Received)
	return !known || came.Equal(e.Received)
}
