package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/baileyhq/bailey"
)

// Decision is a request and what it came to: a record of the decision log.
type Decision struct {
	Type      string          `json:"type"` // "gate-decision"
	Time      time.Time       `json:"time"` // by the gate's clock
	Gate      string          `json:"gate"` // the replica
	UID       string          `json:"uid"`  // of the admission request
	Webhook   string          `json:"webhook"`
	Decision  outcome         `json:"decision"`
	Reason    string          `json:"reason,omitempty"` // as the requester was told
	Policy    string          `json:"policy"`           // revision of the trust policy
	Operation string          `json:"operation"`
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name,omitempty"`
	User      string          `json:"user"`
	Images    []ImageDecision `json:"images,omitempty"` // those that the request brings in
	Grant     string          `json:"grant,omitempty"`  // a break-glass grant that was made

	// By rules: what the object would add, what could not be judged, and when the cluster
	// was read.
	Findings []RuleFinding `json:"findings,omitempty"`
	Unjudged []string      `json:"unjudged,omitempty"`
	Waived   []string      `json:"-"` // as the requester is told of findings that a waiver holds back
	Snapshot time.Time     `json:"snapshot,omitzero"`

	// against is what speaks against the request, one thing each, as Reason has it.
	against []string
	patch   []patchOp
}

// ImageDecision is what one image came to.
type ImageDecision struct {
	Image    string  `json:"image"` // as it is written
	Digest   string  `json:"digest,omitempty"`
	Place    string  `json:"place"`
	Decision outcome `json:"decision"`
	By       string  `json:"by,omitempty"`    // who vouches for it
	Grant    string  `json:"grant,omitempty"` // or the break-glass grant
	Rule     string  `json:"rule,omitempty"`  // of the trust policy, that it failed
	Reason   string  `json:"reason,omitempty"`
	Hint     string  `json:"-"`
}

// RuleFinding is a finding that a request would add.
type RuleFinding struct {
	Rule     string          `json:"rule"`
	Severity bailey.Severity `json:"severity"`
	Object   string          `json:"object"`
	Field    string          `json:"field,omitempty"`
	Message  string          `json:"message"`
	// Waiver is the one that takes it in. Where that has expired the finding refuses.
	Waiver *RuleWaiver `json:"waiver,omitempty"`
}

// RuleWaiver is a waiver of the operator's.
type RuleWaiver struct {
	Rule    string    `json:"rule"`
	Owner   string    `json:"owner"`
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires"`
}

// patchOp is an operation of JSON Patch.
type patchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func (d *Decision) about(r *admissionv1.AdmissionRequest, now time.Time) {
	d.Type, d.Time, d.UID = "gate-decision", now.UTC(), short(string(r.UID))
	d.Operation, d.Kind, d.Namespace, d.Name, d.User = short(string(r.Operation)), short(r.Kind.Kind), short(r.Namespace), short(r.Name), short(r.UserInfo.Username)
	if r.SubResource != "" {
		d.Kind += "/" + short(r.SubResource)
	}
}

func (d *Decision) refuse(o outcome, reason string) *Decision {
	d.Decision, d.Reason, d.against = o, reason, []string{reason}
	return d
}

// pinned writes the digests into the patch.
func (d *Decision) pinned(images []usedImage, pins []string) {
	for i, text := range pins {
		if text != "" {
			d.patch = append(d.patch, patchOp{"replace", images[i].pointer, text})
		}
	}
}

// Record is a decision on its way into the ledger.
type Record struct {
	ID   string
	Data json.RawMessage
}

const (
	recordQueue = 8192 // decisions that wait; one is about 1 KB
	recordBatch = 512
	// recordGather is how long the first of a batch waits for others: nobody waits for
	// them, and each write costs the disk and the processor the same.
	recordGather = 250 * time.Millisecond
)

// Recorder writes decisions into a ledger, beside the requests: no request waits for the
// disk but those that break-glass admits. When the ledger cannot keep up, decisions are
// lost, counted, and their number is a record of its own.
type Recorder struct {
	append  func(context.Context, []Record) error
	replica string
	log     *slog.Logger
	queue   chan Record
	done    chan struct{}
	unsaid  atomic.Int64 // lost decisions that no record tells of yet
	metrics atomic.Pointer[metrics]
}

// NewRecorder starts a recorder over a function that returns once all records are on the
// disk. The replica's name tells the records of several gates apart.
func NewRecorder(replica string, log *slog.Logger, append func(context.Context, []Record) error) *Recorder {
	r := &Recorder{append: append, replica: replica, log: log, queue: make(chan Record, recordQueue), done: make(chan struct{})}
	go r.run()
	return r
}

func (r *Recorder) name() string {
	if r == nil {
		return ""
	}
	return r.replica
}

func (r *Recorder) waiting() float64 {
	if r == nil {
		return 0
	}
	return float64(len(r.queue))
}

func (r *Recorder) put(record Record) {
	select {
	case r.queue <- record:
	default:
		r.lose(1)
	}
}

func (r *Recorder) lose(n int) {
	r.unsaid.Add(int64(n))
	if m := r.metrics.Load(); m != nil {
		m.lost.Add(float64(n))
	}
}

func (r *Recorder) wrote(n int) {
	if m := r.metrics.Load(); m != nil {
		m.recorded.Add(float64(n))
	}
}

// must returns once the record is on the disk.
func (r *Recorder) must(ctx context.Context, record Record) error {
	err := r.append(ctx, []Record{record})
	if err == nil {
		r.wrote(1)
	}
	return err
}

func (r *Recorder) run() {
	defer close(r.done)
	for first := range r.queue {
		batch, late := []Record{first}, time.NewTimer(recordGather)
	gather:
		for len(batch) < recordBatch {
			select {
			case next, open := <-r.queue:
				if !open {
					break gather
				}
				batch = append(batch, next)
			case <-late.C:
				break gather
			}
		}
		late.Stop()
		lost := r.unsaid.Swap(0)
		if lost > 0 {
			batch = append(batch, r.gap(lost))
		}
		if err := r.append(context.Background(), batch); err != nil {
			r.unsaid.Add(lost)
			n := len(batch)
			if lost > 0 {
				n--
			}
			r.lose(n)
			r.log.Error("decisions could not be written into the ledger", "lost", n, "error", err)
			continue
		}
		r.wrote(len(batch))
	}
}

func (r *Recorder) gap(lost int64) Record {
	now := time.Now().UTC()
	data, _ := json.Marshal(map[string]any{"type": "gate-decisions-lost", "time": now, "gate": r.replica, "lost": lost}) // of strings and numbers
	return Record{ID: fmt.Sprintf("gate/lost/%s/%d", r.replica, now.UnixNano()), Data: data}
}

// Close writes what waits. No request may be judged any more.
func (r *Recorder) Close(ctx context.Context) error {
	close(r.queue)
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("%d decisions were not written into the ledger: %w", len(r.queue), ctx.Err())
	}
	if lost := r.unsaid.Load(); lost > 0 {
		return errors.Join(fmt.Errorf("%d decisions were not written into the ledger", lost), r.append(ctx, []Record{r.gap(lost)}))
	}
	return nil
}
