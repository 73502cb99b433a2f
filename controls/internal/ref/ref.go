// Package ref writes the references of controls and rules in short form.
package ref

import (
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// cisVersion is the edition of the CIS benchmark that CIS item numbers are of.
const cisVersion = "v1.12"

// CNCF points at a row of the CNCF controls catalogue by its number: 141 to 194
// are of the supply chain paper, 195 to 345 of the white paper v2, and those
// below are of its v1 and recur in v2. The title is in our words.
func CNCF(row int, title string) bailey.Reference {
	return bailey.Reference{
		Source: bailey.SourceCNCF, ID: strconv.Itoa(row), Title: title,
		URL: "https://github.com/cloud-native-security-controls/controls-catalog",
	}
}

// NIST points at a control of NIST SP 800-53 revision 5 ("AC-6", "AC-6(9)"),
// with the control's own name as its title. One that nistTitles lacks gets no
// title, which the test of the catalogue reports.
func NIST(id string) bailey.Reference {
	return bailey.Reference{
		Source: bailey.SourceNIST, ID: id, Title: nistTitles[id],
		URL: "https://csrc.nist.gov/pubs/sp/800/53/r5/upd1/final",
	}
}

// CIS points at a recommendation of the CIS Kubernetes Benchmark, edition
// v1.12, by its number. The title is in our words.
func CIS(item, title string) bailey.Reference {
	return bailey.Reference{
		Source: bailey.SourceCIS, ID: cisVersion + " " + item, Title: title,
		URL: "https://www.cisecurity.org/benchmark/kubernetes",
	}
}

// NSA points at a section of the NSA/CISA Kubernetes Hardening Guide,
// version 1.2, by its heading.
func NSA(section string) bailey.Reference {
	return bailey.Reference{
		Source: bailey.SourceNSA, ID: section,
		URL: "https://media.defense.gov/2022/Aug/29/2003066362/-1/-1/0/CTR_KUBERNETES_HARDENING_GUIDANCE_1.2_20220829.PDF",
	}
}

// ATTACK points at a technique of the ATT&CK matrix for containers ("T1610",
// "T1552.007"), with the technique's own name as its title. One that
// techniqueTitles lacks gets no title, which the test of the catalogue reports.
func ATTACK(id string) bailey.Reference {
	return bailey.Reference{
		Source: bailey.SourceATTACK, ID: id, Title: techniqueTitles[id],
		URL: "https://attack.mitre.org/techniques/" + strings.ReplaceAll(id, ".", "/") + "/",
	}
}

// Kubernetes points at a page of the Kubernetes documentation by its path
// after /docs/ ("concepts/security/pod-security-standards/") and its title.
func Kubernetes(path, title string) bailey.Reference {
	return bailey.Reference{
		Source: bailey.SourceKubernetes, Title: title,
		URL: "https://kubernetes.io/docs/" + path,
	}
}

// Page points at a page of any other source.
func Page(source, title, url string) bailey.Reference {
	return bailey.Reference{Source: source, Title: title, URL: url}
}
