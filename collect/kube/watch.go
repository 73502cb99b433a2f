package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

const (
	acceptWatchJSON     = "application/json;stream=watch,application/json"
	acceptWatchProtobuf = "application/vnd.kubernetes.protobuf;stream=watch," + acceptWatchJSON
	// maxEvent is the size in bytes of one event: an object of etcd's limit, and its envelope.
	maxEvent = 16 << 20
	// watchLeast is the least time in seconds that one connection is asked for.
	watchLeast = 300
)

var errStreamEnded = errors.New("the API server ended the watch")

// watch asks for what changed after p, moves p on, and tells each change, until the
// server ends the connection or ctx ends. connected is called once the server agrees.
func (c *client) watch(ctx context.Context, p *position, connected func(), tell func(notice)) error {
	if err := c.limiter.Wait(ctx); err != nil {
		return err
	}
	seconds := watchLeast + rand.IntN(watchLeast) // so that not all end at once
	query := url.Values{"watch": {"1"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {p.version}, "timeoutSeconds": {strconv.Itoa(seconds)}}
	accept := acceptWatchJSON
	if _, ok := object.New(p.resource.apiVersion(), p.resource.kind).(unmarshaler); ok {
		accept = acceptWatchProtobuf
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.base.String(), "/")+p.resource.path(p.namespace)+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", accept)
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := readAll(response, maxEvent)
		return statusOf(response, body)
	}
	connected()
	binary := strings.HasPrefix(response.Header.Get("Content-Type"), "application/vnd.kubernetes.protobuf")
	frames := json.Framer.NewFrameReader(response.Body)
	if binary {
		frames = protobuf.LengthDelimitedFramer.NewFrameReader(response.Body)
	}
	// One list for all events: it keeps what decoding needs.
	l := &list{resource: p.resource, namespace: p.namespace}
	buffer := make([]byte, 16<<10)
	for {
		frame, err := nextFrame(frames, &buffer)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errStreamEnded, err)
		}
		event, err := readEvent(frame, binary)
		if err != nil {
			return err
		}
		n, err := l.event(event, binary, p)
		if err != nil {
			return err
		}
		if n != nil {
			tell(*n)
		}
	}
}

// nextFrame reads one frame, into a buffer that grows up to maxEvent.
func nextFrame(frames io.Reader, buffer *[]byte) ([]byte, error) {
	at := 0
	for {
		n, err := frames.Read((*buffer)[at:])
		at += n
		if err == nil {
			return (*buffer)[:at], nil
		}
		if !errors.Is(err, io.ErrShortBuffer) {
			return nil, err
		}
		if len(*buffer) >= maxEvent {
			return nil, errTooLarge
		}
		*buffer = append(*buffer, make([]byte, len(*buffer))...)
	}
}

// event is metav1.WatchEvent with its object still encoded.
type event struct {
	kind   string // ADDED, MODIFIED, DELETED, BOOKMARK, ERROR
	object []byte
}

func readEvent(frame []byte, binary bool) (event, error) {
	var e metav1.WatchEvent
	if !binary {
		if err := utiljson.Unmarshal(frame, &e); err != nil {
			return event{}, fmt.Errorf("decode an event: %w", err)
		}
		return event{e.Type, e.Object.Raw}, nil
	}
	if err := e.Unmarshal(frame); err != nil { // the frame bears no mark, the object in it does
		return event{}, fmt.Errorf("decode an event: %w", err)
	}
	inner, err := protobufObject(e.Object.Raw)
	if err != nil {
		return event{}, fmt.Errorf("decode an event's object: %w", err)
	}
	return event{e.Type, inner}, nil
}

// event turns an event into what the follower is told, nil if nothing, and moves on.
func (l *list) event(e event, binary bool, p *position) (*notice, error) {
	if e.kind == "ERROR" {
		var status metav1.Status
		var err error
		if binary {
			err = status.Unmarshal(e.object)
		} else {
			err = utiljson.Unmarshal(e.object, &status)
		}
		return nil, errors.Join(err, &statusError{code: int(status.Code), reason: status.Reason, message: status.Message})
	}
	content, err := l.decode(e.object, binary)
	if err != nil {
		return nil, fmt.Errorf("decode an event's object: %w", err)
	}
	version, err := versionOf(content)
	if err != nil {
		return nil, fmt.Errorf("decode an event's object: %w", err)
	}
	p.version = version
	n := &notice{}
	switch e.kind {
	case "BOOKMARK":
		return nil, nil
	case "ADDED", "MODIFIED", "DELETED":
	default:
		return nil, fmt.Errorf("the API server sent an event of the type %q", e.kind)
	}
	var component *bailey.Fact
	switch o := content.(type) {
	case *corev1.Pod:
		if o.Namespace == systemNamespace {
			component = object.Component(o)
		}
	case *corev1.Node:
		if e.kind != "MODIFIED" { // its kubelet is to be asked
			n.again, n.againAfter = true, nodesSettle
		}
	}
	fact := object.Fact(content, l.resource.apiVersion(), l.resource.kind, bailey.Source{})
	for _, f := range []*bailey.Fact{fact, component} {
		switch {
		case f == nil:
		case e.kind == "DELETED":
			n.gone = append(n.gone, f.Ref)
		default:
			n.facts = append(n.facts, f)
		}
	}
	return n, nil
}

// versionOf reads the resource version of a decoded object. Without one the watch could not go
// on where it was: an empty version begins anywhere, and what came between would be lost.
func versionOf(content any) (version string, err error) {
	switch o := content.(type) {
	case metav1.Object:
		version = o.GetResourceVersion()
	case map[string]any:
		m, _ := o["metadata"].(map[string]any)
		version, _ = m["resourceVersion"].(string)
	}
	if version == "" {
		return "", errors.New("it has no resource version")
	}
	return version, nil
}
