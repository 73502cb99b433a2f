package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/baileyhq/bailey/prove"
)

const (
	// pageKeys is how many values are in memory at once. etcd takes values of
	// 1.5 MiB unless it is told otherwise.
	pageKeys    = 64
	answerLimit = 256 << 20
	dialLimit   = 5 * time.Second
	callLimit   = 15 * time.Second
	pemLimit    = 1 << 20
)

// live is etcd itself.
type live struct {
	naming
	client *clientv3.Client
}

func openLive(ctx context.Context, o Options) (Storage, error) {
	config, err := tlsOf(o)
	if err != nil {
		return nil, err
	}
	for _, endpoint := range o.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("etcd: the endpoint %q is no URL\nhint: https://ADDRESS:2379", endpoint)
		}
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, TLS: config, DialTimeout: dialLimit,
		MaxCallRecvMsgSize: answerLimit, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	if _, err := client.Get(ctx, o.Prefix, clientv3.WithCountOnly()); err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("etcd: %s does not answer: %w\nhint: it takes a client certificate of etcd's own CA: on a control-plane node of kubeadm, /etc/kubernetes/pki/etcd", o.Endpoints[0], err)
	}
	return &live{naming: naming{o.Prefix}, client: client}, nil
}

func tlsOf(o Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		data, err := readPEM(o.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("etcd: the CA file %s holds no certificate in PEM", o.CA)
		}
	}
	if (o.Cert == "") != (o.Key == "") {
		return nil, errors.New("etcd: a client certificate needs its key, and the key its certificate")
	}
	if o.Cert != "" {
		cert, err := readPEM(o.Cert)
		if err != nil {
			return nil, err
		}
		key, err := readPEM(o.Key)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("etcd: the client certificate %s with the key %s: %w", o.Cert, o.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func readPEM(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > pemLimit) {
		err = fmt.Errorf("%s is no file of at most %d bytes", path, pemLimit)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return data, nil
}

// Keys reads page by page, all of them at the revision of the first, so that
// what changes meanwhile is neither missed nor seen twice.
func (l *live) Keys(ctx context.Context, prefix string) ([]prove.Stored, error) {
	first := l.stored(prefix)
	from, end := first, clientv3.GetPrefixRangeEnd(first)
	var all []prove.Stored
	var revision int64
	for {
		options := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(pageKeys)}
		if revision > 0 {
			options = append(options, clientv3.WithRev(revision))
		}
		page, err := l.get(ctx, from, options...)
		if err != nil {
			return nil, err
		}
		revision = page.Header.Revision
		for _, kv := range page.Kvs {
			by, err := encryptedBy(kv.Value)
			clear(kv.Value)
			if err != nil {
				return nil, fmt.Errorf("etcd: %s: %w", l.said(string(kv.Key)), err)
			}
			all = append(all, prove.Stored{Key: l.said(string(kv.Key)), By: by, Revision: kv.ModRevision})
		}
		if !page.More || len(page.Kvs) == 0 {
			return all, nil
		}
		if len(all) >= keyLimit {
			return nil, tooMany(prefix)
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// Look reads the newest value of one key.
func (l *live) Look(ctx context.Context, key, text string) (*prove.Stored, bool, error) {
	page, err := l.get(ctx, l.stored(key))
	if err != nil || len(page.Kvs) == 0 {
		return nil, false, err
	}
	kv := page.Kvs[0]
	by, err := encryptedBy(kv.Value)
	holds := bytes.Contains(kv.Value, []byte(text))
	clear(kv.Value)
	if err != nil {
		return nil, false, fmt.Errorf("etcd: %s: %w", l.said(string(kv.Key)), err)
	}
	return &prove.Stored{Key: l.said(string(kv.Key)), By: by, Revision: kv.ModRevision}, holds, nil
}

func (l *live) get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	page, err := l.client.Get(ctx, key, options...)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return page, nil
}

// Taken is zero: etcd shows what is stored now.
func (l *live) Taken(context.Context) (time.Time, error) { return time.Time{}, nil }

// Put writes past the API server.
func (l *live) Put(ctx context.Context, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if _, err := l.client.Put(ctx, l.stored(key), string(value)); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}

// Close ends the connections.
func (l *live) Close() error { return l.client.Close() }
