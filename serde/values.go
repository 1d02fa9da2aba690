package serde

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// The days that a DATE can hold, 0001-01-01 and 9999-12-31 (kudu-1.18.1
// src/kudu/util/date_utils, kMinDateValue and kMaxDateValue).
const (
	minDateDays = -719162
	maxDateDays = 2932896
)

// MarshalValues renders one Go value per column, of the types that
// kudu.ColumnView.Value gives, as a JSON object in column order: for position
// records, which people read and patch. It is the form of the converter json
// with its default options, and exact: UnmarshalValues gives back equal
// values. Where plain JSON can't hold a value, which is a STRING or VARCHAR
// that isn't UTF-8, the member is {"base64":"..."}. The one exception are the
// payload bits of a NaN.
//
// A value of another type, beyond the column's range, or nil for a column that
// can't be NULL is an error that names the column.
func MarshalValues(cols []kudu.Column, values []any) ([]byte, error) {
	if len(values) != len(cols) {
		return nil, fmt.Errorf("marshalling %d values of %d columns", len(values), len(cols))
	}
	if err := checkNames(cols); err != nil {
		return nil, fmt.Errorf("marshalling values: %w", err)
	}
	out := []byte{'{'}
	for i := range cols {
		if i > 0 {
			out = append(out, ',')
		}
		out, _ = appendJSONString(out, []byte(cols[i].Name))
		out = append(out, ':')
		var err error
		if out, err = appendValue(out, &cols[i], values[i]); err != nil {
			return nil, fmt.Errorf("marshalling column %q: %w", cols[i].Name, err)
		}
	}
	return append(out, '}'), nil
}

func checkNames(cols []kudu.Column) error {
	seen := make(map[string]bool, len(cols))
	for i := range cols {
		name := cols[i].Name
		if seen[name] {
			return fmt.Errorf("column %q is listed twice", name)
		}
		if !utf8.ValidString(name) {
			return fmt.Errorf("column %q: the name is not UTF-8", name)
		}
		seen[name] = true
	}
	return nil
}

func appendValue(dst []byte, col *kudu.Column, value any) ([]byte, error) {
	if value == nil {
		if !col.Nullable {
			return nil, errNotNullable
		}
		return append(dst, "null"...), nil
	}
	switch v := value.(type) {
	case bool:
		if col.Type == kudu.Bool || col.Type == kudu.IsDeleted {
			return strconv.AppendBool(dst, v), nil
		}
	case int64:
		if lo, hi, ok := intRange(col.Type); ok {
			if v < lo || v > hi {
				return nil, outOfRange(col, v)
			}
			return appendIntValue(dst, col.Type, v), nil
		}
	case uint64:
		if col.Type == kudu.Uint64 {
			return strconv.AppendUint(dst, v, 10), nil
		}
	case float32:
		if col.Type == kudu.Float {
			return appendJSONFloat32(dst, v), nil
		}
	case float64:
		if col.Type == kudu.Double {
			return appendJSONFloat64(dst, v), nil
		}
	case string:
		if col.Type == kudu.String || col.Type == kudu.Varchar {
			if out, ok := appendJSONString(dst, []byte(v)); ok {
				return out, nil
			}
			dst = append(dst, `{"base64":"`...)
			dst = base64.StdEncoding.AppendEncode(dst, []byte(v))
			return append(dst, `"}`...), nil
		}
	case []byte:
		if col.Type == kudu.Binary {
			dst = append(dst, '"')
			dst = base64.StdEncoding.AppendEncode(dst, v)
			return append(dst, '"'), nil
		}
	case kudu.Int128:
		if col.Type.Decimal() || col.Type == kudu.Int128Type {
			if !fitsDecimal(col, v) {
				return nil, outOfRange(col, v)
			}
			dst = append(dst, '"')
			dst = v.AppendDecimal(dst, scaleOf(col))
			return append(dst, '"'), nil
		}
	}
	return nil, fmt.Errorf("a %T is not a value of %s", value, col.TypeString())
}

