// Answers what Go's regexp makes of a pattern and a text: one JSON object a line, in and out. It is run with `go run`, needs nothing but the
// standard library, and stands in for blackbox_exporter, which hands its patterns to the same package.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
	"regexp/syntax"
	"time"
)

type question struct {
	Pattern  string `json:"pattern"`
	Text     []byte `json:"text"` // base64
	Template string `json:"template,omitempty"`
	Timed    bool   `json:"timed,omitempty"`
}

type answer struct {
	Error    string  `json:"error,omitempty"`
	Groups   []int   `json:"groups,omitempty"` // pairs of begin and end in bytes; none if there is no match
	Expanded *[]byte `json:"expanded,omitempty"`
	Ns       int64   `json:"ns,omitempty"` // how long it took to tell whether there is a match
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		if err := answers.Encode(answerTo(asked)); err != nil {
			panic(err)
		}
	}
}

func answerTo(asked question) answer {
	compiled, err := regexp.Compile(asked.Pattern)
	if err != nil {
		if fault, ok := err.(*syntax.Error); ok && fault.Expr != "" {
			return answer{Error: fault.Code.String() + ": `" + fault.Expr + "`"}
		}
		return answer{Error: string(err.(*syntax.Error).Code)}
	}
	if asked.Timed {
		started := time.Now()
		compiled.Match(asked.Text)
		return answer{Ns: time.Since(started).Nanoseconds()}
	}
	groups := compiled.FindSubmatchIndex(asked.Text)
	given := answer{Groups: groups}
	if groups != nil && asked.Template != "" {
		expanded := compiled.Expand([]byte{}, []byte(asked.Template), asked.Text, groups)
		given.Expanded = &expanded
	}
	return given
}
