// Package keypair serves a certificate out of files that are renewed while the program runs.
package keypair

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Every is how often Get reads the files again, at most.
const Every = time.Minute

// maxFile bounds each of the two files, in bytes.
const maxFile = 1 << 20

// Pair is a certificate chain and its key, in PEM files. The last that could be read is
// served; where a renewed one cannot be read, that is told once.
type Pair struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	seen   [sha256.Size]byte // what the files were at the last reading, well or not
	read   time.Time
	failed bool
}

// New gives a pair that has not been read yet.
func New(certFile, keyFile string, log *slog.Logger) *Pair {
	return &Pair{certFile: certFile, keyFile: keyFile, log: log}
}

// Current is the certificate that is served; nil before it was read.
func (p *Pair) Current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pair
}

// Get is for tls.Config.GetCertificate: it reads the files again if the last reading is
// Every ago. It fails only while no certificate could be read.
func (p *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pair == nil || time.Since(p.read) >= Every {
		if err := p.renew(); err != nil {
			return nil, err
		}
	}
	return p.pair, nil
}

// Renew reads the files now. It fails only while no certificate could be read: later, the
// one before stays, and the log has why.
func (p *Pair) Renew() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.renew()
}

func (p *Pair) renew() error {
	cert, certErr := readFile(p.certFile)
	key, keyErr := readFile(p.keyFile)
	err := errors.Join(certErr, keyErr)
	// By content and not by time: mounted Secrets change by a link, and copies keep times.
	seen := sha256.Sum256(fmt.Appendf(nil, "%q %q %v", cert, key, err))
	p.read = time.Now()
	if p.pair != nil && seen == p.seen {
		return nil
	}
	p.seen = seen
	var pair tls.Certificate
	if err == nil {
		if pair, err = tls.X509KeyPair(cert, key); err != nil {
			err = fmt.Errorf("%s with %s: %w", p.certFile, p.keyFile, err)
		}
	}
	if p.pair == nil {
		if err == nil {
			p.pair = &pair
		}
		return err
	}
	until := p.pair.Leaf.NotAfter
	if err == nil && p.read.After(pair.Leaf.NotAfter) && !p.read.After(until) {
		err = fmt.Errorf("%s ended at %s", p.certFile, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if err != nil {
		p.failed = true
		p.log.Error("the renewed certificate cannot be used; the one before is served", "valid until", until.UTC().Format(time.RFC3339), "error", err)
		return nil
	}
	p.pair = &pair
	if p.failed {
		p.failed = false
		p.log.Info("the certificate could be read again and is served", "file", p.certFile, "valid until", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(f, maxFile+1)); err != nil {
		return nil, err
	}
	if b.Len() > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return b.Bytes(), nil
}
