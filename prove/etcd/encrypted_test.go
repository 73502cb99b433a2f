package etcd

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	kmsv2 "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
)

func kmsV2(t testing.TB, id string) string {
	t.Helper()
	data, err := proto.Marshal(&kmsv2.EncryptedObject{EncryptedData: []byte("cipher:text"), KeyID: id,
		EncryptedDEKSource: []byte("seed"), Annotations: map[string][]byte{"a.example": []byte("b")}, EncryptedDEKSourceType: 1})
	if err != nil {
		t.Fatal(err)
	}
	return "k8s:enc:kms:v2:vault:" + string(data)
}

func TestEncryptedBy(t *testing.T) {
	for value, want := range map[string]string{
		"k8s:enc:aescbc:v1:key1:\x00\x01:\xff":   "aescbc:key1",
		"k8s:enc:aesgcm:v1:key 2:cipher":         "aesgcm:key 2",
		"k8s:enc:secretbox:v1:k:":                "secretbox:k",
		"k8s:enc:kms:v1:vault:\x00\x10cipher":    "kms:v1:vault",
		kmsV2(t, "2026-11"):                      "kms:v2:vault:2026-11",
		kmsV2(t, "bell\x07"):                     `kms:v2:vault:"bell\a"`,
		"k8s:enc:aescbc:v1:\x1b[2J:cipher":       `aescbc:"\x1b[2J"`,
		"k8s\x00\n\x0c\n\x02v1\x12\x06Secret":    "",
		`{"kind":"Secret","apiVersion":"v1"}`:    "",
		"":                                       "",
		" k8s:enc:aescbc:v1:key1:after a space ": "",
	} {
		got, err := encryptedBy([]byte(value))
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", value, got, err, want)
		}
	}
	for value, want := range map[string]string{
		"k8s:enc:":                       "no end",
		"k8s:enc:aescbc":                 "no end",
		"k8s:enc:aescbc:v1:key1":         "no end",
		"k8s:enc:aescbc:v2:key1:":        "not known",
		"k8s:enc:rot13:v1:key1:":         "rot13:v1",
		"k8s:enc:kms:v2:vault:":          "names a key by 0 bytes",
		"k8s:enc:kms:v2:vault:\xff\xff":  "KMS envelope",
		"k8s:enc:kms:v2:vault:\x12\x7fa": "KMS envelope",
		"k8s:enc:aescbc:v1:" + strings.Repeat("k", 2*nameLimit) + ":": "no end",
		kmsV2(t, strings.Repeat("k", 2*keyIDLimit)):                   "2048 bytes",
	} {
		if got, err := encryptedBy([]byte(value)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %q, %v; want an error with %q", value, got, err, want)
		}
	}
}

func FuzzEncryptedBy(f *testing.F) {
	for _, seed := range []string{"k8s:enc:aescbc:v1:key1:cipher", "k8s:enc:kms:v1:vault:x", kmsV2(f, "id"), "k8s\x00", "{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		by, err := encryptedBy(value)
		if err == nil && (by == "") == strings.HasPrefix(string(value), "k8s:enc:") {
			t.Errorf("%q is told to be encrypted by %q", value, by)
		}
		if len(by) > 10*(nameLimit+keyIDLimit) || printable(by) != by {
			t.Errorf("the name %q", by)
		}
	})
}
