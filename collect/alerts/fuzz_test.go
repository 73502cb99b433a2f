package alerts

import (
	"testing"
	"time"
)

func FuzzNamed(f *testing.F) {
	f.Add([]byte(`[{"labels":{"a":"b"},"annotations":{"c":"bailey-7f3a91c2"},"updatedAt":"2026-03-01T12:00:00Z"}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if found, err := named(body, "bailey-7f3a91c2", time.Time{}); found && err != nil {
			t.Error("found, and failed")
		}
	})
}
