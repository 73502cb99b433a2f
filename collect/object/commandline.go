package object

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
)

// commandLine gives the name of the program that a container runs and its arguments. What
// hands over to a component is looked through: hyperkube, go-runner (which writes a log file,
// as kOps has it) and a shell's -c.
func commandLine(c *corev1.Container) (name string, args []string) {
	if len(c.Command) == 0 {
		// Images whose entry point hands over.
		if len(c.Args) == 0 || strings.HasPrefix(c.Args[0], "-") {
			return "", nil
		}
		return path.Base(c.Args[0]), c.Args[1:]
	}
	name = path.Base(c.Command[0])
	switch name {
	case "hyperkube", "go-runner":
		args = append(append(args, c.Command[1:]...), c.Args...)
		for len(args) > 0 && strings.HasPrefix(args[0], "-") {
			args = args[1:]
		}
		if len(args) == 0 {
			return name, nil
		}
		return path.Base(args[0]), args[1:]
	case "sh", "bash", "ash", "dash":
		words := append(append([]string(nil), c.Command[1:]...), c.Args...)
		for i, word := range words {
			if strings.HasPrefix(word, "-") && strings.HasSuffix(word, "c") && i+1 < len(words) {
				return scriptedComponent(words[i+1])
			}
		}
		return name, nil
	}
	return name, append(append([]string(nil), c.Command[1:]...), c.Args...)
}

// scriptedComponent gives the component that a shell's script starts, and its arguments.
// Of a line with an expansion ($FLAGS) nothing is known.
func scriptedComponent(script string) (name string, args []string) {
	words, known := shellWords(script)
	begins := true // whether a command may begin here
	for i, word := range words {
		if begins && !word.operator {
			name := path.Base(word.text)
			if _, is := bailey.ComponentKind(name); is {
				for _, w := range words[i+1:] {
					if w.operator {
						break
					}
					args = append(args, w.text)
				}
				if !known {
					return "", nil
				}
				return name, args
			}
		}
		begins = word.operator || begins && (leads[word.text] || strings.Contains(word.text, "=") && !strings.HasPrefix(word.text, "-"))
	}
	return "", nil
}

// leads are the words of a script after which a command begins, as after an assignment.
var leads = setOf("exec", "nohup", "do", "then", "else", "{", "!")

// shellWord is a word of a command line, or an operator that ends one.
type shellWord struct {
	text     string
	operator bool
}

// shellWords splits a script into words, without redirections, and reports whether it says
// all that it will run: no expansion, no quote left open.
func shellWords(script string) (words []shellWord, known bool) {
	var word strings.Builder
	inWord, quote, redirects := false, byte(0), false
	known = true
	end := func() {
		if inWord && !redirects {
			words = append(words, shellWord{text: word.String()})
		}
		redirects = redirects && !inWord
		word.Reset()
		inWord = false
	}
	for i := 0; i < len(script); i++ {
		c := script[i]
		known = known && (quote == '\'' || c != '$' && c != '`')
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(script):
			i++
			if script[i] != '\n' {
				word.WriteByte(script[i])
				inWord = true
			}
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == '>' || c == '<':
			if strings.Trim(word.String(), "0123456789") == "" {
				word.Reset() // the number of what is redirected
				inWord = false
			}
			end()
			redirects = true
		case c == '&' && redirects && !inWord:
			// 2>&1
		case c == ';' || c == '&' || c == '|' || c == '(' || c == ')' || c == '\n':
			end()
			redirects = false
			words = append(words, shellWord{operator: true})
		case c == ' ' || c == '\t' || c == '\r':
			end()
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	end()
	return words, known && quote == 0
}
