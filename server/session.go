package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// Sessions remembers who has logged in. A session ends after its time, at logout, with the
// process, and with what it rests on: the token or the account that it was begun by.
type Sessions struct {
	Now func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]*session
	// links are the one-time links that were not used yet.
	links map[[sha256.Size]byte]time.Time
}

const (
	sessionLife = 12 * time.Hour
	// sessionChecked is how long a session counts before what it rests on is asked about again.
	sessionChecked = time.Minute
	// sessionPause is how long nobody is asked again who did not answer, and sessionPatience how
	// long an answer may take: it is waited for even if the reader leaves, since some can be
	// had once only.
	sessionPause, sessionPatience = 2 * time.Second, 15 * time.Second
	linkLife                      = 15 * time.Minute
	// sessionsMost bounds the sessions: whoever logs in when they are all taken ends the one that
	// would have ended first.
	sessionsMost = 10_000
)

// basis is what a session rests on. The zero basis is nothing that could end.
type basis struct {
	Token   string `json:"token,omitempty"`   // a bearer token
	Refresh string `json:"refresh,omitempty"` // a refresh token of the identity provider
	Subject string `json:"subject,omitempty"` // whom the provider gave it for
	// Until is when what the provider said last ends, if it says nothing more of the person.
	Until time.Time `json:"until,omitzero"`
}

// login is what a session is begun with, and gone on with.
type login struct {
	who   Who
	basis basis
	// checked is until when who counts without another look at the basis, and until when the
	// session ends at the latest; zero: until sessionLife is over.
	checked, until time.Time
}

// session is one that is open.
type session struct {
	until time.Time
	ended chan struct{} // closed at its end

	mu  sync.Mutex // held while the basis is asked about
	who Who
	// sealed is the basis, which only the session's secret opens, and that is the browser's: the
	// memory of this process does not give it away.
	sealed  []byte
	checked time.Time
	failed  error
	again   time.Time // when it is asked again after a failure
}

// Begin makes a session and gives its secret, and how long it may last.
func (s *Sessions) Begin(l login) (secret string, life time.Duration) {
	secret = newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	if s.open == nil {
		s.open = map[[sha256.Size]byte]*session{}
	}
	if len(s.open) >= sessionsMost {
		var oldest [sha256.Size]byte
		for k, o := range s.open {
			if o.until.Before(now) {
				s.drop(k)
			} else if first, found := s.open[oldest]; !found || o.until.Before(first.until) {
				oldest = k
			}
		}
		if len(s.open) >= sessionsMost {
			s.drop(oldest)
		}
	}
	o := &session{who: l.who, until: now.Add(sessionLife), ended: make(chan struct{}), checked: l.checked}
	o.endBy(l.until)
	o.keep(secret, l.basis)
	s.open[sha256.Sum256([]byte(secret))] = o
	return secret, o.until.Sub(now)
}

// endBy has a session end by then, unless that is the zero time; s.mu is held.
func (o *session) endBy(until time.Time) {
	if !until.IsZero() && until.Before(o.until) {
		o.until = until
	}
}

// drop ends a session; s.mu is held.
func (s *Sessions) drop(k [sha256.Size]byte) {
	if o, found := s.open[k]; found {
		delete(s.open, k)
		close(o.ended)
	}
}

// Whose gives who the session's secret belongs to, and what is closed when the session ends. Of
// nobody, if there is none, ended is nil. renew asks whether the basis still is what it was;
// ErrUnknownToken or ErrRefused if not.
func (s *Sessions) Whose(ctx context.Context, secret string, renew func(ctx context.Context, who Who, b basis) (login, error)) (who Who, ended <-chan struct{}, err error) {
	k := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	o := s.open[k]
	if o != nil && !s.Now().Before(o.until) {
		s.drop(k)
		o = nil
	}
	s.mu.Unlock()
	if o == nil {
		return Who{}, nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch err := s.check(ctx, o, secret, renew); {
	case errors.Is(err, ErrUnknownToken), errors.Is(err, ErrRefused):
		s.End(secret)
	case err != nil:
		return Who{}, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Now().Before(o.until) { // which the check may have set
		s.drop(k)
	}
	select {
	case <-o.ended: // meanwhile too
		return Who{}, nil, nil
	default:
		return o.who, o.ended, nil
	}
}

// check asks about the basis where it is time; o.mu is held.
func (s *Sessions) check(ctx context.Context, o *session, secret string, renew func(ctx context.Context, who Who, b basis) (login, error)) error {
	if o.sealed == nil || s.Now().Before(o.checked) {
		return nil
	}
	if s.Now().Before(o.again) {
		return o.failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sessionPatience)
	defer cancel()
	data, err := sealing(secret, sessionSeal).open(o.sealed, "")
	if err != nil {
		return err
	}
	var b basis
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	l, err := renew(ctx, o.who, b)
	if err != nil {
		o.failed, o.again = err, s.Now().Add(sessionPause)
		if l.basis != (basis{}) { // what is to be asked by the next time has changed
			o.keep(secret, l.basis)
		}
		return err
	}
	o.who, o.checked, o.failed = l.who, l.checked, nil
	o.keep(secret, l.basis)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.endBy(l.until)
	return nil
}

// sessionSeal says what is sealed, so that nothing sealed for another purpose is taken for it.
const sessionSeal = "bailey session"

// keep seals what the session rests on from now on; nothing, of the zero basis.
func (o *session) keep(secret string, b basis) {
	if b == (basis{}) {
		o.sealed = nil
		return
	}
	data, err := json.Marshal(b)
	if err != nil {
		panic(err) // texts
	}
	o.sealed = sealing(secret, sessionSeal).seal(data, "")
}

// End ends a session.
func (s *Sessions) End(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(sha256.Sum256([]byte(secret)))
}

// NewLink makes the secret of a link that logs the local administrator in, once.
func (s *Sessions) NewLink() string {
	secret := newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links == nil {
		s.links = map[[sha256.Size]byte]time.Time{}
	}
	s.links[sha256.Sum256([]byte(secret))] = s.Now().Add(linkLife)
	return secret
}

// UseLink reports whether the secret is that of a link that is still good, which it is no more.
func (s *Sessions) UseLink(secret string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := sha256.Sum256([]byte(secret))
	until, found := s.links[k]
	delete(s.links, k)
	return found && s.Now().Before(until)
}
