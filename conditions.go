package bailey

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// guardKinds are the objects that decide at admission, whatever a plan reads.
var guardKinds = []Kind{
	KindValidatingAdmissionPolicy, KindValidatingAdmissionPolicyBinding,
	KindMutatingAdmissionPolicy, KindMutatingAdmissionPolicyBinding,
	KindValidatingWebhookConfiguration, KindMutatingWebhookConfiguration,
}

// guardsDigest is a digest of the admission policies and webhooks. It is computed
// once for a snapshot.
var guardsDigest = &Derivation{
	Name:  "digest of the guards",
	Needs: guardKinds,
	Compute: func(v *View) any {
		h := sha256.New()
		for _, kind := range guardKinds {
			for _, f := range v.List(kind, "") {
				data, _ := json.Marshal(f.Object) // facts are plain data
				h.Write(append([]byte(f.Ref.String()), data...))
			}
		}
		return string(h.Sum(nil))
	},
}

// PathConditions gives, for each path of the probes that are planned for a scope, a
// digest of what its tries rest on: the probes, the scope's object (by UID, so that one
// that was made anew is another), the admission policies and webhooks that the
// snapshot holds, and the server's version. Tries of several runs add up, and
// count, while it stays the same. A path whose probes are no data has none.
func PathConditions(s *Snapshot, scope Ref, probes []Probe) map[string]string {
	view := NewView(s)
	view.Allow(nil, nil, []*Derivation{guardsDigest})
	rest, _ := view.Derived(guardsDigest).(string)
	rest += s.Meta.Version.String()
	if f := s.Get(scope); f != nil {
		rest += f.UID
	}
	texts := map[string][]byte{}
	for i := range probes {
		name := PathName(probes[i].Name, probes[i].Path)
		data, err := json.Marshal(&probes[i])
		if err != nil {
			continue
		}
		texts[name] = append(append(texts[name], data...), 0)
	}
	digests := make(map[string]string, len(texts))
	for name, text := range texts {
		sum := sha256.Sum256(append(text, rest...))
		digests[name] = hex.EncodeToString(sum[:12])
	}
	return digests
}
