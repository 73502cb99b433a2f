package admission

import (
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
)

// Enforced gives the Pod Security level that a namespace with these labels
// enforces, and the version it is judged at on a server of the given version. A
// level that does not parse is enforced as restricted, as the server does.
func Enforced(labels map[string]string, server bailey.Version) (api.Level, bailey.Version) {
	level, found := labels[api.EnforceLevelLabel]
	if !found {
		return api.LevelPrivileged, server
	}
	parsed, err := api.ParseLevel(level)
	if err != nil {
		return api.LevelRestricted, server
	}
	pinned := server
	if text, found := strings.CutPrefix(labels[api.EnforceVersionLabel], "v1."); found {
		if minor, err := strconv.Atoi(text); err == nil && minor >= 0 && minor < server.Minor {
			pinned.Minor = minor
		}
	}
	return parsed, pinned
}

// standard is one level of the Pod Security Standards at one version.
type standard struct {
	level   api.Level
	version bailey.Version
}

// standards holds the checks of each standard that was asked for.
var standards sync.Map // standard -> []policy.CheckPodFn

// Refuses gives the reason for which Pod Security would refuse a pod at the
// level and version: the first check that it fails, in the words of that check.
// It is empty for a pod that is admitted.
func Refuses(level api.Level, version bailey.Version, meta *metav1.ObjectMeta, spec *corev1.PodSpec) string {
	if level == api.LevelPrivileged {
		return ""
	}
	key := standard{level, version}
	checks, found := standards.Load(key)
	if !found {
		checks, _ = standards.LoadOrStore(key, checksOf(level, version))
	}
	for _, check := range checks.([]policy.CheckPodFn) {
		if result := check(meta, spec); !result.Allowed {
			if result.ForbiddenDetail == "" {
				return result.ForbiddenReason
			}
			return result.ForbiddenReason + " (" + result.ForbiddenDetail + ")"
		}
	}
	return ""
}

// checksOf chooses from upstream's checks those of a level, each in the newest
// form that the version has, without the baseline ones that a restricted one
// replaces.
func checksOf(level api.Level, version bailey.Version) []policy.CheckPodFn {
	at := api.MajorMinorVersion(version.Major, version.Minor)
	replaced := map[policy.CheckID]bool{}
	chosen := map[policy.CheckID]policy.CheckPodFn{}
	all := policy.DefaultChecks()
	for _, c := range all {
		if c.Level == api.LevelRestricted && level != api.LevelRestricted {
			continue
		}
		var newest *policy.VersionedCheck
		for i := range c.Versions {
			if !at.Older(c.Versions[i].MinimumVersion) {
				newest = &c.Versions[i]
			}
		}
		if newest == nil {
			continue
		}
		chosen[c.ID] = newest.CheckPod
		for _, id := range newest.OverrideCheckIDs {
			replaced[id] = true
		}
	}
	var checks []policy.CheckPodFn
	for _, c := range all {
		if check := chosen[c.ID]; check != nil && !replaced[c.ID] {
			checks = append(checks, check)
		}
	}
	return checks
}
