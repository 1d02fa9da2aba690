package predicate

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// pattern is a LIKE pattern, made ready.
type pattern struct {
	// prefix is the text before the first wildcard; exact says that there is
	// no wildcard, open that a % at the very end is the only one.
	prefix      string
	exact, open bool
	// parts are the texts between %s, when there is no _: the first begins a
	// match, the last ends it, those between follow in order.
	parts [][]byte
	// items serve patterns with _.
	items []patternItem
	// chars says that _ stands for a character of UTF-8 rather than a byte.
	chars bool
}

type patternItem struct {
	any, one bool // % and _
	b        byte
}

// newPattern reads a pattern; escape is empty or one character.
func newPattern(text, escape string, chars bool) (*pattern, error) {
	p := &pattern{chars: chars}
	var part []byte
	ones := false
	lit := func(s string) {
		part = append(part, s...)
		for i := range len(s) {
			p.items = append(p.items, patternItem{b: s[i]})
		}
	}
	for i := 0; i < len(text); {
		_, n := utf8.DecodeRuneInString(text[i:])
		if !chars {
			n = 1
		}
		c := text[i : i+n]
		i += n
		switch {
		case escape != "" && c == escape:
			n = len(escape)
			if i+1 <= len(text) && (text[i] == '%' || text[i] == '_') {
				n = 1
			} else if i+n > len(text) || text[i:i+n] != escape {
				return nil, fmt.Errorf("the escape character is not followed by %%, _ or itself")
			}
			lit(text[i : i+n])
			i += n
		case c == "%":
			p.parts = append(p.parts, part)
			p.items = append(p.items, patternItem{any: true})
			part = nil
		case c == "_":
			ones = true
			p.items = append(p.items, patternItem{one: true})
		default:
			lit(c)
		}
	}
	p.parts = append(p.parts, part)
	wild := 0
	for wild < len(p.items) && !p.items[wild].any && !p.items[wild].one {
		wild++
	}
	prefix := make([]byte, wild)
	for i := range prefix {
		prefix[i] = p.items[i].b
	}
	p.prefix = string(prefix)
	p.exact = wild == len(p.items)
	p.open = wild == len(p.items)-1 && p.items[wild].any
	if ones {
		p.parts = nil
	} else {
		p.items = nil
	}
	return p, nil
}

func (p *pattern) match(s []byte) bool {
	if p.parts == nil {
		return p.matchItems(s)
	}
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(p.parts) == 1 {
		return bytes.Equal(s, first)
	}
	if len(s) < len(first)+len(last) || !bytes.HasPrefix(s, first) || !bytes.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i := bytes.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// matchItems tries the text after the last % seen at each further character;
// trying an earlier % anew could not bring more. UTF-8 can be cut only at the
// start of a character, so comparing literals byte by byte is right.
func (p *pattern) matchItems(s []byte) bool {
	i, j := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		if j < len(p.items) {
			switch it := p.items[j]; {
			case it.any:
				star, mark = j, i
				j++
				continue
			case it.one:
				i += p.width(s[i:])
				j++
				continue
			case it.b == s[i]:
				i++
				j++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark += p.width(s[mark:])
		i, j = mark, star+1
	}
	for j < len(p.items) && p.items[j].any {
		j++
	}
	return j == len(p.items)
}

func (p *pattern) width(s []byte) int {
	if !p.chars {
		return 1
	}
	_, n := utf8.DecodeRune(s)
	return n
}

// prefixEnd is the least string above all that begin with prefix; false if
// there is none.
func prefixEnd(prefix string) (string, bool) {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1]), true
		}
	}
	return "", false
}
