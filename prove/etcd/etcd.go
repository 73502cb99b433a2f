// Package etcd reads how the objects of an API server are stored: in etcd
// itself, or in a snapshot file of it. Of a value it gives on only the encryption
// prefix and the key's id.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/baileyhq/bailey/prove"
)

// DefaultPrefix is where an API server keeps its objects unless its flag
// --etcd-prefix says otherwise.
const DefaultPrefix = "/registry"

// keyLimit bounds how many keys one reading gives.
const keyLimit = 2_000_000

// Options say which storage to read: etcd's endpoints or a snapshot file.
type Options struct {
	// Endpoints are URLs of etcd's client port ("https://10.0.0.1:2379").
	Endpoints []string
	// CA, Cert and Key are files of PEM: what etcd's certificate is verified
	// against, and the client certificate that etcd demands.
	CA, Cert, Key string
	// Snapshot is a file that etcdctl or etcd's maintenance API wrote, or a copy of
	// the data file of an etcd that is stopped.
	Snapshot string
	// Prefix is the API server's --etcd-prefix; empty means DefaultPrefix.
	Prefix string
}

// Given reports whether a storage is named at all.
func (o Options) Given() bool { return len(o.Endpoints) > 0 || o.Snapshot != "" }

// Storage is an open storage.
type Storage interface {
	prove.Store
	io.Closer
}

// Open opens the storage that the options name, and looks whether it answers.
func Open(ctx context.Context, o Options) (Storage, error) {
	o.Prefix = strings.TrimRight(o.Prefix, "/")
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if !strings.HasPrefix(o.Prefix, "/") {
		o.Prefix = "/" + o.Prefix
	}
	switch {
	case len(o.Endpoints) > 0 && o.Snapshot != "":
		return nil, errors.New("etcd: both endpoints and a snapshot file are given\nhint: name one of them")
	case o.Snapshot != "":
		return openSnapshot(ctx, o.Snapshot, o.Prefix)
	case len(o.Endpoints) > 0:
		return openLive(ctx, o)
	}
	return nil, errors.New("etcd: neither endpoints nor a snapshot file are given")
}

// naming puts the API server's own prefix in the place of /registry, and back.
type naming struct{ prefix string }

func (n naming) stored(key string) string {
	if rest, found := strings.CutPrefix(key, DefaultPrefix+"/"); found {
		return n.prefix + "/" + rest
	}
	return key
}

func (n naming) said(key string) string {
	if rest, found := strings.CutPrefix(key, n.prefix+"/"); found {
		key = DefaultPrefix + "/" + rest
	}
	return printable(key)
}

func tooMany(prefix string) error {
	return fmt.Errorf("etcd: more than %d keys are stored under %s", keyLimit, prefix)
}
