package audit

import "slices"

// ranges is a set of indexes: ordered, from and up to but not including.
type ranges [][2]uint64

// maxRanges bounds it; the oldest hole is then taken for filled.
const maxRanges = 1 << 16

// add adds an index and reports whether it was new.
func (r *ranges) add(index uint64) bool {
	s := *r
	if n := len(s); n > 0 && s[n-1][1] == index {
		s[n-1][1]++
		return true
	}
	i, found := slices.BinarySearchFunc(s, index, func(one [2]uint64, x uint64) int {
		switch {
		case one[1] <= x:
			return -1
		case one[0] > x:
			return 1
		}
		return 0
	})
	if found {
		return false
	}
	after := i < len(s) && s[i][0] == index+1
	if before := i > 0 && s[i-1][1] == index; before && after {
		s[i-1][1] = s[i][1]
		s = slices.Delete(s, i, i+1)
	} else if before {
		s[i-1][1]++
	} else if after {
		s[i][0]--
	} else if s = slices.Insert(s, i, [2]uint64{index, index + 1}); len(s) > maxRanges {
		s[1][0] = s[0][0]
		s = s[1:]
	}
	*r = s
	return true
}

func (r ranges) valid() bool {
	for i, one := range r {
		if one[0] >= one[1] || i > 0 && r[i-1][1] >= one[0] {
			return false
		}
	}
	return true
}
