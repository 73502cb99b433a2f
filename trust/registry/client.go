package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// What a registry may answer instead of what was asked for.
var (
	// ErrUnavailable is a registry that could not be asked, or has too much to do: what
	// it would say is not known, and asking again may help.
	ErrUnavailable = errors.New("the registry could not be asked")
	// ErrDenied is a registry that wants another credential.
	ErrDenied = errors.New("the registry refused")
	// ErrNotFound is an image that is not there.
	ErrNotFound = errors.New("the image is not there")
)

// Limits bound what is read of one image's signatures.
type Limits struct {
	Signatures int   // default 64
	Each       int64 // bytes of one; default 16 MiB
	Total      int64 // bytes of all; default 48 MiB
}

func (l Limits) orDefaults() Limits {
	if l.Signatures == 0 {
		l.Signatures = 64
	}
	if l.Each == 0 {
		l.Each = 16 << 20
	}
	if l.Total == 0 {
		l.Total = 48 << 20
	}
	return l
}

// manifestLimit bounds a manifest or an index, in bytes.
const manifestLimit = 4 << 20

// Client speaks to registries. The zero value speaks TLS, as nobody.
type Client struct {
	Keychain  authn.Keychain    // nil: anonymous
	Transport http.RoundTripper // nil: the default
	PlainHTTP []string          // hosts that are spoken to without TLS
	UserAgent string
	Limits    Limits
}

// options are those of the requests of one task, which share the credential that the
// registry gave. Failed requests are not repeated: who waits for an answer (an API
// server) repeats them itself.
func (c *Client) options(ctx context.Context) ([]remote.Option, error) {
	inner := c.Transport
	if inner == nil {
		inner = remote.DefaultTransport
	}
	keychain := c.Keychain
	if keychain == nil {
		keychain = authn.NewMultiKeychain()
	}
	agent := c.UserAgent
	if agent == "" {
		agent = "bailey"
	}
	options := []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain), remote.WithUserAgent(agent),
		remote.WithTransport(&careful{inner, c.PlainHTTP, c.Limits.orDefaults().Each + manifestLimit}),
		remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes(), remote.WithJobs(1),
	}
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	pusher, err := remote.NewPusher(options...)
	return append(options, remote.Reuse(puller), remote.Reuse(pusher)), err
}

func (c *Client) repository(repository string) (name.Repository, error) {
	var options []name.Option
	if host, _, _ := strings.Cut(repository, "/"); slices.Contains(c.PlainHTTP, host) {
		options = append(options, name.Insecure)
	}
	r, err := name.NewRepository(repository, options...)
	if err != nil {
		return r, fmt.Errorf("%q is no repository: %w", repository, err)
	}
	return r, nil
}

// Resolve gives the digest that a reference stands for now. One that names a digest
// already is not asked about.
func (c *Client) Resolve(ctx context.Context, r Reference) (string, error) {
	if r.Digest != "" {
		return r.Digest, nil
	}
	repository, err := c.repository(r.Repository)
	if err != nil {
		return "", err
	}
	options, err := c.options(ctx)
	if err != nil {
		return "", err
	}
	desc, err := head(repository.Tag(r.Tag), options)
	if err != nil {
		return "", problem(r.String(), err)
	}
	return desc.Digest.String(), nil
}

// problem puts an error of the registry's into one of ours.
func problem(what string, err error) error {
	kind, hint := ErrUnavailable, "is the registry up, and reachable from here?"
	var answered *transport.Error
	if errors.As(err, &answered) {
		switch answered.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			kind, hint = ErrDenied, "log in with a credential that may read this repository"
		case http.StatusNotFound:
			kind, hint = ErrNotFound, "check repository and digest; was it pushed?"
		}
	}
	said := ""
	if answered != nil {
		said = answer(answered)
	} else {
		said = cut(err)
	}
	return fmt.Errorf("%s: %w: %s\nhint: %s", what, kind, said, hint)
}

// answer is what a registry answered, by status and error codes alone: the text could be
// anything, and of any host that an image's name leads to.
func answer(e *transport.Error) string {
	said := fmt.Sprintf("status %d", e.StatusCode)
	for i, d := range e.Errors {
		code := string(d.Code)
		if i == 3 || code == "" || len(code) > 40 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
			break
		}
		said += " " + code
	}
	return said
}

// cut is an error's text on one line, without what a registry put at its end.
func cut(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + " ..."
	}
	return text
}

func notFound(err error) bool {
	var answered *transport.Error
	return errors.As(err, &answered) && answered.StatusCode == http.StatusNotFound
}

// head describes a manifest. Not every registry answers HEAD.
func head(ref name.Reference, options []remote.Option) (*v1.Descriptor, error) {
	desc, err := remote.Head(ref, options...)
	if err == nil {
		return desc, nil
	}
	got, err := remote.Get(ref, options...)
	if err != nil {
		return nil, err
	}
	return &got.Descriptor, nil
}

// careful is a transport whose answers end at a limit, and that speaks plain HTTP only
// to hosts of which the caller said so: go-containerregistry would to all that look local.
type careful struct {
	inner http.RoundTripper
	plain []string
	limit int64
}

func (t *careful) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !slices.Contains(t.plain, r.URL.Host) {
		return nil, fmt.Errorf("%s does not speak TLS, and nobody said that it need not", r.URL.Host)
	}
	resp, err := t.inner.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, t.limit}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the registry's answer is too long")
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