func appendIntValue(dst []byte, t kudu.DataType, v int64) []byte {
	switch t {
	case kudu.UnixtimeMicros:
		dst = append(dst, '"')
		dst = appendISOMicros(dst, v)
		return append(dst, '"')
	case kudu.Date:
		dst = append(dst, '"')
		dst = appendISODate(dst, v)
		return append(dst, '"')
	}
	return strconv.AppendInt(dst, v, 10)
}

// intRange gives the range of the types whose values are int64.
func intRange(t kudu.DataType) (lo, hi int64, ok bool) {
	switch t {
	case kudu.Int8:
		return math.MinInt8, math.MaxInt8, true
	case kudu.Int16:
		return math.MinInt16, math.MaxInt16, true
	case kudu.Int32:
		return math.MinInt32, math.MaxInt32, true
	case kudu.Int64, kudu.UnixtimeMicros:
		return math.MinInt64, math.MaxInt64, true
	case kudu.Uint8:
		return 0, math.MaxUint8, true
	case kudu.Uint16:
		return 0, math.MaxUint16, true
	case kudu.Uint32:
		return 0, math.MaxUint32, true
	case kudu.Date:
		return minDateDays, maxDateDays, true
	}
	return 0, 0, false
}

// scaleOf is the column's scale; the internal type INT128 has none.
func scaleOf(col *kudu.Column) int {
	if col.Type.Decimal() {
		return col.Scale
	}
	return 0
}

// fitsDecimal reports whether the unscaled value has no more digits than the
// column's precision and fits the width of its cells.
func fitsDecimal(col *kudu.Column, v kudu.Int128) bool {
	if col.Type == kudu.Int128Type {
		return true
	}
	if i, ok := v.Int64(); col.Type != kudu.Decimal128 && !ok || col.Type == kudu.Decimal32 && i != int64(int32(i)) {
		return false
	}
	return len(strings.TrimPrefix(v.String(), "-")) <= col.Precision
}

func outOfRange(col *kudu.Column, v any) error {
	return fmt.Errorf("%v is out of the range of %s", v, col.TypeString())
}

var (
	errNotNullable = errors.New("is NULL, but the column can't be")
	errMissing     = errors.New("is missing")
	errSurrogate   = errors.New("holds half a surrogate pair, which is not text")
)

// UnmarshalValues reads what MarshalValues wrote, and what people may write in
// its place: integers also as strings, times and dates also as the integers
// that Kudu stores (microseconds, days), decimals also as plain numbers. It
// gives one value per column, of the types that kudu.ColumnView.Value gives.
//
// A member that is missing, unknown, listed twice, of the wrong type or out of
// range, and anything behind the object, is an error; it names the column
// where there is one. Nothing is rounded but FLOAT and DOUBLE, which take the
// nearest value.
func UnmarshalValues(cols []kudu.Column, raw []byte) ([]any, error) {
	if err := checkNames(cols); err != nil {
		return nil, fmt.Errorf("unmarshalling values: %w", err)
	}
	members, err := splitObject(raw)
	if err != nil {
		return nil, fmt.Errorf("unmarshalling values: %w", err)
	}
	places := make(map[string]int, len(cols))
	for i := range cols {
		places[cols[i].Name] = i
	}
	values, found := make([]any, len(cols)), make([]bool, len(cols))
	for _, m := range members {
		i, known := places[m.name]
		switch {
		case !known:
			return nil, fmt.Errorf("unmarshalling values: column %q is unknown here", m.name)
		case found[i]:
			return nil, fmt.Errorf("unmarshalling column %q: it is listed twice", m.name)
		}
		found[i] = true
		if values[i], err = parseValue(&cols[i], m.value); err != nil {
			return nil, fmt.Errorf("unmarshalling column %q: %w", m.name, err)
		}
	}
	var missing []error
	for i := range cols {
		if !found[i] {
			missing = append(missing, fmt.Errorf("unmarshalling column %q: %w", cols[i].Name, errMissing))
		}
	}
	if missing != nil {
		return nil, errors.Join(missing...)
	}
	return values, nil
}

