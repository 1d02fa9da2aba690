package predicate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// domain says how values of a column are held and compared.
type domain int

const (
	domNone  domain = iota // values can't be compared
	domInt                 // as an int64 that is ordered as the values are
	domWide                // as a 128-bit integer
	domBytes               // as bytes
)

func domainOf(t kudu.DataType) domain {
	switch t {
	case kudu.Bool, kudu.Int8, kudu.Int16, kudu.Int32, kudu.Int64, kudu.Float, kudu.Double,
		kudu.UnixtimeMicros, kudu.Date, kudu.Decimal32, kudu.Decimal64:
		return domInt
	case kudu.Decimal128:
		return domWide
	case kudu.String, kudu.Varchar, kudu.Binary:
		return domBytes
	}
	return domNone
}

func isFloat(t kudu.DataType) bool { return t == kudu.Float || t == kudu.Double }

// datum is a value in the form of its column's domain.
type datum struct {
	i int64
	w kudu.Int128
	s string
}

func compareDatum(dom domain, a, b datum) int {
	switch dom {
	case domWide:
		return a.w.Cmp(b.w)
	case domBytes:
		return strings.Compare(a.s, b.s)
	}
	switch {
	case a.i < b.i:
		return -1
	case a.i > b.i:
		return 1
	}
	return 0
}

// successor is the least value above d; false if there is none.
func successor(dom domain, d datum) (datum, bool) {
	switch dom {
	case domWide:
		d.w.Lo++
		if d.w.Lo == 0 {
			d.w.Hi++
		}
		return d, true // a DECIMAL stays far below the largest 128-bit integer
	case domBytes:
		d.s += "\x00"
		return d, true
	}
	if d.i == math.MaxInt64 {
		return d, false
	}
	d.i++
	return d, true
}

// floatKey maps a float to an integer of the same order: NaN above all, minus
// zero equal to zero.
func floatKey(f float64) int64 {
	if f != f {
		return math.MaxInt64
	}
	if f == 0 {
		return 0
	}
	bits := int64(math.Float64bits(f))
	return bits ^ (bits>>63)&math.MaxInt64
}

// typeRange gives the least and the greatest value of the columns whose values
// have such, in the column's domain.
func typeRange(col *kudu.Column) (lo, hi datum, ok bool) {
	var a, b int64
	switch col.Type {
	case kudu.Bool:
		a, b = 0, 1
	case kudu.Int8:
		a, b = math.MinInt8, math.MaxInt8
	case kudu.Int16:
		a, b = math.MinInt16, math.MaxInt16
	case kudu.Int32:
		a, b = math.MinInt32, math.MaxInt32
	case kudu.Int64, kudu.UnixtimeMicros:
		a, b = math.MinInt64, math.MaxInt64
	case kudu.Date:
		a, b = minDate, maxDate
	case kudu.Decimal32, kudu.Decimal64, kudu.Decimal128:
		nines := strings.Repeat("9", col.Precision)
		top, err := kudu.ParseDecimal(nines, col.Precision, 0)
		bottom, err2 := kudu.ParseDecimal("-"+nines, col.Precision, 0)
		if err != nil || err2 != nil {
			return lo, hi, false
		}
		return datum{i: int64(bottom.Lo), w: bottom}, datum{i: int64(top.Lo), w: top}, true
	default:
		return lo, hi, false
	}
	return datum{i: a}, datum{i: b}, true
}

// constant is a value of a condition, typed by its column. With now, the value
// is the instant of a pass plus shift microseconds.
type constant struct {
	datum
	now   bool
	shift int64
	text  string
}

// at is the value in a pass that takes place at now, microseconds.
func (c *constant) at(col *kudu.Column, now int64) datum {
	if !c.now {
		return c.datum
	}
	t := now + c.shift
	if c.shift > 0 && t < now {
		t = math.MaxInt64
	} else if c.shift < 0 && t > now {
		t = math.MinInt64
	}
	if col.Type == kudu.Date {
		return datum{i: dayOf(t)}
	}
	return datum{i: t}
}

// wanted says for each type what its values look like.
func wanted(col *kudu.Column) string {
	switch col.Type {
	case kudu.Bool:
		return "write TRUE or FALSE"
	case kudu.Float, kudu.Double:
		return "write a number, NaN, Infinity or -Infinity"
	case kudu.Decimal32, kudu.Decimal64, kudu.Decimal128:
		return "write a plain number, such as 12.50"
	case kudu.String, kudu.Varchar:
		return "write text in single quotes"
	case kudu.Binary:
		return "write X'...' with hexadecimal digits"
	case kudu.UnixtimeMicros:
		return "write a time such as '2026-01-02T03:04:05.000006Z', or now()"
	case kudu.Date:
		return "write a day such as '2026-01-02', or now()"
	}
	return "write a whole number"
}

// kindOf names what was written, for messages.
func (o *operand) kindOf() string {
	switch {
	case o.Now:
		return "a time"
	case o.Number != "":
		return "a number"
	case o.Text != "":
		return "a string"
	case o.Hex != "":
		return "a binary string"
	case o.Bool != "":
		return "a boolean"
	}
	return "not a value"
}

