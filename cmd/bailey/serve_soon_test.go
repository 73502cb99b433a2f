package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/server"
)

const (
	// judgedWithin is how soon a change is judged again, and judgedShare of how many of them that is asked here: other tests run
	// on the same machine. That a reader hears of it, by way of the API server and of the stream, is asked of heardShare.
	judgedWithin = 100 * time.Millisecond
	judgedShare  = 0.9
	heardShare   = 0.5
	soonPods     = 40
	soonApart    = 30 * time.Millisecond // more than is gathered into one change, where nothing hinders
	soonTries    = 3
)

// judgedSoon makes pods one by one, and asks that most are judged soon: by the metric, and by when the stream of events tells of them.
// The best of some tries counts.
func (w *troubled) judgedSoon(t *testing.T) {
	var tries []string
	for try := range soonTries {
		before := w.judgings(t)
		late := w.heardAfter(t, fmt.Sprint("soon", try, "-"))
		after := w.judgings(t)
		for le := range after {
			after[le] -= before[le]
		}
		all, within, soon := after["+Inf"], after[strconv.FormatFloat(judgedWithin.Seconds(), 'f', -1, 64)], 0
		for _, d := range late {
			if d <= judgedWithin {
				soon++
			}
		}
		said := fmt.Sprintf("of %d pods that came, %g changes were judged, %g of them within %s: %v; %d were heard of within it, half after %s, the last after %s",
			soonPods, all, within, judgedWithin, after, soon, late[len(late)/2], late[len(late)-1])
		if all >= soonPods/4 && within >= judgedShare*all && float64(soon) >= heardShare*soonPods {
			t.Log(said)
			return
		}
		tries = append(tries, said)
		time.Sleep(2 * time.Second) // what else runs may have ended by then
	}
	t.Errorf("changes are not judged soon:\n%s", strings.Join(tries, "\n"))
}

var judgedBucket = regexp.MustCompile(`(?m)^bailey_change_judged_seconds_bucket\{le="([^"]+)"\} (\S+)$`)

// judgings counts the changes that were judged, by the upper bound of the time that it took.
func (p *servedProcess) judgings(t *testing.T) map[string]float64 {
	t.Helper()
	_, body := p.get(t, "/metrics", "")
	counts := map[string]float64{}
	for _, m := range judgedBucket.FindAllStringSubmatch(body, -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		counts[m[1]] = n
	}
	return counts
}

// heardAfter makes pods one by one, and gives how long after the API server took each the stream of events told of it, in order.
func (w *troubled) heardAfter(t *testing.T, prefix string) []time.Duration {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close() // ends who reads it
	type hearing struct {
		pod string
		at  time.Time
	}
	heard := make(chan hearing, 10*soonPods)
	go func() {
		defer close(heard)
		for lines, kind := bufio.NewScanner(stream.Body), ""; lines.Scan(); {
			if after, found := strings.CutPrefix(lines.Text(), "event: "); found {
				kind = after
			}
			data, found := strings.CutPrefix(lines.Text(), "data: ")
			var j server.Judged
			if found && kind == server.NewsObject && json.Unmarshal([]byte(data), &j) == nil && strings.HasPrefix(j.Object.Name, prefix) {
				select {
				case heard <- hearing{j.Object.Name, time.Now()}:
				case <-t.Context().Done():
					return
				}
			}
		}
	}()
	made := map[string]time.Time{}
	for i := range soonPods {
		name := fmt.Sprint(prefix, i)
		w.pod(t, name)
		made[name] = time.Now()
		time.Sleep(soonApart)
	}
	var late []time.Duration
	for end := time.After(time.Minute); len(made) > 0; {
		select {
		case h, open := <-heard:
			if !open {
				t.Fatalf("the stream of events ended: %s", stream.Status)
			}
			if at, first := made[h.pod]; first {
				late = append(late, h.at.Sub(at))
				delete(made, h.pod)
			}
		case <-end:
			t.Fatalf("of %d pods %d were not heard of", soonPods, len(made))
		}
	}
	slices.Sort(late)
	return late
}
