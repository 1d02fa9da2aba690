package serde

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86400 * microsPerSecond
)

// twoDigits holds 00 to 99.
const twoDigits = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"

// floorDivMod divides by d > 0 rounding down, so that 0 <= mod < d.
func floorDivMod(a, d int64) (quo, mod int64) {
	quo, mod = a/d, a%d
	if mod < 0 {
		quo--
		mod += d
	}
	return quo, mod
}

// eraShift is the number of Gregorian 400-year cycles by which days are moved,
// so that the days of every int32 and of every int64 of microseconds become
// positive.
const (
	daysPerEra  = 146097
	eraShift    = 15000
	epochInDays = 719468 // from 0000-03-01 to 1970-01-01
)

// civil turns days since the Unix epoch into a date of the proleptic Gregorian
// calendar; year 0 is 1 BC. It takes -2^31 <= days < 2^31. The calculation in
// years that begin in March, with multiplications in place of most divisions,
// is that of C. Neri and L. Schneider, "Euclidean affine functions and their
// application to calendar algorithms" (2023).
func civil(days int64) (year int64, month, day uint32) {
	n := 4*uint64(days+epochInDays+eraShift*daysPerEra) + 3
	century := n / daysPerEra
	dayOfCentury := uint32(n%daysPerEra) / 4
	// The upper half of the product is the year of the century, the lower
	// half the part of the year that has gone by.
	p := uint64(2939745) * uint64(4*dayOfCentury+3)
	dayOfYear := uint32(p) / 2939745 / 4
	m := 2141*dayOfYear + 197913
	year = int64(100*century+p>>32) - 400*eraShift
	month, day = m>>16, m&0xffff/2141+1
	if month > 12 { // January and February of the next year
		year, month = year+1, month-12
	}
	return year, month, day
}

// daysOf is the inverse of civil. It doesn't check the month and the day.
func daysOf(year int64, month, day uint32) int64 {
	if month < 3 {
		year, month = year-1, month+12
	}
	era, yoe := floorDivMod(year, 400)
	doy := int64((153*(month-3)+2)/5) + int64(day) - 1
	return era*daysPerEra + 365*yoe + yoe/4 - yoe/100 + doy - epochInDays
}

func put2(p []byte, v uint32) {
	copy(p[:2], twoDigits[2*v:])
}

// appendISODate appends the date, such as 2026-01-02.
func appendISODate(dst []byte, days int64) []byte {
	year, month, day := civil(days)
	if year < 1 || year > 9999 {
		dst = appendExpandedYear(dst, year)
	} else {
		at := len(dst)
		dst = append(dst, "0000"...)
		put2(dst[at:], uint32(year)/100)
		put2(dst[at+2:], uint32(year)%100)
	}
	at := len(dst)
	dst = append(dst, "-00-00"...)
	p := dst[at : at+6]
	put2(p[1:], month)
	put2(p[4:], day)
	return dst
}

// appendExpandedYear appends a sign and at least six digits.
func appendExpandedYear(dst []byte, year int64) []byte {
	sign := byte('+')
	if year < 0 {
		sign, year = '-', -year
	}
	dst = append(dst, sign)
	for limit := int64(100000); limit > 1 && year < limit; limit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, year, 10)
}

// appendISOMicros appends the time, such as 2026-01-02T03:04:05.000006Z.
func appendISOMicros(dst []byte, micros int64) []byte {
	days, rest := floorDivMod(micros, microsPerDay)
	second, us := uint32(rest/microsPerSecond), uint32(rest%microsPerSecond)
	dst = appendISODate(dst, days)
	at := len(dst)
	dst = append(dst, "T00:00:00.000000Z"...)
	p := dst[at : at+17]
	minute := second / 60
	put2(p[1:], minute/60)
	put2(p[4:], minute%60)
	put2(p[7:], second%60)
	put2(p[10:], us/10000)
	put2(p[12:], us/100%100)
	put2(p[14:], us%100)
	return dst
}

var (
	errNotISODate = errors.New("not a date such as 2026-01-02")
	errNotISOTime = errors.New("not a UTC time such as 2026-01-02T03:04:05.000006Z")
	errTimeRange  = errors.New("beyond the times that UNIXTIME_MICROS can hold")
)

// parseISODate reads what appendISODate writes: days since the epoch.
func parseISODate(s string) (int64, error) {
	days, rest, ok := cutISODate(s)
	if !ok || rest != "" {
		return 0, errNotISODate
	}
	return days, nil
}

// parseISOMicros reads what appendISOMicros writes, and also times with fewer
// digits behind the second, or none.
func parseISOMicros(s string) (int64, error) {
	days, rest, ok := cutISODate(s)
	if !ok || len(rest) < len("T00:00:00Z") || rest[0] != 'T' || rest[3] != ':' || rest[6] != ':' || rest[len(rest)-1] != 'Z' {
		return 0, errNotISOTime
	}
	hour, ok1 := digits(rest[1:3])
	minute, ok2 := digits(rest[4:6])
	second, ok3 := digits(rest[7:9])
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 59 {
		return 0, errNotISOTime
	}
	us := int64(0)
	if frac := rest[9 : len(rest)-1]; frac != "" {
		if frac[0] != '.' || len(frac) < 2 || len(frac) > 7 {
			return 0, errNotISOTime
		}
		if us, ok = digits(frac[1:]); !ok {
			return 0, errNotISOTime
		}
		for i := len(frac); i < 7; i++ {
			us *= 10
		}
	}
	return joinMicros(days, (hour*3600+minute*60+second)*microsPerSecond+us)
}

// joinMicros is days*microsPerDay + rest, if that fits an int64. Near the
// smallest int64 the product alone may not fit, so it is made in 128 bits.
func joinMicros(days, rest int64) (int64, error) {
	if days < 0 {
		// Count from the end of the day, so that both parts are negative.
		hi, lo := bits.Mul64(uint64(-(days + 1)), microsPerDay)
		lo, carry := bits.Add64(lo, uint64(microsPerDay-rest), 0)
		if hi+carry != 0 || lo > 1<<63 {
			return 0, errTimeRange
		}
		return int64(-lo), nil
	}
	hi, lo := bits.Mul64(uint64(days), microsPerDay)
	lo, carry := bits.Add64(lo, uint64(rest), 0)
	if hi+carry != 0 || lo > math.MaxInt64 {
		return 0, errTimeRange
	}
	return int64(lo), nil
}

// cutISODate reads the date at the start of s. Years outside 1..9999 need a
// sign and six or seven digits.
func cutISODate(s string) (days int64, rest string, ok bool) {
	width, negative := 4, false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		negative = s[0] == '-'
		s = s[1:]
		for width = 0; width < len(s) && s[width] != '-'; {
			width++
		}
		if width < 6 || width > 7 {
			return 0, "", false
		}
	}
	if len(s) < width+6 || s[width] != '-' || s[width+3] != '-' {
		return 0, "", false
	}
	year, ok1 := digits(s[:width])
	month, ok2 := digits(s[width+1 : width+3])
	day, ok3 := digits(s[width+4 : width+6])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 {
		return 0, "", false
	}
	if negative {
		year = -year
	}
	days = daysOf(year, uint32(month), uint32(day))
	if days != int64(int32(days)) {
		return 0, "", false
	}
	// A day that the month doesn't have comes back as one of the next month.
	if y, m, d := civil(days); y != year || int64(m) != month || int64(d) != day {
		return 0, "", false
	}
	return days, s[width+6:], true
}

// digits reads a number of up to 18 digits and nothing else.
func digits(s string) (n int64, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, s != ""
}
