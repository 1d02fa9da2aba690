package predicate

import (
	"fmt"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

type columnList struct {
	Items []*columnItem `parser:"@@ ( ',' @@ )*"`
}

type columnItem struct {
	Pos   lexer.Position
	All   bool     `parser:"( @'*'"`
	Name  string   `parser:"| @( Ident | Quoted )"`
	Alias *aliased `parser:"  @@? )"`
}

type aliased struct {
	Pos  lexer.Position
	Name string `parser:"'AS' @( Ident | Quoted )"`
}

var (
	columnKeywords = keywords("AS")
	columnParser   = participle.MustBuild[columnList](participle.Lexer(language{}), participle.UseLookahead(0))
)

func columnExpected(prefix []lexer.Token) string {
	if len(prefix) > 0 {
		switch last := prefix[len(prefix)-1]; {
		case last.Value == "AS" && last.Type == tokKeyword:
			return "a name"
		case last.Value == "*":
			return "a comma or the end"
		case last.Value != ",":
			if len(prefix) > 1 && prefix[len(prefix)-2].Value == "AS" {
				return "a comma or the end"
			}
			return "AS, a comma or the end"
		}
	}
	return "a column, or *"
}

// Output is one column of a projection and the name it is given.
type Output struct {
	Column string // of the table
	Index  int    // of the column in the table's schema
	Name   string // in what is written
}

// Columns reads a projection, such as `id, due AS due_time` or `*`, and binds
// it to the schema of a table. Each text may hold a list itself, separated by
// commas; all together are the projection, in order. A column may be listed
// twice under different names. Errors are of type *Error, several joined.
func Columns(schema *kudu.Schema, texts ...string) ([]Output, error) {
	var out []Output
	var faults []error
	taken := map[string]bool{}
	for _, text := range texts {
		list, err := parseList(columnParser, text, columnKeywords, columnExpected)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		b := &binder{text: text, schema: schema}
		add := func(at int, o Output) {
			if taken[o.Name] {
				b.fault(at, fmt.Sprintf("the name %q is given to two columns", o.Name), "write column AS another_name, or remove one")
				return
			}
			taken[o.Name] = true
			out = append(out, o)
		}
		for _, it := range list.Items {
			if it.All {
				for i := range schema.NumColumns() {
					name := schema.Column(i).Name
					add(it.Pos.Offset, Output{Column: name, Index: i, Name: name})
				}
				continue
			}
			i := b.find(it.Pos.Offset, it.Name)
			if i < 0 {
				continue
			}
			o := Output{Column: schema.Column(i).Name, Index: i, Name: schema.Column(i).Name}
			at := it.Pos.Offset
			if it.Alias != nil {
				at, o.Name = it.Alias.Pos.Offset, bareName(it.Alias.Name)
			}
			add(at, o)
		}
		faults = append(faults, b.faults...)
	}
	return out, joined(faults)
}

// parseList reads one text of a list.
func parseList[T any](p *participle.Parser[T], text string, words map[string]bool, expected func([]lexer.Token) string) (*T, error) {
	toks, err := tokenize(text, words)
	if err != nil {
		return nil, err
	}
	return parseWith(p, toks, expected)
}

// bareName is the name that was written, without its quotes.
func bareName(written string) string {
	if written[0] == '"' || written[0] == '`' {
		return unquote(written)
	}
	return written
}
