package predicate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The tree of a condition, as the parser library fills it from the tags. The
// next token decides each choice, so that the parser never goes back: the time
// is linear, and a fault is found where it is.

type orExpr struct {
	Terms []*andExpr `parser:"@@ ( 'OR' @@ )*"`
}

type andExpr struct {
	Factors []*notExpr `parser:"@@ ( 'AND' @@ )*"`
}

type notExpr struct {
	Nots  []string    `parser:"@'NOT'*"`
	Group *orExpr     `parser:"( '(' @@ ')'"`
	Test  *comparison `parser:"| @@ )"`
}

type comparison struct {
	Left  *operand `parser:"@@"`
	Op    string   `parser:"( @('=' | '<>' | '!=' | '<=' | '<' | '>=' | '>')"`
	Right *operand `parser:"  @@"`
	Is    *isNull  `parser:"| 'IS' @@"`
	Set   *setTest `parser:"| @@ )?"`
}

type isNull struct {
	Not bool `parser:"@'NOT'? 'NULL'"`
}

type setTest struct {
	Not    bool       `parser:"@'NOT'?"`
	In     []*operand `parser:"( 'IN' '(' @@ ( ',' @@ )* ')'"`
	Lower  *operand   `parser:"| 'BETWEEN' @@"`
	Upper  *operand   `parser:"  'AND' @@"`
	Like   *operand   `parser:"| 'LIKE' @@"`
	Escape *operand   `parser:"  ( 'ESCAPE' @@ )? )"`
}

// operand is a column or a value; which of them a word is, its place tells.
type operand struct {
	Pos    lexer.Position
	Now    bool     `parser:"( @Now"`
	Shifts []*shift `parser:"  @@*"`
	Sign   string   `parser:"| @('-' | '+')?"`
	Number string   `parser:"  ( @Number"`
	Text   string   `parser:"  | @String"`
	Hex    string   `parser:"  | @Hex"`
	Bool   string   `parser:"  | @('TRUE' | 'FALSE')"`
	Null   bool     `parser:"  | @'NULL'"`
	Name   string   `parser:"  | @( Ident | Quoted ) ) )"`
}

// shift moves now().
type shift struct {
	Pos    lexer.Position
	Sign   string      `parser:"@('+' | '-') 'INTERVAL'"`
	Amount lexer.Token `parser:"@( Number | String )"`
	Unit   lexer.Token `parser:"@Ident"`
}

var (
	whereKeywords = keywords("AND OR NOT IN BETWEEN IS NULL LIKE ESCAPE TRUE FALSE INTERVAL")
	whereParser   = participle.MustBuild[orExpr](participle.Lexer(language{}), participle.UseLookahead(0))
)

func keywords(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// Expr is a condition that was parsed, not yet bound to a table.
type Expr struct {
	text string
	root *orExpr
}

// String is the text that was parsed.
func (e *Expr) String() string { return e.text }

// Parse reads a condition. The error is an *Error.
func Parse(text string) (*Expr, error) {
	toks, err := tokenize(text, whereKeywords)
	if err != nil {
		return nil, err
	}
	root, err := parseWith(whereParser, toks, whereExpected)
	if err != nil {
		return nil, err
	}
	return &Expr{text: text, root: root}, nil
}

// parseWith runs the parser and says its faults in our words.
func parseWith[T any](parser *participle.Parser[T], toks *tokens, expected func([]lexer.Token) string) (*T, error) {
	lex, err := lexer.Upgrade(toks)
	if err != nil {
		return nil, err
	}
	root, err := parser.ParseFromLexer(lex)
	if err == nil {
		return root, nil
	}
	at := len(toks.text)
	var pe participle.Error
	if errors.As(err, &pe) {
		at = pe.Position().Offset
	}
	i := 0
	for i < len(toks.list)-1 && toks.list[i].Pos.Offset < at {
		i++
	}
	tok, remedy := toks.list[i], expected(toks.list[:i])
	what := "the text ends too early"
	if !tok.EOF() {
		what = "unexpected " + quoteShort(tok.Value)
		if tok.Type == tokKeyword {
			what = fmt.Sprintf("unexpected keyword %s", tok.Value)
			if after := toks.list[i+1]; strings.Contains(remedy, "column") && (after.EOF() || after.Type == tokOp && after.Value != "(") {
				remedy += fmt.Sprintf("; a column of that name is written \"%s\"", toks.text[at:at+len(tok.Value)])
			}
		}
	}
	return nil, toks.fault(tok.Pos.Offset, what, "expected "+remedy)
}

// expectation is what may stand next in a condition.
type expectation int

const (
	wantCondition expectation = iota
	wantComparison
	wantSetTest
	wantNullOrNot
	wantNull
	wantList
	wantValue
	wantPattern
	wantEscape
	afterTest
	wantInterval
	wantAmount
	wantUnit
)

var expectations = [...]string{
	wantCondition:  "a condition, such as column = value",
	wantComparison: "=, <>, <, <=, >, >=, [NOT] IN, [NOT] BETWEEN, [NOT] LIKE or IS [NOT] NULL",
	wantSetTest:    "IN, BETWEEN or LIKE",
	wantNullOrNot:  "NULL or NOT NULL",
	wantNull:       "NULL",
	wantList:       "( and a list of values",
	wantValue:      "a value",
	wantPattern:    "a pattern in single quotes",
	wantEscape:     "one character in single quotes",
	afterTest:      "AND, OR or the end of the condition",
	wantInterval:   "INTERVAL, such as INTERVAL 5 MINUTE",
	wantAmount:     "a whole number",
	wantUnit:       "a unit: " + unitNames,
}

// whereExpected says what may follow tokens that begin a right condition.
func whereExpected(prefix []lexer.Token) string {
	state, resume := wantCondition, wantCondition
	list, between, depth := false, false, 0
	for _, t := range prefix {
		v := t.Value
		if t.Type != tokKeyword && t.Type != tokOp {
			v = "" // a name or a value
		}
		switch {
		case state == wantInterval:
			state = wantAmount
		case state == wantAmount:
			state = wantUnit
		case state == wantUnit:
			state = resume
		case v == "OR" || v == "AND" && !between:
			state = wantCondition
		case v == "AND":
			state, between = wantValue, false
		case v == "NOT" && state == wantComparison:
			state = wantSetTest
		case v == "NOT" && state == wantNullOrNot:
			state = wantNull
		case v == "IS":
			state = wantNullOrNot
		case v == "IN":
			state = wantList
		case v == "BETWEEN":
			state, between = wantValue, true
		case v == "LIKE":
			state = wantPattern
		case v == "ESCAPE":
			state = wantEscape
		case v == "(" && state == wantList:
			state, list = wantValue, true
		case v == "(":
			depth++
		case v == ")" && list:
			state, list = afterTest, false
		case v == ")":
			state, depth = afterTest, depth-1
		case v == "," || slices.Contains([]string{"=", "<>", "!=", "<=", "<", ">=", ">"}, v):
			state = wantValue
		case v == "+" || v == "-":
			if state == wantComparison || state == afterTest {
				state, resume = wantInterval, state
			}
		case v == "NOT":
		case state == wantCondition:
			state = wantComparison
		default:
			state = afterTest
		}
	}
	switch {
	case state == afterTest && list:
		return "a comma or )"
	case state == afterTest && between:
		return "AND and the upper bound"
	case state == afterTest && depth > 0:
		return "AND, OR or )"
	}
	return expectations[state]
}
