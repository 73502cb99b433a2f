package compute

import "github.com/baileyhq/bailey"

var quotaGuards = []*bailey.Guard{boundedNamespace, needsStated}

var boundedNamespace = &bailey.Guard{
	Name:  "quota-and-defaults",
	Title: "A ResourceQuota bounds the namespace, and a LimitRange gives containers what they do not state",
	Doc: `The quota bounds the pods, the requests and the memory limits of the namespace together. The LimitRange
gives containers that state nothing requests for CPU and memory and a limit for memory, so that the quota
does not refuse them.

Both are sized from what the pods of the namespace request now.`,
	Covers: []*bailey.Rule{noQuota, incompleteQuota, noLimitRange, noRequests, noMemoryLimit},
	Scope:  bailey.ScopeNamespace,
	Needs:  append([]bailey.Kind{bailey.KindResourceQuota, bailey.KindLimitRange}, bailey.PodBearing...),
	Objects: func(v *bailey.View, scope bailey.Ref) []bailey.Change {
		var changes []bailey.Change
		if defaultsIn(v.List(bailey.KindLimitRange, scope.Name))&wantedDefaults != wantedDefaults {
			changes = append(changes, limitRangeChange(v, scope.Name))
		}
		if boundsIn(v.List(bailey.KindResourceQuota, scope.Name)) != allBounds {
			changes = append(changes, quotaChange(v, scope.Name))
		}
		return changes
	},
	Present: func(v *bailey.View, scope bailey.Ref) bailey.Presence {
		if open := allBounds &^ boundsIn(v.List(bailey.KindResourceQuota, scope.Name)); open != 0 {
			return bailey.Presence{Why: "no ResourceQuota bounds " + open.names()}
		}
		open := wantedDefaults &^ defaultsIn(v.List(bailey.KindLimitRange, scope.Name))
		if requests := open & (cpuRequest | memoryRequest); requests != 0 {
			return bailey.Presence{Why: "no LimitRange gives containers requests for " + requests.names(" and ")}
		}
		if open != 0 {
			return bailey.Presence{Why: "no LimitRange gives containers a limit for memory"}
		}
		return bailey.Presence{InPlace: true, Why: "a ResourceQuota bounds CPU, memory and pods, and a LimitRange gives containers requests and a memory limit"}
	},
}
