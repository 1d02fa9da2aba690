package kudu

import (
	"fmt"
	"math/bits"
	"strconv"
)

// Int128 is a signed 128-bit integer in two's complement: the unscaled value
// of a DECIMAL.
type Int128 struct {
	Hi int64
	Lo uint64
}

// Int128FromInt64 widens v.
func Int128FromInt64(v int64) Int128 { return Int128{Hi: v >> 63, Lo: uint64(v)} }

// Neg reports whether the number is below zero.
func (a Int128) Neg() bool { return a.Hi < 0 }

// Cmp is -1, 0 or 1 as a is below, equal to or above b.
func (a Int128) Cmp(b Int128) int {
	switch {
	case a.Hi < b.Hi || a.Hi == b.Hi && a.Lo < b.Lo:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// Int64 gives the number as an int64, and whether it fits.
func (a Int128) Int64() (int64, bool) { return int64(a.Lo), a.Hi == int64(a.Lo)>>63 }

// abs is the magnitude as an unsigned 128-bit number; right also for the
// smallest one.
func (a Int128) abs() (hi, lo uint64) {
	hi, lo = uint64(a.Hi), a.Lo
	if a.Hi < 0 {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return hi, lo
}

const e19 = 10_000_000_000_000_000_000

// AppendDecimal appends the decimal number a / 10^scale with exactly scale
// digits behind the point, such as -0.050 for (-50, 3). It doesn't allocate
// beyond dst.
func (a Int128) AppendDecimal(dst []byte, scale int) []byte {
	hi, lo := a.abs()
	if a.Hi < 0 {
		dst = append(dst, '-')
	}
	// At most 39 digits of a number and scale+1 digits in all.
	var buf [40]byte
	digits := appendUint128(buf[:0], hi, lo)
	if scale <= 0 {
		return append(dst, digits...)
	}
	if len(digits) <= scale {
		dst = append(dst, '0', '.')
		for i := len(digits); i < scale; i++ {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	point := len(digits) - scale
	dst = append(dst, digits[:point]...)
	dst = append(dst, '.')
	return append(dst, digits[point:]...)
}

// String is the number in decimal digits.
func (a Int128) String() string { return string(a.AppendDecimal(nil, 0)) }

func appendUint128(dst []byte, hi, lo uint64) []byte {
	if hi == 0 {
		return strconv.AppendUint(dst, lo, 10)
	}
	// Divide twice by 10^19, the largest power of ten in 64 bits.
	qhi, r := hi/e19, hi%e19
	qlo, low := bits.Div64(r, lo, e19)
	if qhi == 0 {
		dst = strconv.AppendUint(dst, qlo, 10)
	} else {
		top, mid := bits.Div64(qhi, qlo, e19)
		dst = strconv.AppendUint(dst, top, 10)
		dst = appendPadded(dst, mid)
	}
	return appendPadded(dst, low)
}

func appendPadded(dst []byte, v uint64) []byte {
	var buf [19]byte
	for i := 18; i >= 0; i-- {
		buf[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, buf[:]...)
}

// ParseDecimal reads a plain decimal number, such as -12.50, as the unscaled
// value of DECIMAL(precision, scale). More digits behind the point than scale,
// unless they are zeros, or more digits in all than precision, are errors:
// nothing is rounded.
func ParseDecimal(s string, precision, scale int) (Int128, error) {
	bad := func(why string) (Int128, error) {
		return Int128{}, fmt.Errorf("%q is not a DECIMAL(%d,%d): %s", s, precision, scale, why)
	}
	rest, neg := s, false
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		neg, rest = rest[0] == '-', rest[1:]
	}
	var hi, lo uint64
	seen, point, frac, significant := 0, false, 0, 0
	push := func(d byte) {
		if significant > 0 || d != 0 {
			significant++
		}
		h1, l1 := bits.Mul64(lo, 10)
		h1 += hi * 10
		var carry uint64
		lo, carry = bits.Add64(l1, uint64(d), 0)
		hi = h1 + carry
	}
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9':
			return bad(fmt.Sprintf("character %q", c))
		}
		seen++
		if point {
			if frac == scale {
				if c != '0' {
					return bad("too many digits behind the point")
				}
				continue
			}
			frac++
		}
		push(c - '0')
		if significant > precision {
			return bad("too many digits")
		}
	}
	if seen == 0 {
		return bad("no digits")
	}
	for ; frac < scale; frac++ {
		push(0)
		if significant > precision {
			return bad("too many digits before the point")
		}
	}
	if neg {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return Int128{Hi: int64(hi), Lo: lo}, nil
}
