package devcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// HTTPClient returns a client that is the administrator to the API server. It sets no
// time limit: bound each request by its context.
func (c *Cluster) HTTPClient() (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	pair, err := readPair(c.PKI, "admin")
	if err != nil {
		return nil, fmt.Errorf("devcluster: the administrator's certificate: %w", err)
	}
	client, err := c.httpClient("ca", pair)
	if err != nil {
		return nil, err
	}
	c.client = client
	return client, nil
}

// httpClient returns a client that trusts only the named CA of the cluster and ignores
// the environment's proxy.
func (c *Cluster) httpClient(ca string, pair *keyPair) (*http.Client, error) {
	pool, err := c.pool(ca)
	if err != nil {
		return nil, fmt.Errorf("devcluster: %w", err)
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{pair.tls()}},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     30 * time.Second,
	}}, nil
}

// StatusError is an answer of the API server that is not a success.
type StatusError struct {
	Code    int    `json:"code"`    // 403
	Reason  string `json:"reason"`  // Forbidden
	Message string `json:"message"` // pods "x" is forbidden: violates PodSecurity ...
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Code, e.Reason, e.Message)
}

// Do sends one request to the API server as the administrator and waits for its
// answer. The path may have a query; in, unless nil, is sent as JSON; the answer is
// decoded into out, unless nil (a *[]byte gets it as it is). An answer that is not a
// success gives a *StatusError.
func (c *Cluster) Do(ctx context.Context, method, path string, in, out any) error {
	client, err := c.HTTPClient()
	if err != nil {
		return err
	}
	return c.do(ctx, client, method, path, in, out)
}

// DoAs is Do as whom the client is; see HTTPClientFor.
func (c *Cluster) DoAs(ctx context.Context, client *http.Client, method, path string, in, out any) error {
	return c.do(ctx, client, method, path, in, out)
}

func (c *Cluster) do(ctx context.Context, client *http.Client, method, path string, in, out any) error {
	return c.doAt(ctx, client, c.RESTHost, method, path, in, out)
}

// doAt is do for an API server by its address.
func (c *Cluster) doAt(ctx context.Context, client *http.Client, host, method, path string, in, out any) error {
	const limit = 64 << 20
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, host+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "bailey-devcluster")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
		if method == http.MethodPatch {
			req.Header.Set("Content-Type", "application/merge-patch+json")
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		status := &StatusError{}
		if json.Unmarshal(b, status) != nil || status.Message == "" {
			status.Message = strings.TrimSpace(string(b))
		}
		status.Code = resp.StatusCode
		if status.Reason == "" {
			status.Reason = http.StatusText(resp.StatusCode)
		}
		return status
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = b
		return nil
	}
	return json.Unmarshal(b, out)
}

// Version returns the API server's version, such as v1.37.2.
func (c *Cluster) Version(ctx context.Context) (string, error) {
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	err := c.Do(ctx, http.MethodGet, "/version", nil, &v)
	return v.GitVersion, err
}

// Kubectl runs the kubectl of the multi-call program as the administrator, or as
// whom a --kubeconfig among args says, and returns its standard output. The error
// holds what it wrote to standard error. It reads nothing from standard input.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.Binary, append([]string{"kubectl"}, args...)...)
	cmd.Env = append(environment(c.Dir),
		"KUBECONFIG="+c.Kubeconfig,
		"KUBECACHEDIR="+filepath.Join(c.Dir, "kubectl-cache"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return stdout.Bytes(), fmt.Errorf("kubectl %s: %w%s", strings.Join(args, " "), err, indentedTail(strings.TrimSpace(stderr.String())))
	}
	return stdout.Bytes(), nil
}
