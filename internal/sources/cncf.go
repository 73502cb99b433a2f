package sources

import "slices"

var cncf = &Source{
	Name: "CNCF controls catalogue", Edition: "v2",
	URL: "https://github.com/cloud-native-security-controls/controls-catalog",
	Note: "Its rows 141 to 345 by their number, with its mapping to NIST SP 800-53r5. Rows 1 to 140, of the white paper's first " +
		"version, recur among 195 to 345 word for word.",
	Items: slices.Concat(cncfSupplyChain, cncfRuntime, cncfDistribute, cncfAssurance),
}
