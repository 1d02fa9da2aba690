package serde

import (
	"math"
	"testing"
	"time"
)

func TestCivilAgreesWithTheTimePackage(t *testing.T) {
	at := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for days := int64(minDateDays); days <= maxDateDays; days += 13 {
		y, m, d := civil(days)
		if int(y) != at.Year() || m != uint32(at.Month()) || int(d) != at.Day() {
			t.Fatalf("day %d is %v, not %d-%d-%d", days, at, y, m, d)
		}
		if back := daysOf(y, m, d); back != days {
			t.Fatalf("day %d comes back as %d", days, back)
		}
		at = at.AddDate(0, 0, 13)
	}
}

func TestCivilFollowsTheCalendarOverAllDays(t *testing.T) {
	// Each day is the one after the day before, over more than one cycle of
	// 400 years at both ends of the range and around the year 0.
	for _, from := range []int64{math.MinInt32, -719162 - 2*daysPerEra, math.MaxInt32 - 2*daysPerEra} {
		y, m, d := civil(from)
		for days := from + 1; days <= from+2*daysPerEra; days++ {
			y2, m2, d2 := civil(days)
			last := uint32(31)
			switch m {
			case 4, 6, 9, 11:
				last = 30
			case 2:
				last = 28
				if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
					last = 29
				}
			}
			wy, wm, wd := y, m, d+1
			if wd > last {
				wm, wd = m+1, 1
			}
			if wm > 12 {
				wy, wm = y+1, 1
			}
			if y2 != wy || m2 != wm || d2 != wd {
				t.Fatalf("after %d-%d-%d comes %d-%d-%d", y, m, d, y2, m2, d2)
			}
			if back := daysOf(y2, m2, d2); back != days {
				t.Fatalf("day %d comes back as %d", days, back)
			}
			y, m, d = y2, m2, d2
		}
	}
}

func TestTimesThatDoNotExistAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "Z", "2026", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05.Z",
		"2026-01-02T03:04:05.1234567Z", "2026-01-02T24:00:00Z", "2026-01-02T03:60:00Z", "2026-01-02T03:04:60Z",
		"2026-13-02T03:04:05Z", "2026-00-02T03:04:05Z", "2026-02-30T03:04:05Z", "2026-01-00T03:04:05Z",
		"2025-02-29T03:04:05Z", "12026-01-02T03:04:05Z", "+2026-01-02T03:04:05Z", "2026-1-2T03:04:05Z",
		"2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05,5Z", "2026-01-02T+3:04:05Z", "2026-01-02T03:04:05.000006Zx",
		"-290308-12-21T19:59:05.224191Z", "+294247-01-10T04:00:54.775808Z", "+9999999-01-01T00:00:00Z",
		"-9999999-01-01T00:00:00Z", "+", "-", "+------", "+12345678-01-01T00:00:00Z",
	} {
		if v, err := parseISOMicros(s); err == nil {
			t.Errorf("%q was read as %d", s, v)
		}
	}
}

func TestTimesMayHaveFewerDigits(t *testing.T) {
	for s, want := range map[string]int64{
		"1970-01-01T00:00:00Z":           0,
		"1970-01-01T00:00:00.5Z":         500000,
		"1969-12-31T23:59:59.99Z":        -10000,
		"1970-01-02T00:00:00.000001Z":    microsPerDay + 1,
		"-290308-12-21T19:59:05.224192Z": math.MinInt64,
		"+294247-01-10T04:00:54.775807Z": math.MaxInt64,
	} {
		if got, err := parseISOMicros(s); err != nil || got != want {
			t.Errorf("%q was read as %d, %v", s, got, err)
		}
	}
}
