package sources

import "slices"

var cis = &Source{
	Name: "CIS Kubernetes Benchmark", Edition: "v1.12; v1.11 numbers its items the same",
	URL:   "https://www.cisecurity.org/benchmark/kubernetes",
	Note:  "Every recommendation, by its number. The rules bear the same references.",
	Items: slices.Concat(cisControlPlane, cisNodes, cisPolicies),
}
