package bailey

import "strings"

// Pointer is the JSON pointer (RFC 6901) to what stands at the path.
func Pointer(path ...string) string {
	var b strings.Builder
	for _, key := range path {
		b.WriteString("/" + PointerPart(key))
	}
	return b.String()
}

// PointerPath is the path that a JSON pointer leads down.
func PointerPath(pointer string) []string {
	if pointer == "" {
		return nil
	}
	path := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, part := range path {
		path[i] = PointerKey(part)
	}
	return path
}

// PointerPart writes a key as one part of a JSON pointer.
func PointerPart(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// PointerKey reads one part of a JSON pointer.
func PointerKey(part string) string {
	return strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
}
