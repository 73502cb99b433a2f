package bailey

// Setting is something that a component of the platform should be started with. It is
// no object of the API: somebody writes it on the machines that run the component.
type Setting struct {
	// Component is the program: kube-apiserver, kubelet.
	Component string `json:"component"`
	// Flag is a command-line flag, without dashes; Field is the path of a field of the
	// component's configuration document ("authentication.anonymous.enabled"). One of
	// them is set.
	Flag  string `json:"flag,omitempty"`
	Field string `json:"field,omitempty"`
	// Value is what it should be: of a flag its text, of a field a JSON value. It is nil
	// where nothing is to be written, and Note says what a person must look at.
	Value any `json:"value,omitempty"`
	// File is the configuration file that the flag names; nil if it names none.
	File *SettingFile `json:"file,omitempty"`
	// Policies are admission policies and their bindings for PolicyFolder, which can be in
	// force as files of the API server only.
	Policies []Change `json:"policies,omitempty"`
	// Replaces names the flags that are left out beside this one.
	Replaces []string `json:"replaces,omitempty"`
	// Why says what it is good for; Note what a person must decide or do first.
	Why  string `json:"why"`
	Note string `json:"note,omitempty"`
	// Seen says what the components that were seen have in its place; empty where none
	// was seen.
	Seen []SettingSeen `json:"seen,omitempty"`
}

// Name is the flag or field as its component's documentation writes it.
func (s *Setting) Name() string {
	if s.Flag != "" {
		return "--" + s.Flag
	}
	return s.Field
}

// SettingFile is a configuration file of a component.
type SettingFile struct {
	// Name is the file's own name, without a folder.
	Name string `json:"name"`
	// Text is YAML with comments. Where a secret key belongs it holds KeyHere.
	Text string `json:"text"`
}

// SettingSeen is what one component has in the place of a setting.
type SettingSeen struct {
	// Component is the program and its fact's name: "kube-apiserver@cp-1".
	Component string `json:"component"`
	// Value is as it was seen; empty if it is not set.
	Value string `json:"value,omitempty"`
}

// KeyHere stands in a SettingFile where a secret key belongs: 32 random bytes in base64.
const KeyHere = "PUT-32-RANDOM-BYTES-IN-BASE64-HERE"

// SettingsFolder is where the written files belong on a machine of the control plane.
const SettingsFolder = "/etc/kubernetes/bailey"

// PolicyFolder is the folder in SettingsFolder that holds admission policies as files.
const PolicyFolder = "policies"
