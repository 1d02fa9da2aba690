package predicate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The days that a DATE column can hold, 0001-01-01 and 9999-12-31, since the
// Unix epoch (DataTypeTraits<DATE> in kudu-1.18.1 src/kudu/common/types.h).
const (
	minDate = -719162
	maxDate = 2932896
)

const microsPerDay = 24 * 60 * 60 * 1_000_000

const unitNames = "MICROSECOND, MILLISECOND, SECOND, MINUTE, HOUR or DAY"

// unitMicros are the units of an interval in microseconds.
var unitMicros = map[string]int64{
	"MICROSECOND": 1,
	"MILLISECOND": 1_000,
	"SECOND":      1_000_000,
	"MINUTE":      60_000_000,
	"HOUR":        3_600_000_000,
	"DAY":         microsPerDay,
}

// maxShift bounds what now() is moved by, in all: far enough for any use, and
// a result that every column of a time type can hold.
const maxShift = 365_000 * microsPerDay

// unitOf is a unit in microseconds.
func unitOf(name string) (int64, bool) {
	name = strings.ToUpper(name)
	if per, ok := unitMicros[name]; ok {
		return per, true
	}
	per, ok := unitMicros[strings.TrimSuffix(name, "S")]
	return per, ok
}

// parseShift reads an amount, of units of so many microseconds, as microseconds.
func parseShift(amount string, per int64) (int64, error) {
	if strings.HasPrefix(amount, "'") {
		amount = strings.TrimSpace(unquote(amount))
	}
	n, err := strconv.ParseInt(amount, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s is not a whole number", quoteShort(amount))
	}
	if n > maxShift/per || n < -maxShift/per {
		return 0, fmt.Errorf("the interval is too long: now() can be moved by 365000 days at most")
	}
	return n * per, nil
}

// timeScanner reads the parts of an ISO 8601 time. The first fault stays.
type timeScanner struct {
	rest string
	bad  bool
}

// number takes exactly n digits.
func (s *timeScanner) number(n int) int {
	if len(s.rest) < n || digits(s.rest[:n], 0) != n {
		s.bad = true
		return 0
	}
	v, _ := strconv.Atoi(s.rest[:n])
	s.rest = s.rest[n:]
	return v
}

// take takes one of the characters, and tells which; 0 if there is none.
func (s *timeScanner) take(set string) byte {
	if s.rest == "" || strings.IndexByte(set, s.rest[0]) < 0 {
		return 0
	}
	c := s.rest[0]
	s.rest = s.rest[1:]
	return c
}

func (s *timeScanner) must(set string) {
	if s.take(set) == 0 {
		s.bad = true
	}
}

// date takes year, month and day; the year has four digits, or a sign and six.
func (s *timeScanner) date() (year, month, day int) {
	switch s.take("+-") {
	case '+':
		year = s.number(6)
	case '-':
		year = -s.number(6)
	default:
		year = s.number(4)
	}
	s.must("-")
	month = s.number(2)
	s.must("-")
	day = s.number(2)
	if t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC); t.Day() != day || int(t.Month()) != month {
		s.bad = true
	}
	return year, month, day
}

// clock takes the time of day in microseconds.
func (s *timeScanner) clock() int64 {
	hour := s.number(2)
	s.must(":")
	minute := s.number(2)
	second, micros := 0, int64(0)
	if s.take(":") != 0 {
		second = s.number(2)
		if s.take(".,") != 0 {
			n := digits(s.rest, 0)
			frac := strings.TrimRight(s.rest[:n], "0")
			if n == 0 || len(frac) > 6 {
				s.bad = true
				return 0
			}
			micros, _ = strconv.ParseInt((frac + "000000")[:6], 10, 64)
			s.rest = s.rest[n:]
		}
	}
	if hour > 23 || minute > 59 || second > 59 {
		s.bad = true
	}
	return (int64(hour)*3600+int64(minute)*60+int64(second))*1_000_000 + micros
}

// zone takes a distance from UTC in seconds; none is UTC.
func (s *timeScanner) zone() int64 {
	sign := int64(1)
	switch s.take("Zz+-") {
	case '-':
		sign = -1
	case '+':
	default:
		return 0
	}
	hour := s.number(2)
	minute := 0
	if s.take(":") != 0 || s.rest != "" {
		minute = s.number(2)
	}
	if hour > 18 || minute > 59 {
		s.bad = true
	}
	return sign * int64(hour*3600+minute*60)
}

// parseTimestamp reads an ISO 8601 time as microseconds since the Unix epoch.
func parseTimestamp(text string) (int64, bool) {
	s := timeScanner{rest: text}
	year, month, day := s.date()
	var micros, zone int64
	if s.rest != "" {
		s.must("Tt ")
		micros = s.clock()
		s.take(" ")
		zone = s.zone()
	}
	if s.bad || s.rest != "" {
		return 0, false
	}
	// The years of 64-bit microseconds are -290308..294247; the outermost of
	// them aren't whole, and time.Time's own range is far beyond.
	if year < -290307 || year > 294246 {
		return 0, false
	}
	sec := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix() - zone
	return sec*1_000_000 + micros, true
}

// parseDate reads an ISO 8601 day as days since the Unix epoch.
func parseDate(text string) (int64, bool) {
	s := timeScanner{rest: text}
	year, month, day := s.date()
	if s.bad || s.rest != "" || year < 1 || year > 9999 {
		return 0, false
	}
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix() / 86400, true
}

// microsOf cuts a time to microseconds, toward the past.
func microsOf(t time.Time) int64 { return t.UnixMicro() }

// dayOf is the day of a time in UTC, kept within what DATE holds.
func dayOf(micros int64) int64 {
	day := micros / microsPerDay
	if micros%microsPerDay < 0 {
		day--
	}
	return min(max(day, minDate), maxDate)
}
