package trust

// matching counts authorities so that each has a signer of its own: one key that two
// authorities hold, or one identity that two name, is one signer.
type matching struct {
	signers map[int][]string // of an authority, in the order of the evidence
	found   map[edge]Evidence
	owner   map[string]int // the authority that a signer counts for
	order   []int          // authorities with evidence
}

type edge struct {
	authority int
	signer    string
}

func newMatching() *matching {
	return &matching{signers: map[int][]string{}, found: map[edge]Evidence{}, owner: map[string]int{}}
}

// add notes evidence of an authority. The evidence of one authority comes together.
func (m *matching) add(authority int, e Evidence) {
	signer := e.Signer + "\x00" + e.Issuer
	at := edge{authority, signer}
	if _, known := m.found[at]; known {
		return
	}
	m.found[at] = e
	if len(m.signers[authority]) == 0 {
		m.order = append(m.order, authority)
	}
	m.signers[authority] = append(m.signers[authority], signer)
}

// evidence is one piece for each of as many authorities as can have different signers.
func (m *matching) evidence() []Evidence {
	clear(m.owner)
	for _, authority := range m.order {
		m.place(authority, map[string]bool{})
	}
	var all []Evidence
	for _, authority := range m.order {
		for _, signer := range m.signers[authority] {
			if owner, taken := m.owner[signer]; taken && owner == authority {
				all = append(all, m.found[edge{authority, signer}])
			}
		}
	}
	return all
}

// place gives the authority a signer; one that another has, if that one can take another.
func (m *matching) place(authority int, tried map[string]bool) bool {
	for _, signer := range m.signers[authority] {
		if tried[signer] {
			continue
		}
		tried[signer] = true
		if owner, taken := m.owner[signer]; !taken || m.place(owner, tried) {
			m.owner[signer] = authority
			return true
		}
	}
	return false
}
