package prove

import (
	"context"
	"time"
)

// noticeLimit bounds the wait for a detection.
const noticeLimit = 30 * time.Second

// Watcher is somebody who should notice attacks: Bailey's own detections over the
// audit log, or the team's alerting.
type Watcher interface {
	// Name says who it is: "audit log", "Alertmanager".
	Name() string
	// Await waits until one of the requests with these audit IDs, or anything that
	// bears the correlation ID, was noticed as one of the detections, and gives when.
	// Found is false where ctx ended first. Blind says why it could not have been
	// noticed at all, such as an audit policy that records too little.
	Await(ctx context.Context, correlation string, auditIDs, detections []string, since time.Time) (at time.Time, found bool, blind string, err error)
}

// Detected is whether one watcher noticed the tries of a probe.
type Detected struct {
	By      string  `json:"by"`
	Found   bool    `json:"found"`
	AfterMS float64 `json:"afterMilliseconds,omitempty"` // from the first try
	Blind   string  `json:"blind,omitempty"`
	Failure string  `json:"failure,omitempty"`
}

// notice awaits the detections of what a unit tried.
func (r *run) notice(ctx context.Context, record *Record) {
	if len(record.Unit.Experiment.Detections) == 0 || len(r.o.Watchers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noticeLimit)
	defer cancel()
	for i := range record.Results {
		names := record.Unit.Probes[i].Detections
		if names == nil {
			names = record.Unit.Experiment.Detections
		}
		if len(names) == 0 {
			continue
		}
		var ids []string
		var since time.Time
		for _, e := range record.Exchanges {
			if e.Probe == i && e.Role == "try" && e.AuditID != "" {
				if since.IsZero() {
					since = e.At
				}
				ids = append(ids, e.AuditID)
			}
		}
		if len(ids) == 0 {
			continue
		}
		for _, w := range r.o.Watchers {
			d := Detected{By: w.Name()}
			at, found, blind, err := w.Await(ctx, record.Correlation, ids, names, since)
			switch {
			case err != nil:
				d.Failure = err.Error()
			case found:
				d.Found, d.AfterMS = true, float64(at.Sub(since).Microseconds())/1000
			default:
				d.Blind = blind
			}
			record.Results[i].Detected = append(record.Results[i].Detected, d)
		}
		record.Results[i].respond()
	}
}