// source is the operand in its usual spelling.
func (o *operand) source() string {
	if o.Now {
		var b strings.Builder
		b.WriteString("now()")
		for _, s := range o.Shifts {
			fmt.Fprintf(&b, " %s INTERVAL %s %s", s.Sign, s.Amount.Value, strings.ToUpper(s.Unit.Value))
		}
		return b.String()
	}
	null := ""
	if o.Null {
		null = "NULL"
	}
	return o.Sign + o.Number + o.Text + o.Hex + o.Bool + null + o.Name
}

// short is the source for a message.
func (o *operand) short() string { return quoteShort(o.source()) }

// floatWord reads NaN and the infinities, bare or in single quotes.
func (o *operand) floatWord() (float64, bool) {
	word, sign := o.Name, o.Sign
	if o.Text != "" {
		if word = unquote(o.Text); sign != "" {
			return 0, false
		}
		if word != "" && (word[0] == '-' || word[0] == '+') {
			sign, word = word[:1], word[1:]
		}
	}
	switch strings.ToLower(word) {
	case "nan":
		return math.NaN(), sign == ""
	case "infinity":
		if sign == "-" {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	return 0, false
}

// typed reads the operand as a value of the column. An error is the whole
// message; mismatch says that it is the wrong kind of value.
func (o *operand) typed(col *kudu.Column) (d datum, mismatch bool, err error) {
	number := o.Sign + o.Number
	switch t := col.Type; {
	case t == kudu.Bool && o.Bool != "":
		if o.Bool == "TRUE" {
			d.i = 1
		}
		return d, false, nil
	case isFloat(t):
		return o.typedFloat(col)
	case o.Number != "" && (t.Decimal()):
		if strings.ContainsAny(number, "eE") {
			return d, true, nil
		}
		d.w, err = kudu.ParseDecimal(number, col.Precision, col.Scale)
		d.i = int64(d.w.Lo)
		if err != nil {
			err = fmt.Errorf("%s does not fit column %q, a %s", quoteShort(number), col.Name, col.TypeString())
		}
		return d, false, err
	case o.Number != "" && (t == kudu.Int8 || t == kudu.Int16 || t == kudu.Int32 || t == kudu.Int64):
		if strings.ContainsAny(number, ".eE") {
			return d, true, nil
		}
		d.i, err = strconv.ParseInt(number, 10, 8*t.Size())
		if err != nil {
			lo, hi, _ := typeRange(col)
			err = fmt.Errorf("%s is out of the range of column %q, %s: %d to %d", quoteShort(number), col.Name, t, lo.i, hi.i)
		}
		return d, false, err
	case o.Text != "" && (t == kudu.String || t == kudu.Varchar):
		d.s = unquote(o.Text)
		if n := utf8.RuneCountInString(d.s); t == kudu.Varchar && n > col.Length {
			err = fmt.Errorf("the string has %d characters, column %q is a %s", n, col.Name, col.TypeString())
		}
		return d, false, err
	case o.Hex != "" && t == kudu.Binary:
		d.s, err = unhex(o.Hex)
		return d, false, err
	case o.Text != "" && t == kudu.UnixtimeMicros:
		var ok bool
		if d.i, ok = parseTimestamp(unquote(o.Text)); !ok {
			err = fmt.Errorf("%s is not a time that column %q, %s, can hold: %s", quoteShort(o.Text), col.Name, t, wanted(col))
		}
		return d, false, err
	case o.Text != "" && t == kudu.Date:
		var ok bool
		if d.i, ok = parseDate(unquote(o.Text)); !ok {
			err = fmt.Errorf("%s is not a day that column %q, %s, can hold: %s", quoteShort(o.Text), col.Name, t, wanted(col))
		}
		return d, false, err
	}
	return d, true, nil
}

func (o *operand) typedFloat(col *kudu.Column) (d datum, mismatch bool, err error) {
	if f, ok := o.floatWord(); ok {
		return datum{i: floatKey(f)}, false, nil
	}
	if o.Number == "" {
		return d, true, nil
	}
	f, err := strconv.ParseFloat(o.Sign+o.Number, 8*col.Type.Size())
	if err != nil {
		return d, false, fmt.Errorf("%s is out of the range of column %q, %s", quoteShort(o.Sign+o.Number), col.Name, col.Type)
	}
	return datum{i: floatKey(f)}, false, nil
}

// unhex reads X'...'.
func unhex(s string) (string, error) {
	s = s[2 : len(s)-1]
	if len(s)%2 != 0 {
		return "", fmt.Errorf("the binary string has an odd number of digits: write two for each byte")
	}
	out := make([]byte, len(s)/2)
	for i := range out {
		b, err := strconv.ParseUint(s[2*i:2*i+2], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q are not two hexadecimal digits", s[2*i:2*i+2])
		}
		out[i] = byte(b)
	}
	return string(out), nil
}
