// Package gen makes input for benchmarks: folders of manifests and whole
// clusters of any size, in the shapes and proportions that real ones have.
//
// Everything it makes follows from a count and a seed alone, so two runs, on
// two machines, measure the same thing. Nothing is held back for later: objects
// are made one at a time as the caller asks for them, so that a measurement of
// peak memory measures the caller.
package gen

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
)

// random is a source of choices. Two with one seed choose alike.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random {
	return random{rand.New(rand.NewPCG(seed, 0x6261696c6579))}
}

// chance is true in percent of 100 cases.
func (r random) chance(percent int) bool { return r.IntN(100) < percent }

// between is a number from low to high, both included.
func (r random) between(low, high int) int { return low + r.IntN(high-low+1) }

// hex is a string of n hexadecimal digits; n is even.
func (r random) hex(n int) string {
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(b)
}

func (r random) digest() string { return "sha256:" + r.hex(64) }

func (r random) uid() string {
	h := r.hex(32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

// suffix is n characters of the alphabet that the API server names things with.
func (r random) suffix(n int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// text is about n bytes of lines that look like an application's settings.
func (r random) text(n int) string {
	b := make([]byte, 0, n+64)
	for len(b) < n {
		b = fmt.Appendf(b, "%s.%s.%s=%d\n", pick(r, words), pick(r, words), pick(r, words), r.IntN(100000))
	}
	return string(b)
}

func pick[T any](r random, from []T) T { return from[r.IntN(len(from))] }

var words = []string{
	"account", "address", "ad", "basket", "billing", "cart", "catalogue", "checkout", "currency", "customer",
	"delivery", "discount", "email", "export", "feed", "fraud", "gateway", "identity", "import", "inventory",
	"invoice", "ledger", "loyalty", "mailer", "media", "notice", "offer", "order", "parcel", "payment",
	"price", "product", "profile", "promo", "quote", "rating", "recommendation", "refund", "report", "return",
	"review", "search", "session", "shipping", "stock", "storefront", "supplier", "tax", "voucher", "warehouse",
}