type member struct {
	name  string
	value json.RawMessage
}

// splitObject reads the one object that raw holds, member by member, since a
// map would hide members listed twice.
func splitObject(raw []byte) ([]member, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	open, err := dec.Token()
	if err != nil {
		return nil, syntax(err)
	}
	if open != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var members []member
	for dec.More() {
		from := dec.InputOffset()
		name, err := dec.Token()
		if err != nil {
			return nil, syntax(err)
		}
		m := member{}
		m.name, _ = name.(string) // the decoder has checked that names are strings
		if halfSurrogate(raw[from:dec.InputOffset()]) {
			return nil, fmt.Errorf("the name %q %w", m.name, errSurrogate)
		}
		if err := dec.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("column %q: %w", m.name, syntax(err))
		}
		members = append(members, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil, syntax(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the object")
	}
	return members, nil
}

// syntax makes an end that comes too early what it is: a fault of the text.
func syntax(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// halfSurrogate reports whether a valid JSON text escapes one half of a
// surrogate pair without the other: encoding/json would replace it silently.
func halfSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		u := escapedUnit(text[i:])
		switch {
		case u < 0:
			i++ // the escaped character, such as a second backslash
		case u >= 0xd800 && u < 0xdc00:
			if low := escapedUnit(text[i+6:]); low < 0xdc00 || low > 0xdfff {
				return true
			}
			i += 11
		case u >= 0xdc00 && u <= 0xdfff:
			return true
		default:
			i += 5
		}
	}
	return false
}

// escapedUnit reads \uXXXX at the start of text, -1 if something else is there.
func escapedUnit(text []byte) int {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	u, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(u)
}

func parseValue(col *kudu.Column, raw json.RawMessage) (any, error) {
	var text string // of a string or a number
	number := false
	switch raw[0] {
	case 'n':
		if !col.Nullable {
			return nil, errNotNullable
		}
		return nil, nil
	case 't', 'f':
		if col.Type == kudu.Bool || col.Type == kudu.IsDeleted {
			return raw[0] == 't', nil
		}
		return nil, wrongType(col, "a boolean")
	case '[':
		return nil, wrongType(col, "an array")
	case '{':
		if col.Type == kudu.String || col.Type == kudu.Varchar {
			return parseRawText(raw)
		}
		return nil, wrongType(col, "an object")
	case '"':
		var err error
		if text, err = parseText(raw); err != nil {
			return nil, err
		}
	default:
		text, number = string(raw), true
	}
	if number && (col.Type.VarLen() || col.Type == kudu.Bool || col.Type == kudu.IsDeleted) {
		return nil, wrongType(col, "a number")
	}
	return parseScalar(col, text, number)
}

// ParseText reads a value that is written as bare text, such as a bound in a
// configuration: numbers and booleans in their usual form, strings as they are,
// times as ISO-8601 or as an integer, BINARY as base64.
func ParseText(col *kudu.Column, text string) (any, error) {
	if col.Type == kudu.Bool {
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("column %q: %q is neither true nor false", col.Name, text)
		}
		return v, nil
	}
	_, err := strconv.ParseFloat(text, 64)
	number := err == nil && !col.Type.VarLen()
	v, err := parseScalar(col, text, number)
	if err != nil {
		return nil, fmt.Errorf("column %q: %w", col.Name, err)
	}
	return v, nil
}

func wrongType(col *kudu.Column, what string) error {
	return fmt.Errorf("%s is not a value of %s", what, col.TypeString())
}

