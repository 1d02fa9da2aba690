package predicate

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// The limits on a text: its size in bytes, and how deep parentheses may nest,
// which bounds the recursion of the parser and of all that walks the tree.
const (
	maxText  = 64 << 10
	maxDepth = 100
)

// The kinds of tokens. The value of a token is its text as written, but for
// keywords, which are in upper case.
const (
	tokKeyword lexer.TokenType = iota + 1
	tokIdent                   // a bare name
	tokQuoted                  // a quoted name, with its quotes
	tokNumber                  // without a sign
	tokString                  // with its quotes
	tokHex                     // X'...'
	tokNow                     // now(), also with spaces in it
	tokOp
)

// tokens is a text cut into tokens, the last of which is the end of the text.
type tokens struct {
	text string
	list []lexer.Token
	next int
}

// Next gives token after token, as the parser library wants it.
func (t *tokens) Next() (lexer.Token, error) {
	tok := t.list[t.next]
	if t.next < len(t.list)-1 {
		t.next++
	}
	return tok, nil
}

// language names the kinds of tokens for the parser library.
type language struct{}

func (language) Symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{
		"EOF": lexer.EOF, "Keyword": tokKeyword, "Ident": tokIdent, "Quoted": tokQuoted, "Number": tokNumber,
		"String": tokString, "Hex": tokHex, "Now": tokNow, "Op": tokOp,
	}
}

// Lex is never used: texts are cut by tokenize, which knows the keywords.
func (language) Lex(string, io.Reader) (lexer.Lexer, error) {
	return nil, errors.New("texts are cut into tokens beforehand")
}

// tokenize cuts the text into tokens, and checks its size and its depth.
func tokenize(text string, keywords map[string]bool) (*tokens, error) {
	if len(text) > maxText {
		return nil, &Error{Text: text[:runeStart(text, maxText)], Offset: runeStart(text, maxText), What: fmt.Sprintf("the text has %d bytes", len(text)), Remedy: fmt.Sprintf("write at most %d", maxText)}
	}
	t := &tokens{text: text}
	depth := 0
	for i := 0; ; {
		i += len(text[i:]) - len(strings.TrimLeft(text[i:], " \t\r\n"))
		if i == len(text) {
			t.list = append(t.list, lexer.EOFToken(lexer.Position{Offset: i}))
			return t, nil
		}
		n, typ, err := t.token(i)
		if err != nil {
			return nil, err
		}
		value := text[i : i+n]
		if typ == tokIdent && keywords[strings.ToUpper(value)] {
			typ, value = tokKeyword, strings.ToUpper(value)
		}
		switch value {
		case "(":
			if depth++; depth > maxDepth {
				return nil, t.fault(i, fmt.Sprintf("parentheses nest more than %d deep", maxDepth), "write a flatter condition")
			}
		case ")":
			depth--
		}
		t.list = append(t.list, lexer.Token{Type: typ, Value: value, Pos: lexer.Position{Offset: i}})
		i += n
	}
}

func (t *tokens) fault(at int, what, remedy string) *Error {
	return &Error{Text: t.text, Offset: at, What: what, Remedy: remedy}
}

// token finds the length and the kind of the token at i.
func (t *tokens) token(i int) (n int, typ lexer.TokenType, err error) {
	s := t.text[i:]
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == utf8.RuneError && size == 1:
		return 0, 0, t.fault(i, "the text is not UTF-8 here", "")
	case (s[0] == 'x' || s[0] == 'X') && len(s) > 1 && s[1] == '\'':
		n, err = t.quoted(i+1, '\'', "hexadecimal string")
		return n + 1, tokHex, err
	case isNameStart(r):
		n = nameLen(s)
		if k := nowLen(s, n); k > 0 {
			return k, tokNow, nil
		}
		return n, tokIdent, nil
	case isDigit(s[0]) || s[0] == '.' && len(s) > 1 && isDigit(s[1]):
		n = numberLen(s)
		if after, _ := utf8.DecodeRuneInString(s[n:]); isNamePart(after) || after == '.' {
			return 0, 0, t.fault(i, fmt.Sprintf("%q is not a number", quoteShort(s[:n]+string(after))), "separate it, or put a name in double quotes")
		}
		return n, tokNumber, nil
	}
	switch s[0] {
	case '\'':
		n, err = t.quoted(i, '\'', "string")
		return n, tokString, err
	case '"', '`':
		n, err = t.quoted(i, s[0], "column name")
		if err == nil && n == 2 {
			err = t.fault(i, "the column name is empty", "")
		}
		return n, tokQuoted, err
	}
	for _, op := range []string{"<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "+", "-", "*"} {
		if strings.HasPrefix(s, op) {
			if remedy := slips[s[:min(2, len(s))]]; remedy != "" {
				return 0, 0, t.fault(i, fmt.Sprintf("unknown operator %q", s[:2]), remedy)
			}
			return len(op), tokOp, nil
		}
	}
	for slip, remedy := range slips {
		if strings.HasPrefix(s, slip) {
			return 0, 0, t.fault(i, fmt.Sprintf("unknown operator %q", slip), remedy)
		}
	}
	what, remedy := fmt.Sprintf("unexpected character %q", r), ""
	if strings.ContainsRune("\u2018\u2019\u201a\u201c\u201d\u201e\u00b4", r) {
		remedy = "write plain quotes: 'text' for a string, \"name\" for a column"
	}
	return 0, 0, t.fault(i, what, remedy)
}

// slips are operators of other languages.
var slips = map[string]string{"==": "write =", "=>": "write >=", "=<": "write <=", "&&": "write AND", "||": "write OR"}

// quoted finds the length of what the quote at i opens; a doubled quote stands
// for one.
func (t *tokens) quoted(i int, quote byte, what string) (int, error) {
	for j := i + 1; j < len(t.text); j++ {
		if t.text[j] != quote {
			continue
		}
		if j+1 < len(t.text) && t.text[j+1] == quote {
			j++
			continue
		}
		if !utf8.ValidString(t.text[i:j]) {
			return 0, t.fault(i, "the "+what+" is not UTF-8", "")
		}
		return j + 1 - i, nil
	}
	return 0, t.fault(i, "the "+what+" has no end", fmt.Sprintf("close it with %c, and double each %c inside", quote, quote))
}

// unquote takes the quotes off and undoubles those inside.
func unquote(s string) string {
	q := s[:1]
	return strings.ReplaceAll(s[1:len(s)-1], q+q, q)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameStart(r rune) bool { return r == '_' || unicode.IsLetter(r) }

func isNamePart(r rune) bool {
	return r != utf8.RuneError && (isNameStart(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

func nameLen(s string) int {
	for i, r := range s {
		if !isNamePart(r) {
			return i
		}
	}
	return len(s)
}

// nowLen is the length of now() at the start of s, whose first n bytes are a
// name; 0 if it isn't there.
func nowLen(s string, n int) int {
	if !strings.EqualFold(s[:n], "now") {
		return 0
	}
	for _, c := range []string{"(", ")"} {
		rest := strings.TrimLeft(s[n:], " \t\r\n")
		if !strings.HasPrefix(rest, c) {
			return 0
		}
		n = len(s) - len(rest) + 1
	}
	return n
}

func numberLen(s string) int {
	i := digits(s, 0)
	if i < len(s) && s[i] == '.' {
		i = digits(s, i+1)
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if k := digits(s, j); k > j {
			i = k
		}
	}
	return i
}

func digits(s string, i int) int {
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

// runeStart is the last start of a character at or before i.
func runeStart(s string, i int) int {
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}
