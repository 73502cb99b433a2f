package server

import (
	"context"
	"time"

	"github.com/baileyhq/bailey"
)

// Ask is what every question to the Desk bears: of which cluster, and what whoever asks may see.
type Ask struct {
	Cluster string // its UID; the server's own if empty
	Sees    Namespaces
	// Guards tells that whoever asks may see how far guards are, and what they would refuse.
	Guards bool
	// Shown reports whether whoever asks may see something of a cluster; nil: of the server's own alone.
	Shown func(ctx context.Context, uid string) (bool, error)
	// SeesOwn says what whoever asks sees of the server's own cluster, whichever is asked about; nil: Sees does.
	SeesOwn func(ctx context.Context) (Namespaces, error)
}

// FindingFilter narrows findings. The zero filter takes every open one, the worst first.
type FindingFilter struct {
	Control   string
	Rule      string
	Kind      bailey.Kind
	Namespace string
	Name      string
	// Least is the least severity.
	Least bailey.Severity
	// Text is looked for in messages, objects and rules.
	Text string
	// State is open, gone, waived (by a waiver or the baseline) or all; open if empty.
	State string
	// Since takes those that came or went since then.
	Since time.Time
	// Order is severity, newest or object; severity if empty.
	Order  string
	Cursor string
	// Limit is the size of a page: 50 if zero, at most 1000.
	Limit int
}

// WorkloadFilter narrows workloads.
type WorkloadFilter struct {
	Namespace string
	Kind      bailey.Kind
	Text      string
	Order     string // name (by namespace, kind and name) or findings (the worst, then the most); name if empty
	Cursor    string
	Limit     int
}
