package store

import (
	"slices"

	"github.com/baileyhq/bailey"
)

// Access says what whoever asks may see. The zero Access sees nothing.
type Access struct {
	all        bool
	namespaces []string
}

// Everything sees every namespace, and what belongs to none.
func Everything() Access { return Access{all: true} }

// Only sees these namespaces, their Namespace objects, and nothing that belongs to the
// cluster as a whole. Of no namespaces it sees nothing.
func Only(namespaces ...string) Access {
	var list []string
	for _, n := range namespaces {
		if n = clean(n); n != "" && n != everyNamespace {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return Access{namespaces: slices.Compact(list)}
}

// sees reports whether what belongs to the namespace may be seen.
func (a Access) sees(namespace string) bool {
	if a.all {
		return true
	}
	_, found := slices.BinarySearch(a.namespaces, namespace)
	return found
}

// within gives the namespaces that are both asked for and allowed; all if there is no
// limit.
func (a Access) within(asked []string) (namespaces []string, all bool) {
	if len(asked) == 0 {
		return a.namespaces, a.all
	}
	for _, n := range asked {
		if n = clean(n); a.sees(n) {
			namespaces = append(namespaces, n)
		}
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces), false
}

// limit gives a condition on a column that holds a namespace: "" where there is no limit.
func (a Access) limit(column string, asked []string) (condition string, args []any) {
	namespaces, all := a.within(asked)
	switch {
	case all:
		return "", nil
	case len(namespaces) == 0:
		return " AND 1 = 0", nil
	}
	return " AND " + column + " IN (" + marks(len(namespaces)) + ")", anys(namespaces)
}

// everyNamespace stands for all of them in counts. No namespace can have this name.
const everyNamespace = "*"

// home gives the namespace that an object belongs to: a Namespace belongs to itself, so
// that its tenants see what is found in it.
func home(o bailey.Ref) string {
	if o.Kind == bailey.KindNamespace {
		return clean(o.Name)
	}
	return clean(o.Namespace)
}

// back gives the reference whose home, kind and name these are.
func back(namespace, kind, name string) bailey.Ref {
	if bailey.Kind(kind) == bailey.KindNamespace {
		namespace = ""
	}
	return bailey.Ref{Kind: bailey.Kind(kind), Namespace: namespace, Name: name}
}
