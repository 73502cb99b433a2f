package server

import (
	"time"

	"github.com/baileyhq/bailey"
)

// What pages and endpoints show. Both take these from a Desk, so that they say the same.

// Object names an object, with the version it was read in where that is known.
type Object struct {
	APIVersion string      `json:"apiVersion,omitempty"`
	Kind       bailey.Kind `json:"kind"`
	Namespace  string      `json:"namespace,omitempty"`
	Name       string      `json:"name"`
}

// Ref is the object's reference.
func (o Object) Ref() bailey.Ref {
	return bailey.Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

// Counts are open findings by severity.
type Counts struct {
	Critical int `json:"critical"`
	High     int `json:"high"`
	Medium   int `json:"medium"`
	Low      int `json:"low"`
	Info     int `json:"info"`
}

// Total is the number of findings.
func (c Counts) Total() int { return c.Critical + c.High + c.Medium + c.Low + c.Info }

// Add counts n findings of a severity.
func (c *Counts) Add(s bailey.Severity, n int) {
	switch s {
	case bailey.SeverityCritical:
		c.Critical += n
	case bailey.SeverityHigh:
		c.High += n
	case bailey.SeverityMedium:
		c.Medium += n
	case bailey.SeverityLow:
		c.Low += n
	default:
		c.Info += n
	}
}

// Finding is something wrong with an object.
type Finding struct {
	ID       string          `json:"id"`
	Control  string          `json:"control"`
	Rule     string          `json:"rule"`
	Title    string          `json:"title"`
	Severity bailey.Severity `json:"severity"`
	Base     bailey.Severity `json:"base,omitzero"`
	Factors  []string        `json:"factors,omitempty"` // what raised or lowered it, in words
	Object   Object          `json:"object"`
	Cause    *Object         `json:"cause,omitempty"`
	Related  []Object        `json:"related,omitempty"`
	Field    string          `json:"field,omitempty"`
	Message  string          `json:"message"`
	File     string          `json:"file,omitempty"`
	Line     int             `json:"line,omitempty"`
	// Fix is what to change, as text to read, and Command the kubectl command that does it.
	Fix     string         `json:"fix,omitempty"`
	Command string         `json:"command,omitempty"`
	Note    string         `json:"note,omitempty"` // what a person must decide first
	Waiver  *bailey.Waiver `json:"waiver,omitempty"`
	// Baseline tells that a baseline accepts it.
	Baseline bool       `json:"baseline,omitempty"`
	First    time.Time  `json:"first"`
	Opened   time.Time  `json:"opened"`
	Last     time.Time  `json:"last"`
	Gone     *time.Time `json:"gone,omitempty"`
	Times    int        `json:"times"` // how often it came
}

// FindingPage is one page of findings.
type FindingPage struct {
	Findings []Finding `json:"findings"`
	// Next is the cursor of the next page; empty on the last.
	Next string `json:"next,omitempty"`
	// Total counts all that the filter lets through, by severity; at least so many if More.
	Total Counts `json:"total"`
	// More tells that there may be more than Total counts.
	More bool `json:"more,omitempty" doc:"total is a lower bound: there may be more than it counts"`
}

// Rungs counts scopes by the rung they stand on.
type Rungs struct {
	Gap     int `json:"gap"`
	Unknown int `json:"unknown"`
	Sound   int `json:"sound"`
	Guarded int `json:"guarded"`
	Proven  int `json:"proven"`
}

// Add counts n scopes on a rung.
func (r *Rungs) Add(rung bailey.Rung, n int) {
	if at := r.at(rung); at != nil {
		*at += n
	}
}

// On is how many scopes were counted on a rung.
func (r *Rungs) On(rung bailey.Rung) int {
	if at := r.at(rung); at != nil {
		return *at
	}
	return 0
}

func (r *Rungs) at(rung bailey.Rung) *int {
	switch rung {
	case bailey.RungGap:
		return &r.Gap
	case bailey.RungUnknown:
		return &r.Unknown
	case bailey.RungSound:
		return &r.Sound
	case bailey.RungGuarded:
		return &r.Guarded
	case bailey.RungProven:
		return &r.Proven
	}
	return nil
}

// Proof is what experiments showed.
type Proof struct {
	Held  int       `json:"held"`
	Tried int       `json:"tried"`
	At    time.Time `json:"at,omitzero"`
	// Bound is the failure rate that may have stayed unseen, at 95 % confidence.
	Bound  float64  `json:"bound"`
	Broken []string `json:"broken,omitempty"`
}

// Standing is where one control stands.
type Standing struct {
	Control  string      `json:"control"`
	Asks     string      `json:"asks"`
	Rung     bailey.Rung `json:"rung"`
	Since    time.Time   `json:"since,omitzero"`
	Findings Counts      `json:"findings"`
	// WaivedUntil is set when every finding is waived.
	WaivedUntil *time.Time `json:"waivedUntil,omitempty"`
	Seen        int        `json:"seen"` // of Needed facts
	Needed      int        `json:"needed"`
	Missing     []string   `json:"missing,omitempty"` // what was not seen, and what to do
	Proof       *Proof     `json:"proof,omitempty"`
	Next        string     `json:"next,omitempty"` // what would change the verdict
	Scopes      Rungs      `json:"scopes"`         // of its namespaces, workloads, ...
}

// Lane is one phase of the life cycle, with its controls in the order of the catalogue.
type Lane struct {
	Name      string     `json:"name"` // develop, distribute, deploy, access, compute, storage, network, observe
	Phase     string     `json:"phase"`
	Standings []Standing `json:"controls"`
}

// RungChange is a control that moved on the ladder.
type RungChange struct {
	At      time.Time    `json:"at"`
	Control string       `json:"control"`
	Scope   bailey.Scope `json:"scope"`
	From    *bailey.Rung `json:"from,omitempty"` // nil where the scope is new
	To      *bailey.Rung `json:"to,omitempty"`   // nil where it is gone
	Why     string       `json:"why,omitempty"`
}

// FixFirst is one change that puts much right.
type FixFirst struct {
	Rule     string          `json:"rule"`
	Title    string          `json:"title"`
	Severity bailey.Severity `json:"severity"`
	Object   Object          `json:"object"`
	Findings int             `json:"findings"`
	Message  string          `json:"message"`
	Fix      string          `json:"fix,omitempty"`
	Finding  string          `json:"finding"` // the ID of the first
}

// Day is what one day showed of experiments.
type Day struct {
	Date         string `json:"date"` // 2026-11-26, UTC
	Held         int    `json:"held"`
	Broken       int    `json:"broken"`
	Inconclusive int    `json:"inconclusive"`
}

// ClusterInfo is a cluster that is watched, or that pushes.
type ClusterInfo struct {
	UID   string    `json:"uid"`
	Name  string    `json:"name"`
	Heard time.Time `json:"heard,omitzero"`
	Own   bool      `json:"own"` // watched by this server itself
}

// Overview is the first page.
type Overview struct {
	Cluster ClusterInfo  `json:"cluster"`
	Sight   Sight        `json:"sight"`
	Lanes   []Lane       `json:"lanes"`
	Rungs   Rungs        `json:"rungs"` // of the controls
	Counts  Counts       `json:"findings"`
	Changed []RungChange `json:"changed"` // since yesterday, the newest first
	First   []FixFirst   `json:"fixFirst"`
	Seen    int          `json:"seen"`
	Needed  int          `json:"needed"`
	Missing []string     `json:"missing,omitempty"`
	Proofs  []Day        `json:"proofs"` // of the last 30 days, the oldest first
}

// RuleInfo is a rule of a control with what it found.
type RuleInfo struct {
	ID         string             `json:"id"`
	Title      string             `json:"title"`
	Doc        string             `json:"doc"` // Markdown
	Severity   bailey.Severity    `json:"severity"`
	References []bailey.Reference `json:"references,omitempty"`
	Findings   Counts             `json:"findings"`
	Fixable    bool               `json:"fixable"`
}

// GuardInfo is a guard and how far it is in place.
type GuardInfo struct {
	Control string `json:"control"`
	Name    string `json:"name"`
	Title   string `json:"title"`
	Doc     string `json:"doc"`
	OptIn   string `json:"optIn,omitempty"`
	// Changes names what would be written to put it in place: objects, or settings of components.
	Changes []string `json:"changes,omitempty"`
	// Stages are the places that the guard was planned for; none if nobody looked yet, or they may
	// not be seen.
	Stages []GuardStage `json:"stages,omitempty"`
}

// GuardStage is how far a guard is in place for one scope.
type GuardStage struct {
	Scope   bailey.Scope `json:"scope"`
	Stage   string       `json:"stage"` // absent, audit, warn, deny, in place
	Why     string       `json:"why,omitempty"`
	Drifted bool         `json:"drifted"`
	Since   time.Time    `json:"since,omitzero"`
	// Impact is what it would do to what is there; nil where nobody computed it.
	Impact *GuardImpact `json:"impact,omitempty"`
}

// GuardImpact is what a guard that denies would do to what is there now.
type GuardImpact struct {
	At      time.Time `json:"at,omitzero"`
	Judged  int       `json:"judged"`
	Refused int       `json:"refused"`
	Altered int       `json:"altered"` // by mutating policies
	// Examples are the first of the refused, at most 10.
	Examples []Object `json:"examples,omitempty"`
	// Unknown says what keeps the impact from being known whole; empty if nothing does.
	Unknown string `json:"unknown,omitempty"`
}

// ControlPage is everything about one control.
type ControlPage struct {
	Standing
	Doc         string             `json:"doc"` // Markdown
	References  []bailey.Reference `json:"references,omitempty"`
	ScopeKind   bailey.ScopeKind   `json:"scopeKind"`
	Unprovable  string             `json:"unprovable,omitempty"`
	Rules       []RuleInfo         `json:"rules"`
	Guards      []GuardInfo        `json:"guards"`
	Experiments []ExperimentInfo   `json:"experiments"`
	Worst       []Finding          `json:"worst"`   // the ten worst open findings
	Changes     []RungChange       `json:"changes"` // the newest 50
	ChangesMore bool               `json:"changesMore" doc:"there are older ones: /changes lists them"`
	// ScopesLow are those for which it is a gap or unknown, the lowest first, at most 100.
	ScopesLow     []ScopeStanding `json:"scopesLow"`
	ScopesLowMore bool            `json:"scopesLowMore" doc:"there are more: /controls/{area}/{name}/scopes lists them"`
}

// ScopeStanding is where a control stands for one scope.
type ScopeStanding struct {
	Control  string       `json:"control"`
	Scope    bailey.Scope `json:"scope"`
	Rung     bailey.Rung  `json:"rung"`
	Since    time.Time    `json:"since,omitzero"`
	Findings int          `json:"findings"`
	// WaivedUntil is set when every finding is waived: the earliest end.
	WaivedUntil *time.Time `json:"waivedUntil,omitempty"`
	Proof       *Proof     `json:"proof,omitempty"`
	Next        string     `json:"next,omitempty"`
}

// WorkloadRow is a workload in a list.
type WorkloadRow struct {
	Object   Object `json:"object"`
	Findings Counts `json:"findings"`
	Rungs    Rungs  `json:"rungs"`
}

// WorkloadList is a page of workloads, the worst first.
type WorkloadList struct {
	Workloads []WorkloadRow `json:"workloads"`
	Next      string        `json:"next,omitempty"`
}

// WorkloadPage is everything about one object.
type WorkloadPage struct {
	Object Object `json:"object"`
	Counts Counts `json:"counts"` // of the open ones that nobody accepted
	// Findings are those that nobody accepted first, then those of waivers and the baseline.
	Findings  []Finding       `json:"findings"`
	Standings []ScopeStanding `json:"standings"`
	Evidence  []Evidence      `json:"evidence"`
	Changes   []RungChange    `json:"changes"`
	// Guards are those of the controls that stand for it, with the stages that count for it alone.
	Guards []GuardInfo `json:"guards,omitempty"`
	// Alerts are those that last, of it or of its namespace, the newest first.
	Alerts []Alert `json:"alerts,omitempty"`
	// Command shows the object by kubectl; empty where no API server has it.
	Command string `json:"command,omitempty"`
}

// NamespaceRow is one namespace beside the others.
type NamespaceRow struct {
	Name     string `json:"name"`
	Findings Counts `json:"findings"`
	Rungs    Rungs  `json:"rungs"` // of the controls that stand for namespaces or workloads
	// Controls is the rung of each such control here.
	Controls map[string]bailey.Rung `json:"controls"`
}

// Alert is something that somebody should look at.
type Alert struct {
	Key      string          `json:"key"`
	Kind     string          `json:"kind"` // detection, finding, ledger, rung or staleness
	Severity bailey.Severity `json:"severity"`
	Title    string          `json:"title"`
	Text     string          `json:"text,omitempty"`
	// Control and Rule are set where it is about one.
	Control string  `json:"control,omitempty"`
	Rule    string  `json:"rule,omitempty"`
	Object  *Object `json:"object,omitempty"`
	// First is when it first came, Since when it last came, and Last when it was last raised.
	First    time.Time  `json:"first"`
	Since    time.Time  `json:"since"`
	Last     time.Time  `json:"last"`
	Count    int        `json:"count"`
	Resolved *time.Time `json:"resolved,omitempty"`
	// Delivered is when a receiver outside was last told of it.
	Delivered *time.Time `json:"delivered,omitempty"`
}

// WaiverEntry is a waiver with who added and ended it.
type WaiverEntry struct {
	ID string `json:"id,omitempty"`
	bailey.Waiver
	AddedBy   string     `json:"addedBy"`
	AddedAt   time.Time  `json:"addedAt"`
	RemovedBy string     `json:"removedBy,omitempty"`
	RemovedAt *time.Time `json:"removedAt,omitempty"`
	// Extended is how its end was put off, the first time first.
	Extended []WaiverExtension `json:"extended,omitempty"`
	State    string            `json:"state"` // active, expiring, expired or ended
	// Configured tells one that the configuration's file holds, which only that file ends.
	Configured bool `json:"configured,omitempty"`
	// Accepts counts the findings that it takes in now.
	Accepts int `json:"accepts"`
	// More tells that it may take in more than was counted.
	More bool `json:"more,omitempty" doc:"it may take in more than accepts"`
}

// WaiverExtension is how the end of a waiver was put off.
type WaiverExtension struct {
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	From    time.Time `json:"from"` // when it would have ended
	Expires time.Time `json:"expires"`
	Reason  string    `json:"reason"`
}

// Hit is something that a search found.
type Hit struct {
	Kind string `json:"kind"` // control, rule, experiment, object, finding, alert, waiver or run
	ID   string `json:"id"`
	Text string `json:"text"`
	// Object is set of objects, findings and alerts that are about one.
	Object *Object `json:"object,omitempty"`
}

// LedgerFilter narrows and sorts the entries of the ledger. The zero filter takes all, the newest first.
type LedgerFilter struct {
	// Kind is record, key or shred; all if empty.
	Kind string
	// Control takes records about one control, of those that this server can open.
	Control string
	// Text is looked for in control, experiment, verdict, period and ID.
	Text string
	// Since and Until take what was made from one moment up to, not with, another. When a
	// sealed record was made is not known, and it passes neither.
	Since, Until time.Time
	Order        string // newest or oldest; newest if empty
	Cursor       string
	Limit        int
}

// LedgerPage is a page of the ledger's entries, with what is needed to verify it.
type LedgerPage struct {
	Origin  string        `json:"origin"`
	Key     string        `json:"key"`  // of the log, as C2SP signed notes write it
	Size    uint64        `json:"size"` // of the newest signed checkpoint
	Entries []LedgerEntry `json:"entries"`
	// Next is the cursor of the next page, which may hold more even where this one holds nothing:
	// so many entries are looked at for one page.
	Next string `json:"next,omitempty"`
	// Problem says what is wrong with the ledger; empty if nothing is known to be.
	Problem string `json:"problem,omitempty"`
}

// LedgerState says how the ledger is. It names no object of any cluster.
type LedgerState struct {
	// Appending tells that evidence is recorded.
	Appending bool   `json:"appending"`
	Size      uint64 `json:"size"` // of the newest signed checkpoint
	// Verified is when all of it was verified last; nil if it was not since the start.
	Verified *time.Time `json:"verified,omitempty"`
	// Problem says why nothing is recorded, or what was found to be damaged, which Damaged tells.
	Problem string `json:"problem,omitempty"`
	Damaged bool   `json:"damaged,omitempty"`
}

// GateState says what the admission gate does that runs beside the server. It names no object.
type GateState struct {
	// Mode is "warn" (it lets everything through) or "enforce" (it refuses what it objects to).
	Mode string `json:"mode"`
	// Asked tells that the API server is known to ask it, and Why what stands against that.
	Asked bool   `json:"asked"`
	Why   string `json:"why,omitempty"`
	// Deviations counts in how many ways its webhook configuration lets more through than it
	// should, which its log names.
	Deviations int `json:"deviations"`
	// Judged counts the requests since the start, dry-runs among them, and Objected those of
	// them that it refused, or warned of.
	Judged   int `json:"judged"`
	Objected int `json:"objected"`
}

// Uncounted is what of it everybody may know who sees something of the cluster: whether it is asked, and what it does then.
func (g *GateState) Uncounted() *GateState {
	if g == nil {
		return nil
	}
	return &GateState{Mode: g.Mode, Asked: g.Asked}
}

// LedgerEntry is one entry of the ledger. What a record says is known only where this server
// holds an identity that opens it.
type LedgerEntry struct {
	Index  uint64 `json:"index"`
	Kind   string `json:"kind"` // record, key or shred
	Period string `json:"period"`
	Bytes  int    `json:"bytes"`
	// Sealed tells that the record was not opened; then what follows is empty.
	Sealed     bool      `json:"sealed,omitempty"`
	At         time.Time `json:"at,omitzero"`
	ID         string    `json:"id,omitempty"`
	Control    string    `json:"control,omitempty"`
	Experiment string    `json:"experiment,omitempty"`
	Verdict    string    `json:"verdict,omitempty"` // held, broken or inconclusive
}
