package predicate

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTextsBeyondTheLimitsAreRefused(t *testing.T) {
	schema := allTypes(t)
	deep := func(n int, open string) string {
		return strings.Repeat(open, n) + "qty = 1" + strings.Repeat(")", n)
	}
	for text, what := range map[string]string{
		strings.Repeat(" ", maxText) + "x": "the text has 65537 bytes",
		strings.Repeat("é", maxText):       "the text has 131072 bytes",
		deep(101, "("):                     "nest more than 100 deep",
		deep(5000, "NOT("):                 "nest more than 100 deep",
		"qty = 1 \xff":                     "not UTF-8",
		"status = '\xff'":                  "not UTF-8",
		strings.Repeat("(", maxText):       "nest more than 100 deep",
		"qty IN (" + strings.Repeat("1,", maxText/2-5) + ")": "unexpected )",
	} {
		err := compileErr(text, schema)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.What, what) {
			t.Errorf("%.20q: %v, want %s", text, err, what)
		}
	}
	for _, text := range []string{
		deep(100, "("), deep(100, "NOT ("), strings.Repeat("NOT ", 10000) + "flag",
		strings.Repeat("qty = 1 OR ", 5000) + "qty = 2", strings.Repeat("qty <> 1 AND ", 5000) + "qty <> 2",
		"qty IN (" + strings.Repeat("1,", 30000) + "2)", "status = '" + strings.Repeat("x", 60000) + "'",
		"qty = 1" + strings.Repeat(" OR (tiny = 1 AND NOT (qty = 1", 50) + strings.Repeat("))", 50),
	} {
		start := time.Now()
		if err := compileErr(text, schema); err != nil {
			t.Errorf("%.30q: %v", text, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%.30q took %v", text, d)
		}
	}
}

func TestErrorsOfLongAndManyLinedTextsAreReadable(t *testing.T) {
	schema := allTypes(t)
	err := compileErr("qty = 1\n\tAND tiny = 'x'\n\tAND id = 1", schema)
	want := "at line 2, character 13: column \"tiny\" is INT8, and 'x' is a string: write a whole number\n     AND tiny = 'x'\n                ^"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	err = compileErr(strings.Repeat("qty = 1 AND ", 3000)+"tiny = 'x'", schema)
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("the message has %d characters", len(err.Error()))
	}
	err = compileErr(strings.Repeat("qtty = 1 AND ", 3000)+"qty = 1", schema)
	if n := strings.Count(err.Error(), "did you mean"); n != maxFaults {
		t.Errorf("%d faults are told", n)
	}
}

func TestTimesAreReadAsISO8601(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-02":                       "2026-01-02T00:00:00Z",
		"2026-01-02T03:04":                 "2026-01-02T03:04:00Z",
		"2026-01-02T03:04:05":              "2026-01-02T03:04:05Z",
		"2026-01-02 03:04:05.000006":       "2026-01-02T03:04:05.000006Z",
		"2026-01-02t03:04:05,5z":           "2026-01-02T03:04:05.5Z",
		"2026-01-02T03:04:05.000006000Z":   "2026-01-02T03:04:05.000006Z",
		"2026-01-02T03:04:05 +02:00":       "2026-01-02T01:04:05Z",
		"2026-01-02T03:04:05-0530":         "2026-01-02T08:34:05Z",
		"2026-01-02T03:04:05+02":           "2026-01-02T01:04:05Z",
		"2024-02-29":                       "2024-02-29T00:00:00Z",
		"1969-12-31T23:59:59.999999Z":      "1969-12-31T23:59:59.999999Z",
		"0000-01-01":                       "0000-01-01T00:00:00Z",
		"-000044-03-15T00:00:00.000000Z":   "",
		"+010000-01-01T00:00:00.000000Z":   "",
		"+294246-12-31T23:59:59.999999Z":   "",
		"-290307-01-01T00:00:00.000000Z":   "",
		"+294247-01-01":                    "bad",
		"2026-1-2":                         "bad",
		"2026-13-01":                       "bad",
		"2026-00-01":                       "bad",
		"2025-02-29":                       "bad",
		"2026-01-02T":                      "bad",
		"2026-01-02T24:00":                 "bad",
		"2026-01-02T03:60":                 "bad",
		"2026-01-02T03:04:60":              "bad",
		"2026-01-02T03:04:05.":             "bad",
		"2026-01-02T03:04:05Zx":            "bad",
		"2026-01-02Z":                      "bad",
		"2026-01-02T03:04:05+2":            "bad",
		"2026-01-02T03:04:05+02:60":        "bad",
		"20260102":                         "bad",
		"":                                 "bad",
		"2026-01-02T03:04:05.123456789Z":   "bad",
		"2026\u0661-01-02":                 "bad",
		"2026-01-02T03:04:05.0000060+00:0": "bad",
	} {
		micros, ok := parseTimestamp(text)
		switch got := time.UnixMicro(micros).UTC(); {
		case ok == (want == "bad"):
			t.Errorf("%q: %v", text, ok)
		case ok && want == "":
			sign, year := "+", got.Year()
			if year < 0 {
				sign, year = "-", -year
			}
			if s := fmt.Sprintf("%s%06d%s", sign, year, got.Format("-01-02T15:04:05.000000Z")); s != text {
				t.Errorf("%q is read as %s", text, s)
			}
		case ok && got.Format(time.RFC3339Nano) != want:
			t.Errorf("%q is read as %s, want %s", text, got.Format(time.RFC3339Nano), want)
		}
	}
}

