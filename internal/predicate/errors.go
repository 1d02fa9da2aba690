package predicate

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is a fault in a text of this language, at one place of it.
type Error struct {
	Text   string // the whole text
	Offset int    // where the fault begins, bytes, 0..len(Text)
	What   string // what is wrong, without the place
	Remedy string // what was expected or what to do; may be empty
}

// Message is the fault in one line, without the excerpt.
func (e *Error) Message() string {
	if e.Remedy == "" {
		return e.What
	}
	return e.What + ": " + e.Remedy
}

// Position gives the place as a line and a character in it, both from 1.
func (e *Error) Position() (line, char int) {
	before := e.Text[:e.Offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}

// Error gives the place and the message, the line of the text and below it a
// caret under the character.
func (e *Error) Error() string {
	line, char := e.Position()
	at := fmt.Sprintf("at character %d", char)
	if strings.ContainsRune(e.Text, '\n') {
		at = fmt.Sprintf("at line %d, character %d", line, char)
	}
	return at + ": " + e.Message() + "\n" + e.Excerpt()
}

// The most characters that an excerpt of a long line shows before and after the
// fault.
const excerptBefore, excerptAfter = 50, 30

// Excerpt is the line of the text and a second line with a caret, both
// indented by four spaces. Of a long line only the surroundings are shown.
func (e *Error) Excerpt() string {
	start := strings.LastIndexByte(e.Text[:e.Offset], '\n') + 1
	before := printable(e.Text[start:e.Offset])
	rest := e.Text[e.Offset:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	after := printable(rest)
	if len(before)+len(after) > excerptBefore+excerptAfter {
		if len(before) > excerptBefore {
			before = append([]rune("..."), before[len(before)-excerptBefore:]...)
		}
		if len(after) > excerptAfter {
			after = append(after[:excerptAfter:excerptAfter], []rune("...")...)
		}
	}
	return "    " + string(before) + string(after) + "\n    " + strings.Repeat(" ", len(before)) + "^"
}

// printable keeps each character one column wide, as far as a terminal can be
// foreseen.
func printable(s string) []rune {
	out := make([]rune, 0, min(len(s), 256))
	for _, r := range s {
		switch {
		case r == '\t' || r == '\r':
			r = ' '
		case !unicode.IsPrint(r):
			r = '?'
		}
		out = append(out, r)
	}
	return out
}

// quoteShort quotes a piece of the text for a message, cut when it is long.
func quoteShort(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) > most {
		r := []rune(s)
		s = string(r[:most]) + "..."
	}
	return string(printable(s))
}

// nearest is the name that was probably meant, "" if none is close.
func nearest(name string, names func(yield func(string) bool)) string {
	best, bestDist := "", 1+max(1, min(3, utf8.RuneCountInString(name)/3))
	lower := []rune(strings.ToLower(name))
	if len(lower) > 256 {
		return ""
	}
	for n := range names {
		if d := distance(lower, []rune(strings.ToLower(n)), bestDist); d < bestDist {
			best, bestDist = n, d
		}
	}
	return best
}

// distance counts the characters to insert, drop, replace or swap with their
// neighbour to make b of a; limit and more count as limit.
func distance(a, b []rune, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range a {
		cur[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			cur[j+1] = min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cur[j+1] = min(cur[j+1], prev2[j-1]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return min(prev[len(b)], limit)
}
