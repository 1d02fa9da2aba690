package config

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// parseProperties reads the format of java.util.Properties: key=value, key:
// value or key value; comments with # or !; a backslash at the end of a line
// goes on in the next; \t \n \r \f \uXXXX, and \c for any other c. The last of
// equal keys wins. The text is UTF-8. Every text is a legal properties file.
func parseProperties(text string) map[string]string {
	const blank = " \t\f"
	values := map[string]string{}
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], blank)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		var whole strings.Builder
		for continues(line) && i+1 < len(lines) {
			whole.WriteString(line[:len(line)-1])
			i++
			line = strings.TrimLeft(lines[i], blank)
		}
		if continues(line) { // at the end of the file
			line = line[:len(line)-1]
		}
		whole.WriteString(line)
		key, value := splitPair(whole.String())
		values[unescape(key)] = unescape(value)
	}
	return values
}

// continues tells whether a line ends with a backslash that is not escaped.
func continues(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// splitPair cuts at the first '=', ':' or blank that is not escaped; one '='
// or ':' with blanks around it counts as one separator.
func splitPair(line string) (key, value string) {
	i := 0
	for i < len(line) && !strings.ContainsRune("=: \t\f", rune(line[i])) {
		if line[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(line))
	key, value = line[:i], strings.TrimLeft(line[i:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return key, value
}

func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			if text[i] != '\\' {
				out.WriteByte(text[i])
			}
			continue
		}
		i++
		switch c := text[i]; c {
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 'f':
			out.WriteByte('\f')
		case 'u':
			r, ok := codeUnit(text[i+1:])
			if !ok {
				out.WriteByte('u')
				continue
			}
			i += 4
			// A character beyond the first 65,536 is a pair of code units.
			if utf16.IsSurrogate(r) && strings.HasPrefix(text[i+1:], `\u`) {
				if low, ok := codeUnit(text[i+3:]); ok {
					r, i = utf16.DecodeRune(r, low), i+6
				}
			}
			out.WriteRune(r)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

func codeUnit(text string) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:4], 16, 16)
	return rune(n), err == nil
}
