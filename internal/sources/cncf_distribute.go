package sources

// cncfDistribute are the controls on deployment, development and distribution.
var cncfDistribute = []Item{
	by("251", "The image's signature is of somebody allowed", "deploy/image-identity/not-verified", "deploy/image-identity/strangers-refused").nist("SR-4"),
	by("252", "Policies of images hold before they run", "deploy/image-identity/unknown-images-refused", "deploy/admission/foreign-registry").nist("SI-7"),
	by("253", "Integrity and signature are verified before an image runs", "deploy/image-identity/not-pinned",
		"deploy/image-identity/not-verified").nist("SR-4"),
	no("254", "Applications log who did what, and what failed", "what a program logs is in the program").nist("CM-3"),
	no("255", "Incident response includes forensics", "a plan that people practise"),
	no("256", "Learned models watch behaviour", "how a product decides is its own").nist("SI-3"),
	no("257", "Production has an environment of its own", "what is production is known to people only").nist("SA-3(1)"),
	no("258", "Deployments are dynamic", "how a change comes to the cluster is for people to choose").nist("SA-8(31)"),
	yet("259", "Vulnerabilities and configuration are scanned in editor and CI", "develop/environment: reading CI workflows").nist("SA-11(1)"),
	no("260", "Development, test and production are apart", "what is production is known to people only").nist("SA-15"),
	no("261", "Critical code has tests", "what is critical is known to people only").nist("SA-11"),
	by("262", "Critical infrastructure has tests", "deploy/admission/refused-by-every-way", "compute/pod-security/refused-by-pod-security").
		but("tests other than Bailey's").nist("SA-11"),
	no("263", "Tests run on a developer's machine", "it takes running them").nist("SA-11"),
	no("264", "Tests run in a shared environment", "it takes running them").nist("SA-11"),
	yet("265", "Somebody else approves a change", "develop/code-review: reading merges").nist("SA-11(4)"),
	no("266", "Code is clean and commented", "a matter of judgement"),
	by("267", "Whole infrastructures are tested", "deploy/admission/refused-by-every-way", "network/policy/closed-edges-refused",
		"access/authorization/closed-edges").
		but("tests other than Bailey's").nist("SA-11"),
	no("268", "What was mended is tested for", "whether a test is about a past fault is known to people").nist("SA-11"),
	no("269", "Tests follow new threats", "whether a test is about a new threat is known to people").nist("SA-11"),
	no("270", "Tests have an environment of their own", "what is for tests is known to people only").nist("SA-3(1)"),
	no("271", "The CI server is hardened and apart", "the platform of builds is another one; scan it as such").nist("SC-39"),
	yet("272", "Tests follow the threat model", "develop/threat-model").nist("SA-11(2)"),
	by("273", "The safe configuration is the default", "compute/pod-security/namespace-not-enforced", "compute/syscalls/seccomp-unset",
		"network/policy/no-ingress-policy").nist("SA-8(23)"),
	no("274", "Keys of compromised artifacts are revoked", "what was compromised is known to people"),
	no("275", "Artifacts wait in a staging registry", "which registry is for what is for people to say"),
	yet("276", "Images are hardened", "reading what is in an image"),
	yet("277", "Code is analysed statically", "develop/environment: reading CI workflows"),
	no("278", "Tests form a pyramid", "a matter of judgement"),
	by("279", "Artifacts in the making are in a private registry",
		"deploy/admission/foreign-registry", "distribute/registry-access/image-cache-open").
		but("whether the registry asks who pulls"),
	yet("280", "Manifests are scanned in CI", "develop/environment: reading CI workflows").nist("RA-5"),
	no("281", "CI servers of sensitive workloads are apart", "the platform of builds is another one; scan it as such").nist("SC-39"),
	no("282", "Builds with privileges have machines of their own", "the platform of builds is another one; scan it as such").nist("SC-39"),
	yet("283", "Policies of builds hold in CI", "develop/environment: reading CI workflows").nist("SA-1"),
	by("284", "Metadata of the pipeline are signed", "distribute/signatures/unmet-policy", "distribute/signatures/missing-evidence").nist("SI-7"),
	yet("285", "Build stages are verified before the next", "develop/environment: reading CI workflows").nist("SI-7"),
	yet("286", "Images are scanned in CI", "develop/environment: reading CI workflows").nist("RA-5, SA-3"),
	yet("287", "What a scan finds stops the pipeline", "develop/environment: reading CI workflows").nist("SA-1"),
	by("288", "What runs is tested dynamically", "develop/app-design/routes-protected").
		but("tests of an application's own functions").nist("SA-11"),
	no("289", "Applications are instrumented", "what a program reports is in the program").nist("SI-4"),
	no("290", "Results of tests lead back to requirements", "requirements are texts of people"),
	by("291", "Infrastructure has security tests", "access/api-server/strangers-refused", "access/api-bypass/closed-to-pods",
		"deploy/admission/refused-by-every-way"),
	by("292", "Security is tested at build and at deployment", "deploy/image-identity/unknown-images-refused",
		"compute/pod-security/running-pods-admitted").
		but("tests at build").nist("SI-4"),
	by("293", "Infrastructure code is held to the same policies", "deploy/admission/refused-today").
		but("what runs in CI"),
	by("294", "Security tests are automatic", "deploy/admission/refused-by-every-way", "access/authorization/closed-edges").
		but("tests other than Bailey's").nist("SA-11, CA-8"),
	by("295", "Registries and clients authenticate each other", "distribute/transport/source-plain-text").
		but("registries of images, and client certificates").nist("IA-3(1)"),
	by("296", "Images and metadata are signed", "deploy/image-identity/not-verified", "distribute/signatures/unmet-policy").nist("SI-7"),
	by("297", "Configuration of workloads is signed", "distribute/signatures/source-unverified").
		but("what is deployed otherwise than by Flux").nist("SI-7"),
	by("298", "Packages of workloads are signed", "deploy/image-identity/not-verified").
		but("packages other than images").nist("SI-7"),
	by("299", "Integrity of images is verified", "deploy/image-identity/not-pinned", "deploy/image-identity/not-verified",
		"deploy/image-identity/invalid-reference").nist("SI-7"),
	yet("300", "Images are scanned for vulnerabilities and malware", "distribute/vulnerabilities").nist("RA-5, SA-3"),
	no("301", "Keys of images can be revoked",
		"what was revoked is known to whoever holds the key; a trust policy without it refuses its images").nist("SI-7"),
	yet("302", "Security updates come first", "distribute/updates").nist("SI-2(3)"),
	by("303", "Credentials are kept in hardware or a manager", "storage/app-encryption/secret-in-folder",
		"storage/api-encryption/weak-provider").
		but("where secrets outside of the cluster are").nist("SC-12(3)"),
	yet("304", "What scans find is acted on", "distribute/updates").nist("SI-2(3)"),
	by("305", "The organization's rules hold", "deploy/admission/only-warns", "deploy/admission/unbound",
		"deploy/admission/engine-only-audits").
		but("which rules those are").nist("PL-1"),
	no("306", "Infrastructure is hardened step by step", "it is how people work"),
	by("307", "Pulls from public registries are limited", "deploy/admission/foreign-registry").nist("AC-6(3)"),
	no("308", "Keys of encrypted images are handed out by attestation", "whether an artifact is worth it is for people to say").nist("SC-12(2), SC-12(3)"),
	yet("309", "What attackers use already is mended first", "distribute/vulnerabilities: EPSS and KEV").nist("SI-2(3)"),
}
