package web

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

type workloadsBody struct {
	server.WorkloadList
	Filters *filters
	Pager   pager
}

// kindOptions are the kinds of workloads.
var kindOptions = func() []option {
	all := []option{{"", "all"}}
	for _, k := range bailey.PodBearing {
		all = append(all, option{string(k), shortKind(k)})
	}
	return all
}()

// workloadRows is how many workloads one page lists.
const workloadRows = 50

func (s *site) workloads(v *visit) error {
	form := v.filters()
	f := server.WorkloadFilter{
		Text:      form.text("Name begins", "q"),
		Namespace: form.name("Namespace", "namespace", 63),
		Kind:      bailey.Kind(form.choice("Kind", "kind", kindOptions...)),
		Order:     form.order(option{"name", "by name"}, option{"findings", "worst findings first"}),
		Cursor:    v.cursor(), Limit: workloadRows,
	}
	if form.err != nil {
		return form.err
	}
	if v.wantsCSV() {
		f.Limit = exportPage
		head := []string{"kind", "namespace", "name", "critical", "high", "medium", "low", "info", "gaps", "unknown", "sound", "guarded", "proven"}
		return v.export("workloads", head, func(row func(...any) bool) error {
			return eachPage(func(cursor string) (string, error) {
				f.Cursor = cursor
				list, err := s.Desk.Workloads(v.r.Context(), v.ask, f)
				for _, w := range list.Workloads {
					c, r := w.Findings, w.Rungs
					if !row(w.Object.Kind, w.Object.Namespace, w.Object.Name, c.Critical, c.High, c.Medium, c.Low, c.Info, r.Gap, r.Unknown, r.Sound, r.Guarded, r.Proven) {
						return "", err
					}
				}
				return list.Next, err
			})
		})
	}
	list, err := s.Desk.Workloads(v.r.Context(), v.ask, f)
	if err != nil {
		return err
	}
	v.page.Stream = "report"
	return v.show("workloads", "workloads", "Workloads", workloadsBody{list, form, v.paged(len(list.Workloads), list.Next, 0)})
}

type objectBody struct {
	server.WorkloadPage
	Open, Accepted []server.Finding
	Waived         bool // some of Accepted are
	Cut            int  // how many findings are not shown
	Guards         []guardRow
}

// objectFindings is how many findings the page of one object lists.
const objectFindings = 100

func (s *site) object(v *visit) error {
	ref := bailey.Ref{Kind: bailey.Kind(v.r.PathValue("kind")), Namespace: v.r.PathValue("ns"), Name: v.r.PathValue("object")}
	if ref.Namespace == noNamespace {
		ref.Namespace = ""
	}
	w, err := s.Desk.Workload(v.r.Context(), v.ask, ref)
	if err != nil {
		return err
	}
	if v.wantsCSV() {
		return v.export("object", findingHead, func(row func(...any) bool) error {
			for i := range w.Findings {
				if !findingRow(row, &w.Findings[i]) {
					break
				}
			}
			return nil
		})
	}
	b := objectBody{WorkloadPage: w, Cut: max(0, len(w.Findings)-objectFindings)}
	for _, f := range w.Findings[:len(w.Findings)-b.Cut] {
		if f.Waiver == nil && !f.Baseline {
			b.Open = append(b.Open, f)
			continue
		}
		b.Accepted = append(b.Accepted, f)
		b.Waived = b.Waived || f.Waiver != nil
	}
	for _, g := range w.Guards {
		b.Guards = append(b.Guards, rowOf(g))
	}
	v.page.Stream = "report"
	return v.show("object", "workloads", w.Object.Name, b)
}
