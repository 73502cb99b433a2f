package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/baileyhq/bailey/store"
)

// Sessions remembers who has logged in. A session ends after its time, at logout, and with what it
// rests on: the token or the account that it was begun by.
type Sessions struct {
	// Store keeps sessions, so that all replicas have them, and a restart ends none; nil: they end with the process.
	Store SessionStore
	// Alone tells that no other replica answers: a session that Store does not take, as on a full disk, is then kept by this process.
	Alone bool
	Log   *slog.Logger
	Now   func() time.Time

	own  ownSessions
	mu   sync.Mutex
	open map[string]*session // those that this process has opened, by ID
	// away is why the store could not be asked about a session that is not open here, and again when it is asked the next time.
	away  error
	again time.Time
	// links are the one-time links that were not used yet.
	links map[[sha256.Size]byte]time.Time
}

const (
	sessionLife = 12 * time.Hour
	// sessionChecked is how long a session counts before what it rests on is asked about again, and how
	// long what was read of it counts while the store does not answer.
	sessionChecked = time.Minute
	// sessionRead is how long what was read of a session counts before it is read again: another replica may
	// have ended it. While a request lasts it is looked at every sessionLook.
	sessionRead, sessionLook = time.Second, 4 * time.Second
	// sessionPause is how long nobody is asked again who did not answer, and sessionPatience how
	// long an answer may take: it is waited for even if the reader leaves, since some can be
	// had once only.
	sessionPause, sessionPatience = 2 * time.Second, 15 * time.Second
	// sessionClaim is for how long a replica has a session for itself, to ask what it rests on: longer than
	// writing the claim, an answer and writing that take, by clocks that differ a little. The others look every sessionWait whether it is done.
	sessionClaim, sessionWait = 3*sessionPatience + 10*time.Second, 100 * time.Millisecond
	linkLife                  = 15 * time.Minute
	// sessionsMost bounds the sessions: whoever logs in when they are all taken ends the one that
	// would have ended first.
	sessionsMost = 10_000
)

// ErrUnkept tells that a login, or its end, could not be kept.
var ErrUnkept = errors.New("the database does not take it")

// errStillAway tells that a failure was told of a moment before.
var errStillAway = errors.New("still so")

// basis is what a session rests on. The zero basis is nothing that could end.
type basis struct {
	Token     string `json:"token,omitempty"`     // a bearer token
	APIServer string `json:"apiServer,omitempty"` // the identity of the one that is asked about Token: no other is shown it
	Refresh   string `json:"refresh,omitempty"`   // a refresh token of the identity provider
	Subject   string `json:"subject,omitempty"`   // whom the provider gave it for
	// Until is when what the provider said last ends, if it says nothing more of the person.
	Until time.Time `json:"until,omitzero"`
	// Provider is the identity of the provider that told who it is, and Machine that of the machine whose
	// administrator it is. Of those of other servers, which may use the same store, nothing counts here.
	Provider string `json:"provider,omitempty"`
	Machine  string `json:"machine,omitempty"`
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
	until time.Time     // Sessions.mu guards it
	ended chan struct{} // closed at its end

	mu sync.Mutex // held while it is read, and the basis is asked about; it guards what follows
	// row is the session as the store has it. What it rests on is sealed in it, which only the session's secret
	// opens, and that is the browser's: the memory of this process does not give it away.
	row     store.Session
	who     Who
	asked   bool // who it is, is asked about again: by something that is good once, or not
	once    bool
	checked time.Time
	// unwritten tells that row, which this process had claimed, is not as the store has it.
	unwritten bool
	failed    error
	again     time.Time // when it is asked again after a failure

	read   time.Time // when it was
	away   error     // why it could not be since
	reread time.Time // when that is tried again
}

// Begin makes a session and gives its secret, and how long it may last; ErrUnkept if it could not be kept.
func (s *Sessions) Begin(ctx context.Context, l login) (secret string, life time.Duration, err error) {
	secret = newSecret()
	now := s.Now()
	until := now.Add(sessionLife)
	if !l.until.IsZero() {
		until = earlier(until, l.until)
	}
	d := document{l.who, l.basis, l.checked}
	row := store.Session{ID: store.HashToken(secret), Until: until, Sealed: d.seal(secret)}
	ctx, cancel := patient(ctx)
	defer cancel()
	if err := s.store().AddSession(ctx, row, sessionsMost); err != nil {
		return "", 0, fmt.Errorf("%w: %w", ErrUnkept, err)
	}
	o := newSession(row, &d, now)
	o.checked = l.checked
	s.admit(o)
	return secret, until.Sub(now), nil
}

func newSession(row store.Session, d *document, now time.Time) *session {
	o := &session{until: row.Until, ended: make(chan struct{}), row: row, read: now}
	o.know(d)
	return o
}

// know takes over what a session's document says. A token can be asked about by each process for itself, so none goes
// by what another was told.
func (o *session) know(d *document) {
	o.who, o.asked, o.once = d.Who, d.Basis.Token != "" || d.Basis.Refresh != "", d.Basis.Refresh != ""
	if o.once {
		o.checked = d.Checked
	}
}

