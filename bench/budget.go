package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// errOver tells that a part was measured whole, and that something of it is over its budget.
var errOver = errors.New("over budget")

// budgets notes what is over its budget, so that a part measures and prints all of it before it fails.
type budgets struct{ over []string }

// holds notes what was measured if it is over the budget, and gives the mark that is printed behind it then.
func holds[T cmp.Ordered](b *budgets, what string, measured, budget T, show func(T) string) (mark string) {
	if measured <= budget {
		return ""
	}
	b.over = append(b.over, fmt.Sprintf("%s: %s where %s is the most", what, show(measured), show(budget)))
	return "  over"
}

// err names all that is over its budget; nil if nothing is.
func (b *budgets) err() error {
	if len(b.over) == 0 {
		return nil
	}
	return fmt.Errorf("%w\n  %s", errOver, strings.Join(b.over, "\n  "))
}

func percent(x float64) string { return fmt.Sprintf("%.2f %%", x) }

func kB(bytes int) string { return fmt.Sprintf("%.1f kB", float64(bytes)/1000) }
