package alerts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Alertmanager is one of Prometheus, asked by its API v2.
type Alertmanager struct {
	// URL is that of its start page, with the prefix of --web.route-prefix.
	URL string
	// Client asks; http.DefaultClient if nil. Redirects are not followed, so
	// that a credential stays where it belongs.
	Client *http.Client
	// Authorization is the header of this name; none if empty.
	Authorization string
	// Every is the time between questions; half a second if zero.
	Every time.Duration
}

const (
	// maxAnswer is the longest answer that is read, in bytes.
	maxAnswer = 32 << 20
	// askLimit bounds one question.
	askLimit = 10 * time.Second
)

// Await asks again and again. Alerts that are silenced or inhibited count: they
// arrived.
func (m *Alertmanager) Await(ctx context.Context, correlation string, since time.Time) (time.Time, bool, error) {
	if err := checkCorrelation(correlation); err != nil {
		return time.Time{}, false, err
	}
	every := m.Every
	if every <= 0 {
		every = time.Second / 2
	}
	var last error
	asked := false
	for {
		found, err := m.ask(ctx, correlation, since)
		switch {
		case found:
			return time.Now(), true, nil
		case ctx.Err() == nil:
			last, asked = err, true
		case !asked:
			last = err // not one question was answered
		}
		select {
		case <-ctx.Done():
			return time.Time{}, false, last
		case <-time.After(every):
		}
	}
}

func (m *Alertmanager) ask(ctx context.Context, correlation string, since time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(m.URL, "/")+"/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true", nil)
	if err != nil {
		return false, fmt.Errorf("the Alertmanager: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if m.Authorization != "" {
		req.Header.Set("Authorization", m.Authorization)
	}
	client := http.DefaultClient
	if m.Client != nil {
		client = m.Client
	}
	stay := *client
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := stay.Do(req)
	if err != nil {
		return false, fmt.Errorf("the Alertmanager: %w\nhint: is its URL right, and may this machine reach it?", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return false, fmt.Errorf("the Alertmanager's answer: %w", err)
	case resp.StatusCode != http.StatusOK:
		return false, fmt.Errorf("the Alertmanager answered %s\nhint: its URL is that of the start page; a proxy before it may want a credential", resp.Status)
	case len(body) > maxAnswer:
		return false, fmt.Errorf("the Alertmanager's answer is longer than %d bytes", maxAnswer)
	}
	return named(body, correlation, since)
}

// named tells whether a list of alerts (gettableAlerts of the API) has one
// that names the correlation ID and was updated since.
func named(body []byte, correlation string, since time.Time) (bool, error) {
	var list []struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		UpdatedAt   time.Time         `json:"updatedAt"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return false, fmt.Errorf("the Alertmanager's answer is no list of alerts: %w", err)
	}
	if list == nil {
		return false, errors.New("the Alertmanager's answer is no list of alerts")
	}
	for _, alert := range list {
		if alert.UpdatedAt.Before(since) {
			continue
		}
		for _, values := range []map[string]string{alert.Labels, alert.Annotations} {
			for _, value := range values {
				if names(value, correlation) {
					return true, nil
				}
			}
		}
	}
	return false, nil
}
