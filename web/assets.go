package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"

	"github.com/baileyhq/bailey/server"
)

//go:embed static
var staticFiles embed.FS

// assets serves styles, scripts and pictures under an address that bears the hash of all of
// them, so that browsers keep them until they change.
type assets struct {
	prefix string
	files  http.Handler
}

func readAssets() *assets {
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		panic(err)
	}
	sum := sha256.New()
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		sum.Write([]byte(name + "\x00"))
		sum.Write(data)
		return err
	})
	if err != nil {
		panic(err)
	}
	prefix := server.StaticPath + hex.EncodeToString(sum.Sum(nil)[:8]) + "/"
	return &assets{prefix, http.StripPrefix(prefix, http.FileServerFS(files))}
}

// ServeHTTP is of http.Handler.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path[len(r.URL.Path)-1] == '/' { // no listings of folders
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	a.files.ServeHTTP(w, r)
}
