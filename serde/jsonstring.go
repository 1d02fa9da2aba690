package serde

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
	hexDigit = "0123456789abcdef"
)

// plainASCII tells for every byte whether it stands for itself in a JSON
// string.
var plainASCII = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// plainWord reports whether none of the eight bytes is a control character, a
// quote, a backslash or beyond ASCII. A byte b below n gives a high bit in
// b - n; the borrow of a lower byte can only add false alarms, and only above
// a byte that rightly raised one, so the answer for the whole word is exact.
func plainWord(w uint64) bool {
	control := w - lowBits*0x20
	quote := (w ^ lowBits*'"') - lowBits
	backslash := (w ^ lowBits*'\\') - lowBits
	return (w|control|quote|backslash)&highBits == 0
}

// appendJSONString appends s as a JSON string. It reports false, and leaves an
// unfinished string behind, if s isn't valid UTF-8.
func appendJSONString(dst, s []byte) ([]byte, bool) {
	dst = append(dst, '"')
	done, i := 0, 0 // s[done:i] stands for itself and isn't copied yet
	for {
		for i+8 <= len(s) && plainWord(binary.LittleEndian.Uint64(s[i:])) {
			i += 8
		}
		for i < len(s) && plainASCII[s[i]] {
			i++
		}
		if i == len(s) {
			dst = append(dst, s[done:]...)
			return append(dst, '"'), true
		}
		if c := s[i]; c < utf8.RuneSelf {
			dst = append(dst, s[done:i]...)
			dst = appendEscape(dst, c)
			i++
			done = i
			continue
		}
		// A run of text beyond ASCII.
		for i < len(s) && s[i] >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			switch {
			case r == utf8.RuneError && size <= 1:
				return dst, false
			case r == 0x2028 || r == 0x2029:
				// Legal in JSON, but line ends in older JavaScript.
				dst = append(dst, s[done:i]...)
				dst = append(dst, `\u202`...)
				dst = append(dst, hexDigit[r&0xf])
				done = i + size
			}
			i += size
		}
	}
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\t':
		return append(dst, `\t`...)
	case '\n':
		return append(dst, `\n`...)
	case '\f':
		return append(dst, `\f`...)
	case '\r':
		return append(dst, `\r`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigit[c>>4], hexDigit[c&0xf])
}
