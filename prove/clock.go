package prove

import (
	"context"
	"net/http"
	"time"

	"github.com/baileyhq/bailey"
)

// Clock is the state of the clock by which the evidence is dated.
type Clock struct {
	// Synchronised is the kernel's word on whether a time source disciplines it;
	// empty where it cannot be asked.
	Synchronised string `json:"synchronised,omitempty"`
	// OffsetMS is how far the API server's clock (its Date header, whole seconds)
	// was ahead of ours, in milliseconds, and ErrorMS how far off that may be.
	OffsetMS float64 `json:"apiServerOffsetMilliseconds"`
	ErrorMS  float64 `json:"apiServerOffsetErrorMilliseconds"`
	Asked    bool    `json:"apiServerAsked"`
}

// readClock compares our clock with the API server's.
func readClock(ctx context.Context, c *clients) Clock {
	clock := Clock{Synchronised: synchronised()}
	client, err := c.as(bailey.Identity{})
	if err != nil {
		return clock
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server+"/version", nil)
	if err != nil {
		return clock
	}
	before := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return clock
	}
	_ = response.Body.Close()
	took := time.Since(before)
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return clock
	}
	// The header drops the fraction of a second: half of one is the best guess.
	offset := date.Add(500 * time.Millisecond).Sub(before.Add(took / 2))
	clock.OffsetMS, clock.ErrorMS, clock.Asked = float64(offset.Milliseconds()), float64((500*time.Millisecond + took/2).Milliseconds()), true
	return clock
}
