package prove

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove/probe"
)

const (
	// answerLimit bounds what is read of an answer, in bytes.
	answerLimit = 4 << 20
	// requestLimit bounds one request; a refusal by timeout is inconclusive.
	requestLimit = 15 * time.Second
)

// metadataOnly and metadataList ask for an object, and for a list, without content.
const (
	metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	metadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
)

// clients makes requests to one API server, each with the identity it names.
type clients struct {
	config *rest.Config
	limit  *rate.Limiter // of all requests together
	// around puts something around the requests of every identity; nil for nothing.
	around func(*rest.Config)
	server string // URL without a slash at its end
	mu     sync.Mutex
	known  map[string]*http.Client
}

// newClients makes at most so many requests a second.
func newClients(config *rest.Config, agent string, perSecond int) (*clients, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = agent
	config.Timeout = requestLimit
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	return &clients{config: config, limit: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/4)), server: strings.TrimRight(server.String(), "/"), known: map[string]*http.Client{}}, nil
}

// as gives the client of an identity. Clients are kept: their connections too.
func (c *clients) as(who bailey.Identity) (*http.Client, error) {
	key, err := json.Marshal(who)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if client := c.known[string(key)]; client != nil {
		return client, nil
	}
	config := rest.CopyConfig(c.config)
	switch {
	case who.Proxied:
		config = rest.AnonymousClientConfig(c.config)
		config.UserAgent, config.Timeout = c.config.UserAgent, c.config.Timeout
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return proxied{next, who} })
	case who.Anonymous || who.Token != "" || who.Certificate != "":
		config = rest.AnonymousClientConfig(c.config)
		config.UserAgent, config.Timeout = c.config.UserAgent, c.config.Timeout
		config.BearerToken = who.Token
		config.CertData, config.KeyData = []byte(who.Certificate), []byte(who.Key)
		if who.User != "" {
			config.Impersonate = rest.ImpersonationConfig{UserName: who.User, Groups: who.Groups}
		}
	case who.User != "":
		config.Impersonate = rest.ImpersonationConfig{UserName: who.User, Groups: who.Groups}
	}
	if c.around != nil {
		c.around(config)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c.known[string(key)] = client
	return client, nil
}

// wait waits until one more request is within the rate. A context that ends before is
// waited for too: who asks must not take it for an answer that did not come.
func (c *clients) wait(ctx context.Context) error {
	if c.limit.Wait(ctx) == nil {
		return nil
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// proxied names a user as a front proxy does, in the headers that kubeadm and the
// documentation of the aggregation layer set.
type proxied struct {
	next http.RoundTripper
	who  bailey.Identity
}

func (p proxied) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Remote-User", p.who.User)
	for _, group := range p.who.Groups {
		r.Header.Add("X-Remote-Group", group)
	}
	return p.next.RoundTrip(r)
}

// forget drops clients of identities that will not be used again, so that a long
// run keeps no credentials that it minted.
func (c *clients) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, client := range c.known {
		if key != "{}" {
			client.CloseIdleConnections()
			delete(c.known, key)
		}
	}
}

var methods = map[string]string{
	"get": http.MethodGet, "list": http.MethodGet, "create": http.MethodPost,
	"update": http.MethodPut, "patch": http.MethodPatch, "delete": http.MethodDelete,
}

// do makes a request and waits for its answer.
func (c *clients) do(ctx context.Context, r *bailey.Request) answer {
	a := answer{at: time.Now().UTC()}
	method, known := methods[r.Verb]
	if !known {
		a.failure = fmt.Errorf("a request cannot %s", r.Verb)
		return a
	}
	path, body, kind := pathOf(r), io.Reader(nil), "application/json"
	if r.Object != nil {
		data, err := json.Marshal(r.Object)
		if err != nil {
			a.failure = err
			return a
		}
		body = bytes.NewReader(data)
	}
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
		if r.Strategic {
			kind = "application/strategic-merge-patch+json"
		}
	}
	a.said = method + " " + path + spoken(r.As)
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, body)
	if err != nil {
		a.failure = err
		return a
	}
	if body != nil {
		request.Header.Set("Content-Type", kind)
	}
	if agent, ok := ctx.Value(agentKey{}).(string); ok {
		request.Header.Set("User-Agent", agent)
	}
	request.Header.Set("Accept", "application/json")
	if method == http.MethodGet && !r.Content && r.Path == "" {
		request.Header.Set("Accept", metadataOnly)
		if r.Verb == "list" {
			request.Header.Set("Accept", metadataList)
		}
	}
	client, err := c.as(r.As)
	if err != nil {
		a.failure = err
		return a
	}
	if err := c.wait(ctx); err != nil {
		a.failure = err
		return a
	}
	begin := time.Now()
	a.at = begin.UTC()
	response, err := client.Do(request)
	a.took = time.Since(begin)
	if err != nil {
		a.failure = err
		return a
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	a.took = time.Since(begin)
	if err != nil {
		a.failure = err
		return a
	}
	sum := sha256.Sum256(data)
	a.code, a.digest, a.auditID = response.StatusCode, hex.EncodeToString(sum[:]), response.Header.Get("Audit-Id")
	if a.accepted = response.StatusCode/100 == 2; a.accepted {
		_ = json.Unmarshal(data, &a.output) // what is no object has nothing to bind
		return a
	}
	var status metav1.Status
	if json.Unmarshal(data, &status) != nil || status.Message == "" {
		status.Message = "an answer that is not a Status"
	}
	if entersNobody(r, a.code, status.Message) {
		a.accepted = true // all that may refuse has let it pass
		return a
	}
	a.reason, a.message, a.refuser = string(status.Reason), status.Message, refuserOf(a.code, status, r.As)
	return a
}

// agentKey is the context's key for the User-Agent of one experiment.
type agentKey struct{}

// asAgent gives the requests of a context a User-Agent of their own.
func asAgent(ctx context.Context, agent string) context.Context {
	return probe.AsAgent(context.WithValue(ctx, agentKey{}, agent), agent)
}

// spoken says who asks, without a credential.
func spoken(who bailey.Identity) string {
	switch {
	case who.Anonymous:
		return " (anonymous)"
	case who.Proxied:
		return " (as a front proxy would, for " + who.User + ")"
	case who.Token != "" && who.User != "":
		return " (with a token, as " + who.User + ")"
	case who.Token != "":
		return " (with a token)"
	case who.Certificate != "":
		return " (with a certificate)"
	case who.User != "":
		return " (as " + who.User + ")"
	}
	return ""
}

// pathOf is the path and query of a request. Writes are dry-runs unless the
// request is real, and the fields that the server does not know are an error: a
// field that it drops would not be tried.
func pathOf(r *bailey.Request) string {
	if r.Path != "" {
		return r.Path
	}
	path := "/apis/" + r.APIVersion
	if !strings.Contains(r.APIVersion, "/") {
		path = "/api/" + r.APIVersion
	}
	if r.Namespace != "" && r.Resource != "namespaces" {
		path += "/namespaces/" + url.PathEscape(r.Namespace)
	}
	path += "/" + r.Resource
	if r.Verb != "create" && r.Verb != "list" || r.Subresource != "" {
		path += "/" + url.PathEscape(r.Name)
	}
	if r.Subresource != "" {
		path += "/" + r.Subresource
	}
	query := url.Values{}
	switch r.Verb {
	case "list":
		query.Set("limit", "1") // whether it may be listed is the question
	case "create", "update", "patch":
		query.Set("fieldValidation", "Strict")
		fallthrough
	case "delete":
		if !r.Real {
			query.Set("dryRun", "All")
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}