func parseText(raw json.RawMessage) (string, error) {
	if halfSurrogate(raw) {
		return "", fmt.Errorf("the text %w", errSurrogate)
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}

// parseRawText reads {"base64":"..."}.
func parseRawText(raw json.RawMessage) (any, error) {
	members, err := splitObject(raw)
	if err != nil {
		return nil, err
	}
	if len(members) != 1 || members[0].name != "base64" || members[0].value[0] != '"' {
		return nil, errors.New(`the object is not {"base64":"..."}`)
	}
	text, err := parseText(members[0].value)
	if err != nil {
		return nil, err
	}
	b, err := parseBase64(text)
	return string(b), err
}

func parseBase64(text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("decoding base64: %w", err)
	}
	return b, nil
}

func parseScalar(col *kudu.Column, text string, number bool) (any, error) {
	switch col.Type {
	case kudu.String, kudu.Varchar:
		return text, nil
	case kudu.Binary:
		b, err := parseBase64(text)
		if err != nil {
			return nil, err
		}
		return b, nil
	case kudu.Float, kudu.Double:
		return parseFloat(col, text, number)
	case kudu.Decimal32, kudu.Decimal64, kudu.Decimal128:
		d, err := kudu.ParseDecimal(text, col.Precision, col.Scale)
		if err != nil {
			return nil, err
		}
		if !fitsDecimal(col, d) {
			return nil, outOfRange(col, text)
		}
		return d, nil
	case kudu.Int128Type:
		return parseInt128(col, text)
	case kudu.Uint64:
		u, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, integerError(col, text, err)
		}
		return u, nil
	case kudu.UnixtimeMicros:
		if !number {
			v, err := parseISOMicros(text)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", text, err)
			}
			return v, nil
		}
	case kudu.Date:
		if !number {
			v, err := parseISODate(text)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", text, err)
			}
			if v < minDateDays || v > maxDateDays {
				return nil, outOfRange(col, text)
			}
			return v, nil
		}
	}
	lo, hi, ok := intRange(col.Type)
	if !ok {
		return nil, wrongType(col, "a string")
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, integerError(col, text, err)
	}
	if v < lo || v > hi {
		return nil, outOfRange(col, text)
	}
	return v, nil
}

func integerError(col *kudu.Column, text string, err error) error {
	if errors.Is(err, strconv.ErrRange) {
		return outOfRange(col, text)
	}
	return fmt.Errorf("%q is not an integer", text)
}

// parseInt128 reads a cell of the internal type INT128, which has one digit
// more than decimals may have.
func parseInt128(col *kudu.Column, text string) (any, error) {
	n, ok := new(big.Int), false
	if len(text) <= len("-170141183460469231731687303715884105728") {
		n, ok = n.SetString(text, 10)
	}
	if !ok {
		return nil, fmt.Errorf("%q is not an integer", text)
	}
	// The range is that of two's complement: -2^127 has the 127 bits of
	// 2^127-1 when counted as -n-1.
	mag := n
	if n.Sign() < 0 {
		mag = new(big.Int).Not(n)
	}
	if mag.BitLen() > 127 {
		return nil, outOfRange(col, text)
	}
	low := new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64))
	return kudu.Int128{Hi: new(big.Int).Rsh(n, 64).Int64(), Lo: low.Uint64()}, nil
}

func parseFloat(col *kudu.Column, text string, number bool) (any, error) {
	width := 64
	if col.Type == kudu.Float {
		width = 32
	}
	var f float64
	switch {
	case number:
		var err error
		if f, err = strconv.ParseFloat(text, width); err != nil {
			return nil, outOfRange(col, text)
		}
	case text == "NaN":
		f = math.NaN()
	case text == "Infinity":
		f = math.Inf(1)
	case text == "-Infinity":
		f = math.Inf(-1)
	default:
		return nil, fmt.Errorf(`%q is not a number, "NaN", "Infinity" or "-Infinity"`, text)
	}
	if width == 32 {
		return float32(f), nil
	}
	return f, nil
}
