package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// ErrUnknownToken tells that a token is nobody's.
var ErrUnknownToken = errors.New("the token is not accepted")

// Tokens says whose a bearer token is; ErrUnknownToken if nobody's.
type Tokens interface {
	Whose(ctx context.Context, token string) (Who, error)
}

// LocalToken is the token of the local administrator, which a file of the data folder holds.
type LocalToken struct {
	sum  [sha256.Size]byte
	Next Tokens // asked about other tokens; nil knows none
}

// NewLocalToken takes the token.
func NewLocalToken(token string, next Tokens) *LocalToken {
	return &LocalToken{sha256.Sum256([]byte(token)), next}
}

// is reports whether a token is the local administrator's.
func (l *LocalToken) is(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], l.sum[:]) == 1
}

// Whose is of Tokens.
func (l *LocalToken) Whose(ctx context.Context, token string) (Who, error) {
	if l.is(token) {
		return localAdministrator, nil
	}
	if l.Next == nil {
		return Who{}, ErrUnknownToken
	}
	return l.Next.Whose(ctx, token)
}

var localAdministrator = Who{Name: "the administrator of this machine", Local: true}

// Audience is what tokens for Bailey may be made for (kubectl create token --audience).
// Tokens for the API server itself are taken too.
const Audience = "bailey"

// ClusterTokens asks the cluster whose a token is, by TokenReview.
type ClusterTokens struct {
	client authenticationclient.TokenReviewInterface
	known  *cache.LRUExpireCache // who owns the token of a hash: remembered[Who]
	away   breaker
}

// NewClusterTokens asks by the client.
func NewClusterTokens(client authenticationclient.TokenReviewInterface, now func() time.Time) *ClusterTokens {
	return &ClusterTokens{client: client, known: cache.NewLRUExpireCacheWithClock(tokensKept, ticking(now)), away: breaker{now: now}}
}

const (
	// tokenKept is how long an answer counts: a token that is revoked lives on for so long.
	tokenKept = 10 * time.Second
	// tokensKept bounds the answers that are remembered, and maxToken the length of a token.
	tokensKept = 10_000
	maxToken   = 16 << 10
)

// Whose is of Tokens. The token itself is not remembered.
func (c *ClusterTokens) Whose(ctx context.Context, token string) (Who, error) {
	if len(token) > maxToken {
		return Who{}, ErrUnknownToken
	}
	k := sha256.Sum256([]byte(token))
	now := c.away.now()
	was, found := recall[Who](c.known, k)
	if found && now.Before(was.until) {
		return was.answer, nil
	}
	var who Who
	held := awayKept
	if isScrape(ctx) {
		held = metricsKept
	}
	answered, err := c.away.ask(ctx, found, func() (err error) {
		ctx := ctx
		if found && isScrape(ctx) {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, metricsPatience)
			defer cancel()
		}
		who, err = c.review(ctx, token)
		return err
	})
	switch {
	case !answered && found && now.Sub(was.said) < held:
		return was.answer, nil
	case errors.Is(err, ErrUnknownToken):
		c.known.Remove(k)
		return Who{}, err
	case err != nil:
		return Who{}, fmt.Errorf("the cluster could not be asked whose the token is: %w", withoutToken(err, token))
	}
	c.known.Add(k, remembered[Who]{who, now, now.Add(tokenKept)}, metricsKept)
	return who, nil
}

// review asks the cluster whose a token is.
func (c *ClusterTokens) review(ctx context.Context, token string) (Who, error) {
	for _, audiences := range [][]string{{Audience}, nil} {
		got, err := c.client.Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}, metav1.CreateOptions{})
		if err != nil {
			return Who{}, err
		}
		if !got.Status.Authenticated || got.Status.User.Username == "" {
			continue
		}
		who := Who{Name: got.Status.User.Username, UID: got.Status.User.UID, Groups: got.Status.User.Groups}
		if len(got.Status.User.Extra) > 0 {
			who.Extra = map[string][]string{}
			for name, values := range got.Status.User.Extra {
				who.Extra[name] = values
			}
		}
		return who, nil
	}
	return Who{}, ErrUnknownToken
}

func withoutToken(err error, token string) error {
	if strings.Contains(err.Error(), token) {
		return errors.New("the request failed")
	}
	return err
}

// secretLength is how many characters a secret has.
const secretLength = 43

func newSecret() string {
	var b [secretLength * 6 / 8]byte
	_, _ = rand.Read(b[:]) // it never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// bearer gives the token of an Authorization header.
func bearer(r *http.Request) (token string, found bool) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}
