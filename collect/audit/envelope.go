package audit

import (
	"bytes"
	"slices"
)

// envelope takes in the bytes of one event that is longer than a line may be, and keeps what of it
// is not the content of the answer, nor, where that is still too long, of what was sent: an object or
// list of those is empty then. What is kept is never longer than what was taken in, so that both may
// share one buffer. It checks nothing: what is no JSON comes out as something that is none, either.
type envelope struct {
	kept []byte
	most int // bytes that are kept
	// cut tells that what was sent is not kept, and over that what is left is too long as well.
	cut, over bool

	depth           int
	quoted, escaped bool
	value           bool // after the colon of a member of the event itself
	begun           int  // where in kept its key begins
	key             []byte
	body            body
	sent, upto      int // where in kept the content of what was sent begins and ends
	drop            bool
}

// body is which content is being read.
type body int

const (
	noBody body = iota
	sentBody
	answerBody
)

var bodies = map[string]body{"requestObject": sentBody, "responseObject": answerBody}

// take takes in the next bytes.
func (e *envelope) take(part []byte) {
	for _, c := range part {
		if e.over {
			return
		}
		e.read(c)
	}
}

func (e *envelope) read(c byte) {
	switch {
	case e.escaped:
		e.escaped = false
	case e.quoted:
		e.escaped = c == '\\'
		if c == '"' {
			e.quoted = false
			if e.depth == 1 && !e.value {
				e.key = append(e.key[:0], e.kept[e.begun:]...)
			}
		}
	case c == '"':
		e.quoted, e.begun = true, len(e.kept)+1
	case c == '{', c == '[':
		if e.depth++; e.depth == 2 && e.value {
			e.body = bodies[string(e.key)]
			e.keep(c)
			if e.drop = e.body == answerBody; e.body == sentBody {
				e.sent, e.upto = len(e.kept), 0
			}
			return
		}
	case c == '}', c == ']':
		if e.depth--; e.depth == 1 {
			if e.body == sentBody {
				e.upto = len(e.kept)
			}
			e.body, e.drop = noBody, false
		}
	case e.depth == 1 && (c == ':' || c == ','):
		e.value = c == ':'
	}
	e.keep(c)
}

func (e *envelope) keep(c byte) {
	if e.drop {
		return
	}
	switch e.kept = append(e.kept, c); {
	case len(e.kept) <= e.most:
	case e.body == sentBody && e.sent <= e.most:
		e.kept, e.cut, e.drop = e.kept[:e.sent], true, true
	case e.upto > e.sent:
		e.kept = slices.Delete(e.kept, e.sent, e.upto)
		e.begun -= e.upto - e.sent
		e.upto, e.cut = 0, true
	default:
		e.kept, e.over = e.kept[:0], true
	}
}

// rest gives what is kept; nil if that is too long.
func (e *envelope) rest() []byte {
	if e.over {
		return nil
	}
	return bytes.TrimSpace(e.kept)
}