// admit has a session open here, and gives the one that is meanwhile.
func (s *Sessions) admit(o *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]*session{}
	}
	if there := s.open[o.row.ID]; there != nil {
		return there
	}
	if len(s.open) >= sessionsMost {
		now, oldest := s.Now(), ""
		for id, o := range s.open {
			if o.until.Before(now) {
				s.drop(id)
			} else if first := s.open[oldest]; first == nil || o.until.Before(first.until) {
				oldest = id
			}
		}
		if len(s.open) >= sessionsMost {
			s.drop(oldest)
		}
	}
	s.open[o.row.ID] = o
	return o
}

// drop closes a session here; s.mu is held.
func (s *Sessions) drop(id string) {
	if o, found := s.open[id]; found {
		delete(s.open, id)
		close(o.ended)
	}
}

// Whose gives who the session's secret belongs to, and what is closed when the session ends: as it ends here,
// and by sessionRead later when it is asked for after it ended elsewhere. Of nobody, if there is none, ended is nil.
func (s *Sessions) Whose(ctx context.Context, secret string, f *Front) (who Who, ended <-chan struct{}, err error) {
	o, err := s.session(ctx, secret, f)
	if o == nil || err != nil {
		return Who{}, nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err = s.look(ctx, o, secret); err == nil {
		err = s.check(ctx, o, secret, f)
	}
	switch {
	case errors.Is(err, ErrUnknownToken), errors.Is(err, ErrRefused):
		_ = s.End(ctx, secret) // if that is not kept, it is asked about again, and ends so
	case errors.Is(err, store.ErrNotFound):
		s.mu.Lock()
		s.drop(o.row.ID)
		s.mu.Unlock()
	case err != nil:
		return Who{}, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Now().Before(o.until) { // which the check may have set
		s.drop(o.row.ID)
	}
	select {
	case <-o.ended: // meanwhile too
		return Who{}, nil, nil
	default:
		return o.who, o.ended, nil
	}
}

// session gives the session of a secret, nil if there is none, or none that counts here.
func (s *Sessions) session(ctx context.Context, secret string, f *Front) (*session, error) {
	if len(secret) != secretLength {
		return nil, nil // not worth a look at the store
	}
	id := store.HashToken(secret)
	now := s.Now()
	s.mu.Lock()
	o := s.open[id]
	if o != nil && !now.Before(o.until) {
		s.drop(id)
		o = nil
	}
	away, pausing := s.away, now.Before(s.again)
	if o == nil && away != nil && !pausing {
		s.again = now.Add(sessionPause) // in each pause one asks for all whether it is back
	}
	s.mu.Unlock()
	switch {
	case o != nil:
		return o, nil
	case pausing:
		return nil, fmt.Errorf("%w: %w", errStillAway, away)
	}
	ctx, cancel := patient(ctx)
	defer cancel()
	row, err := s.store().Session(ctx, id)
	if away != nil && (err == nil || errors.Is(err, store.ErrNotFound)) {
		s.mu.Lock()
		s.away, s.again = nil, time.Time{}
		s.mu.Unlock()
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !now.Before(row.Until) {
		return nil, nil
	}
	if err != nil {
		return nil, s.unread(err, away != nil)
	}
	d, err := open(secret, row.Sealed)
	if err != nil || !f.here(d.Basis) {
		return nil, nil // who cannot open it here has none
	}
	return s.admit(newSession(row, d, now)), nil
}

// unread notes that the store could not be asked about a session. It is told of once in a pause: whoever makes secrets up fills no
// log. ForAll tells that it was asked for all who were answered meanwhile.
func (s *Sessions) unread(err error, forAll bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	told := !forAll && now.Before(s.again)
	s.away, s.again = fmt.Errorf("the session could not be read: %w", err), now.Add(sessionPause)
	if told {
		return fmt.Errorf("%w: %w", errStillAway, s.away)
	}
	return s.away
}

// End ends a session; ErrUnkept if that could not be kept, and it goes on at other replicas and after a restart.
func (s *Sessions) End(ctx context.Context, secret string) error {
	id := store.HashToken(secret)
	ctx, cancel := patient(ctx)
	defer cancel()
	err := s.store().EndSession(ctx, id)
	s.mu.Lock()
	s.drop(id)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnkept, err)
	}
	return nil
}

// patient bounds how long an answer is waited for, and waits for it even if the reader leaves.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), sessionPatience)
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

// UseLink calls begin if the secret is that of a link that is still good, which it is no more unless begin fails;
// ErrUnknownToken if it is none.
func (s *Sessions) UseLink(secret string, begin func() error) error {
	k := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	until, found := s.links[k]
	delete(s.links, k)
	s.mu.Unlock()
	if !found || !s.Now().Before(until) {
		return ErrUnknownToken
	}
	err := begin()
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.links[k] = until
	}
	return err
}
