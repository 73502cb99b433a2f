package web

import "strings"

// block is a paragraph or a list of the documentation of controls and rules, which is Markdown
// without headings, pictures or markup.
type block struct {
	List  bool
	Items [][]run // one for a paragraph
}

// run is a stretch of text in one style. Href is only ever an https address.
type run struct {
	Text string
	Code bool
	Href string
}

// prose takes a text apart. What it does not know stays as it is written; templates escape it.
func prose(text string) []block {
	var blocks []block
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		b := block{}
		for line := range strings.SplitSeq(part, "\n") {
			item, isItem := strings.CutPrefix(line, "- ")
			switch {
			case isItem && !b.List && len(b.Items) > 0: // the paragraph before the list
				blocks = append(blocks, b)
				b = block{List: true, Items: [][]run{runs(item)}}
			case isItem || len(b.Items) == 0:
				b.List = isItem
				b.Items = append(b.Items, runs(item))
			default:
				last := len(b.Items) - 1
				b.Items[last] = append(b.Items[last], runs(" "+strings.TrimSpace(line))...)
			}
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func runs(text string) []run {
	var out []run
	for text != "" {
		tick, bracket := strings.IndexByte(text, '`'), strings.IndexByte(text, '[')
		if tick >= 0 && (bracket < 0 || tick < bracket) {
			if code, rest, closed := strings.Cut(text[tick+1:], "`"); closed {
				out = append(out, run{Text: text[:tick]}, run{Text: code, Code: true})
				text = rest
				continue
			}
		}
		if bracket >= 0 {
			label, rest, found := strings.Cut(text[bracket+1:], "](")
			href, rest, closed := strings.Cut(rest, ")")
			if found && closed && strings.HasPrefix(href, "https://") && !strings.Contains(label, "[") {
				out = append(out, runs(text[:bracket])...)
				out = append(out, run{Text: label, Href: href})
				text = rest
				continue
			}
		}
		return append(out, run{Text: text})
	}
	return out
}
