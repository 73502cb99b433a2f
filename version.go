package bailey

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a minor release of Kubernetes. The zero Version is unknown.
type Version struct{ Major, Minor int }

// LatestVersion is the newest minor that this version of Bailey knows, and the
// one at which files are judged unless told otherwise.
var LatestVersion = Version{1, 37}

// ParseVersion takes "1.37", "v1.37.2", "v1.36.4-eks-1234" and the like.
func ParseVersion(text string) (Version, error) {
	parts := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	if len(parts) >= 2 {
		major, err1 := strconv.Atoi(parts[0])
		minor, err2 := strconv.Atoi(strings.TrimRight(parts[1], "+"))
		if err1 == nil && err2 == nil && major > 0 && minor >= 0 {
			return Version{major, minor}, nil
		}
	}
	return Version{}, fmt.Errorf("%q is not a Kubernetes version: write it like 1.37", text)
}

// IsZero reports whether the version is unknown.
func (v Version) IsZero() bool { return v == Version{} }

// AtLeast reports whether v is the other version or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// String is "1.37", or "unknown".
func (v Version) String() string {
	if v.IsZero() {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d", v.Major, v.Minor)
}

// MarshalText gives "1.37", or nothing for an unknown version.
func (v Version) MarshalText() ([]byte, error) {
	if v.IsZero() {
		return nil, nil
	}
	return []byte(v.String()), nil
}

// UnmarshalText takes what MarshalText gives.
func (v *Version) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*v = Version{}
		return nil
	}
	parsed, err := ParseVersion(string(text))
	if err == nil {
		*v = parsed
	}
	return err
}
