package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// intent is what the ledger is about to be handed. It is in the journal before the
// ledger has it: of a sink that was killed in between, the ledger is asked which of
// these records it holds, and those count.
type intent struct {
	Number  uint64   `json:"n"`
	Account string   `json:"a"`
	FromLog bool     `json:"l,omitempty"`
	IDs     []string `json:"i"` // of the records
	Times   []int64  `json:"t"` // of their events, packed
	Own     []own    `json:"o,omitempty"`

	failed bool // the ledger gave an error, so that some of it may be stored
}

// own tells of the event of a request of ours, which the account knows by its ID.
type own struct {
	Place    int    `json:"p"` // among the intent's records
	AuditID  string `json:"id"`
	Stage    string `json:"s"`
	Received int64  `json:"r"`
}

// absent stands for the index of a record that the ledger has not got.
const absent = -1

// line is one of the journal: an intent, what became of one, or a break of the log.
type line struct {
	intent
	Done    uint64  `json:"d,omitempty"` // the intent's number
	Indexes []int64 `json:"x,omitempty"` // of its records, or absent
	Broken  bool    `json:"b,omitempty"` // the log of Account was interrupted
}

// whole reports whether an intent that was read makes sense.
func (in *intent) whole() bool {
	for _, o := range in.Own {
		if o.Place < 0 || o.Place >= len(in.IDs) {
			return false
		}
	}
	return in.Number > 0 && in.Account != "" && len(in.IDs) == len(in.Times)
}

// events are what the account is told of each record.
func (in *intent) events() []Event {
	events := make([]Event, len(in.Times))
	for i, packed := range in.Times {
		events[i].At = packed >> 1
		if packed&1 == 1 {
			events[i].Stage = stageReceived
		}
	}
	for _, o := range in.Own {
		e := &events[o.Place]
		e.AuditID, e.Stage, e.Received = o.AuditID, o.Stage, o.Received
	}
	return events
}

// append adds the intent's line. The many strings and numbers are written without
// encoding/json, since events come by the thousand a second.
func (in *intent) append(b []byte) ([]byte, error) {
	name, err := json.Marshal(in.Account)
	if err != nil {
		return nil, err
	}
	b = append(b, `{"n":`...)
	b = strconv.AppendUint(b, in.Number, 10)
	b = append(append(b, `,"a":`...), name...)
	if in.FromLog {
		b = append(b, `,"l":true`...)
	}
	b = append(b, `,"i":[`...)
	for i, id := range in.IDs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, id) // of printable ASCII, whose quoting is JSON's
	}
	b = appendNumbers(append(b, `],"t":`...), in.Times)
	if len(in.Own) > 0 {
		own, err := json.Marshal(in.Own)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"o":`...), own...)
	}
	return append(b, "}\n"...), nil
}

// appendDone adds the line that says what became of an intent.
func appendDone(b []byte, number uint64, indexes []int64) []byte {
	b = strconv.AppendUint(append(b, `{"d":`...), number, 10)
	return append(appendNumbers(append(b, `,"x":`...), indexes), "}\n"...)
}

func appendNumbers(b []byte, numbers []int64) []byte {
	b = append(b, '[')
	for i, n := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return append(b, ']')
}

// append writes a line. Whatever fails makes the journal useless until the next save.
func (s *state) append(line []byte) error {
	if _, err := s.journal.Write(line); err != nil {
		s.dirty = true
		return fmt.Errorf("the sink's journal: %w", err)
	}
	if s.size += int64(len(line)); s.size >= maxJournal {
		s.dirty = true // begun anew with the next line
	}
	return nil
}

// replay enters what the journal holds into the accounts.
func (s *state) replay(saved *savedState) error {
	f, err := os.Open(s.journalPath(saved.Journal))
	if errors.Is(err, fs.ErrNotExist) {
		if saved.Clean {
			return nil
		}
		saved.begin("the sink's journal is gone")
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return replayLines(f, saved)
}

// replayLines reads a journal. An intent of which it does not say what became of it
// stays pending.
func replayLines(r io.Reader, saved *savedState) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		text, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return nil // the last line was cut off, so that nothing was done after it
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err := saved.enter(&l); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
}

// maxLine bounds a line of the journal: a batch of the smallest events that one
// request can hold.
const maxLine = 256 << 20

func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			return nil, fmt.Errorf("it has more than %d bytes", maxLine)
		}
		text = append(text, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, err
		default:
			return bytes.TrimSpace(text), nil
		}
	}
}

// enter takes over a line of the journal.
func (saved *savedState) enter(l *line) error {
	switch {
	case l.Done > 0:
		in := saved.Pending[l.Done]
		if in == nil || len(in.IDs) != len(l.Indexes) {
			return fmt.Errorf("it ends %d, which was not begun so", l.Done)
		}
		delete(saved.Pending, l.Done)
		a := findAccount(&saved.Accounts, in.Account)
		in.count(&saved.Counted, l.Indexes, func(e *Event) { a.event(e, in.FromLog) })
	case l.Broken:
		a := findAccount(&saved.Accounts, l.Account)
		if a == nil {
			return errors.New("no account")
		}
		a.Breaks++
	default:
		if !l.whole() || saved.Pending[l.Number] != nil || findAccount(&saved.Accounts, l.Account) == nil {
			return errors.New("it is neither a beginning nor an end")
		}
		saved.Pending[l.Number] = &l.intent
	}
	return nil
}

// count calls enter for each event that was stored and has not been counted before,
// and says how many they were.
func (in *intent) count(counted *ranges, indexes []int64, enter func(*Event)) (n uint64) {
	events := in.events()
	for i, index := range indexes {
		if index >= 0 && counted.add(uint64(index)) {
			n++
			enter(&events[i])
		}
	}
	return n
}
