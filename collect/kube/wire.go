package kube

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// page is one page of a list, its items still encoded.
type page struct {
	next     string // the continue token; empty on the last page
	version  string // the resource version that the list shows
	items    [][]byte
	protobuf bool
}

var protobufMark = []byte("k8s\x00")

var errNoProtobuf = errors.New("not Kubernetes protobuf")

// protobufObject gives the object inside the envelope in which the API server
// sends protobuf: k8s.io/apimachinery/pkg/runtime.Unknown behind a mark.
func protobufObject(body []byte) ([]byte, error) {
	rest, found := bytes.CutPrefix(body, protobufMark)
	if !found {
		return nil, errNoProtobuf
	}
	var raw []byte
	err := protobufFields(rest, func(number uint64, value []byte) {
		if number == 2 {
			raw = value
		}
	})
	return raw, err
}

// readPage takes a list apart. All lists of Kubernetes have the same shape:
// metadata, then items.
func readPage(body []byte) (*page, error) {
	if bytes.HasPrefix(body, protobufMark) {
		raw, err := protobufObject(body)
		if err != nil {
			return nil, err
		}
		p := &page{protobuf: true}
		var meta metav1.ListMeta
		var metaErr error
		err = protobufFields(raw, func(number uint64, value []byte) {
			switch number {
			case 1:
				metaErr = meta.Unmarshal(value)
			case 2:
				p.items = append(p.items, value)
			}
		})
		p.next, p.version = meta.Continue, meta.ResourceVersion
		return p, errors.Join(err, metaErr)
	}
	var list struct {
		Metadata struct{ Continue, ResourceVersion string }
		Items    []json.RawMessage
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("the list is neither protobuf nor JSON: %w", err)
	}
	p := &page{next: list.Metadata.Continue, version: list.Metadata.ResourceVersion, items: make([][]byte, len(list.Items))}
	for i, item := range list.Items {
		p.items[i] = item
	}
	return p, nil
}

// protobufFields calls f with each length-delimited field of a message, in
// order, and skips the others. The values alias the message.
func protobufFields(message []byte, f func(number uint64, value []byte)) error {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag>>3 == 0 {
			return errCutOff
		}
		message = message[n:]
		switch tag & 7 {
		case 0: // varint
			_, n := binary.Uvarint(message)
			if n <= 0 {
				return errCutOff
			}
			message = message[n:]
		case 1, 5: // 8 or 4 bytes
			size := 8
			if tag&7 == 5 {
				size = 4
			}
			if len(message) < size {
				return errCutOff
			}
			message = message[size:]
		case 2:
			size, n := binary.Uvarint(message)
			if n <= 0 || size > uint64(len(message)-n) {
				return errCutOff
			}
			f(tag>>3, message[n:n+int(size)])
			message = message[n+int(size):]
		default: // groups, which Kubernetes never had
			return fmt.Errorf("protobuf has the wire type %d", tag&7)
		}
	}
	return nil
}

var errCutOff = errors.New("protobuf is cut off")
