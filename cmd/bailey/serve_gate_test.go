package main

import (
	"net"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// TestBlindToGate: who follows the cluster is told of a bailey-gate that is not the own one, and
// that it is gone when it turns into that.
func TestBlindToGate(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	own := gateConfig(listener, true)
	fact := func(url string, annotated bool) *bailey.Fact {
		config := *own
		config.URL = url
		c := config.Validating()
		if annotated {
			c.Annotations = map[string]string{imagegate.AttachedAnnotation: "true"}
		}
		return &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingWebhookConfiguration, Name: c.Name}, Object: c}
	}
	told := ""
	f := blindToGate(kube.Follower{
		Whole: func(s *bailey.Snapshot) { told = ofGate(s.Get(fact("", false).Ref)) },
		Changed: func(facts []*bailey.Fact, gone []bailey.Ref) {
			if len(facts)+len(gone) != 1 {
				t.Fatalf("told of %d and %d", len(facts), len(gone))
			}
			told = ""
			if len(facts) > 0 {
				told = ofGate(facts[0])
			}
		},
	}, own)
	for _, step := range []struct {
		url       string
		annotated bool
		want      string
	}{
		{own.URL, false, own.URL + "/rules"},
		{own.URL, true, ""},
		{"https://evil.example.com", true, "https://evil.example.com/rules"},
		{own.URL, true, ""},
	} {
		now := fact(step.url, step.annotated)
		if f.Changed([]*bailey.Fact{now}, nil); told != step.want {
			t.Errorf("%s changed, annotated %t: told is %q", step.url, step.annotated, told)
		}
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
		b.Add(now)
		if f.Whole(b.Snapshot()); told != step.want {
			t.Errorf("%s is there, annotated %t: told is %q", step.url, step.annotated, told)
		}
	}
}

func ofGate(f *bailey.Fact) string {
	c, is := bailey.As[*admissionv1.ValidatingWebhookConfiguration](f)
	if !is {
		return ""
	}
	return *c.Webhooks[0].ClientConfig.URL
}