// FuzzParse looks for texts that make the parser or the compiler panic, take
// long, or point beside the text.
func FuzzParse(f *testing.F) {
	for _, line := range strings.Split(faultyTexts, "\n") {
		f.Add(line)
	}
	for _, p := range pools() {
		for _, s := range p.samples {
			for _, text := range s.texts {
				f.Add(fmt.Sprintf("(NOT %s >= %s) and (tiny is null or status like 'a%%_' escape '!')", quoteName(p.column), text))
			}
		}
	}
	long := strings.Repeat("x", 3000)
	for _, text := range []string{long, quoted(long), "qty = " + long, "qty = " + quoted(long), long + " = " + long, "status LIKE 'a' ESCAPE " + quoted(long),
		"due = now() - INTERVAL 1 " + long, "due = now() - INTERVAL " + quoted(long) + " DAY", "raw = X'" + long + "'", "qty = 1" + strings.Repeat("0", 3000)} {
		f.Add(text)
	}
	schema := allTypes(f)
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		check := func(err error) {
			var many interface{ Unwrap() []error }
			errs := []error{err}
			if errors.As(err, &many) {
				errs = many.Unwrap()
			}
			for _, err := range errs {
				var e *Error
				if err != nil && (!errors.As(err, &e) || e.Offset < 0 || e.Offset > len(e.Text) || e.What == "" || len(e.Error()) > 2000) {
					t.Fatalf("%q: bad error %#v", text, err)
				}
			}
		}
		_, err := Columns(schema, text)
		check(err)
		_, err = OrderBy(schema, text)
		check(err)
		expr, err := Parse(text)
		check(err)
		if err == nil {
			filter, err := Compile(expr, schema)
			check(err)
			if err == nil {
				again, err := Parse(filter.String())
				if err != nil && len(filter.String()) <= maxText {
					t.Fatalf("%q is understood as %q, which can't be read: %v", text, filter, err)
				}
				if err == nil {
					if f2, err := Compile(again, schema); err != nil || f2.String() != filter.String() {
						t.Fatalf("%q is understood as %q, and that as %q, %v", text, filter, f2, err)
					}
				}
				filter.At(noon)
			}
		}
		if !utf8.ValidString(text) && err == nil {
			t.Fatalf("%q is not UTF-8 and is taken", text)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Fatalf("%d bytes took %v", len(text), d)
		}
	})
}

func TestOperatorsBindAsInSQL(t *testing.T) {
	schema := allTypes(t)
	for text, want := range map[string]string{
		"NOT flag AND tiny = 1 OR qty = 2":                     "(flag <> TRUE AND tiny = 1) OR qty = 2",
		"qty = 2 OR tiny = 1 AND NOT flag":                     "qty = 2 OR (tiny = 1 AND flag <> TRUE)",
		"NOT (qty = 2 OR tiny = 1) AND flag":                   "qty <> 2 AND tiny <> 1 AND flag = TRUE",
		"NOT NOT flag":                                         "flag = TRUE",
		"NOT qty = 1 OR tiny = 2":                              "qty <> 1 OR tiny = 2",
		"NOT qty BETWEEN 1 AND 2 AND flag":                     "qty NOT BETWEEN 1 AND 2 AND flag = TRUE",
		"qty NOT BETWEEN 1 AND 2 AND flag":                     "qty NOT BETWEEN 1 AND 2 AND flag = TRUE",
		"NOT qty NOT IN (1)":                                   "qty IN (1)",
		"(qty = 1 OR tiny = 1) AND (small = 1 OR big = 1)":     "(qty = 1 OR tiny = 1) AND (small = 1 OR big = 1)",
		"due<=now()-interval'5'minutes\n\tand\r\nqty=-1":       "due <= now() - INTERVAL '5' MINUTES AND qty = -1",
		"-1<qty and 2.5>=d9":                                   "qty > -1 AND d9 <= 2.5",
		"status = 'it''s' AND `order` = 1 AND code LIKE '''%'": "status = 'it''s' AND order = 1 AND code LIKE '''%'",
	} {
		if got := compiled(t, text, schema).String(); got != want {
			t.Errorf("%s\nis understood as %s\nwant             %s", text, got, want)
		}
	}
}
