package web

import (
	"embed"
	"html/template"
	"io/fs"
	"path"
	"strings"
)

//go:embed templates
var templateFiles embed.FS

// pages holds a template for each page: the frame and the parts with what is its own.
type pages map[string]*template.Template

// parsePages reads templates/*.tmpl, the frame and parts, and templates/pages/*.tmpl, each of
// which defines "main". They are compiled in, so that an error is a defect.
func parsePages() pages {
	parts := template.Must(template.New("").Funcs(words).ParseFS(templateFiles, "templates/*.tmpl"))
	files, err := fs.Glob(templateFiles, "templates/pages/*.tmpl")
	if err != nil {
		panic(err)
	}
	all := pages{}
	for _, file := range files {
		t := template.Must(template.Must(parts.Clone()).ParseFS(templateFiles, file))
		all[strings.TrimSuffix(path.Base(file), ".tmpl")] = t
	}
	return all
}
