package kudu

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawInt128(t *rapid.T, label string) Int128 {
	switch rapid.IntRange(0, 3).Draw(t, label+" kind") {
	case 0:
		return Int128FromInt64(rapid.Int64().Draw(t, label))
	case 1:
		return drawDecimal(t, 38, label)
	case 2: // around powers of ten, where the digits' limbs meet
		n := tenTo(rapid.IntRange(0, 38).Draw(t, label+" power"))
		n.Add(n, big.NewInt(int64(rapid.IntRange(-2, 2).Draw(t, label+" beside"))))
		if rapid.Bool().Draw(t, label+" sign") {
			n.Neg(n)
		}
		return fromBig(n)
	}
	return Int128{Hi: rapid.Int64().Draw(t, label+" hi"), Lo: rapid.Uint64().Draw(t, label+" lo")}
}

// decimalText writes n / 10^scale by other means than the code under test.
func decimalText(n *big.Int, scale int) string {
	digits := new(big.Int).Abs(n).String()
	if scale > 0 {
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale+1-len(digits)) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if n.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

func TestDecimalsAreWrittenWithAllTheirDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, scale := drawInt128(t, "a"), rapid.IntRange(0, 38).Draw(t, "scale")
		if got, want := string(a.AppendDecimal([]byte("x"), scale)), "x"+decimalText(bigOf(a), scale); got != want {
			t.Fatalf("%#v, scale %d: %s, want %s", a, scale, got, want)
		}
		if a.String() != bigOf(a).String() {
			t.Fatalf("%#v: %s, want %s", a, a, bigOf(a))
		}
	})
	for a, want := range map[Int128]string{
		{Hi: math.MinInt64}:                     "-170141183460469231731687303715884105728",
		{Hi: math.MaxInt64, Lo: math.MaxUint64}: "170141183460469231731687303715884105727",
		{Hi: -1, Lo: math.MaxUint64}:            "-1",
		{}:                                      "0",
	} {
		if a.String() != want {
			t.Errorf("%#v: %s, want %s", a, a, want)
		}
	}
	if got := string(Int128FromInt64(-50).AppendDecimal(nil, 3)); got != "-0.050" {
		t.Errorf("-50 with scale 3: %s", got)
	}
}

func TestWritingADecimalAllocatesNothing(t *testing.T) {
	a, dst := Int128{Hi: math.MinInt64}, make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { dst = a.AppendDecimal(dst[:0], 6) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestInt128ComparesAndNarrowsAsBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawInt128(t, "a"), drawInt128(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b = a
			b.Lo ^= rapid.SampledFrom([]uint64{0, 1, 1 << 63}).Draw(t, "difference")
		}
		if got, want := a.Cmp(b), bigOf(a).Cmp(bigOf(b)); got != want {
			t.Fatalf("%v compared with %v: %d, want %d", a, b, got, want)
		}
		if a.Neg() != (bigOf(a).Sign() < 0) {
			t.Fatalf("%v: Neg is %v", a, a.Neg())
		}
		i, fits := a.Int64()
		if want := bigOf(a); fits != want.IsInt64() || fits && i != want.Int64() {
			t.Fatalf("%v: as int64 %d, fits %v", a, i, fits)
		}
		if fits && Int128FromInt64(i) != a {
			t.Fatalf("%v widened: %v", a, Int128FromInt64(i))
		}
	})
}

func TestDecimalsComeBackFromTheirText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		precision := rapid.IntRange(1, 38).Draw(t, "precision")
		scale := rapid.IntRange(0, precision).Draw(t, "scale")
		a := drawDecimal(t, precision, "a")
		got, err := ParseDecimal(string(a.AppendDecimal(nil, scale)), precision, scale)
		if err != nil || got != a {
			t.Fatalf("%v: %v, %v", a, got, err)
		}
	})
}

var plainDecimal = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$`)

func TestParsingADecimalAgreesWithExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		precision := rapid.IntRange(1, 38).Draw(t, "precision")
		scale := rapid.IntRange(0, precision).Draw(t, "scale")
		text := rapid.OneOf(
			rapid.StringMatching(`[+-]?0{0,3}[0-9]{0,39}(\.[0-9]{0,39}0{0,3})?`),
			rapid.StringMatching(`[-+]?[0-9]{0,3}\.?[0-9]{0,3}[.eE_x ]?[0-9]?`),
		).Draw(t, "text")
		got, err := ParseDecimal(text, precision, scale)

		var want *big.Int
		if plainDecimal.MatchString(text) {
			if r, ok := new(big.Rat).SetString(text); ok {
				r.Mul(r, new(big.Rat).SetInt(tenTo(scale)))
				if r.IsInt() && r.Num().CmpAbs(tenTo(precision)) < 0 {
					want = r.Num()
				}
			} else {
				t.Fatalf("math/big doesn't take %q", text)
			}
		}
		switch {
		case want == nil && err == nil:
			t.Fatalf("%q as DECIMAL(%d,%d) is %v, and should be refused", text, precision, scale, got)
		case want != nil && err != nil:
			t.Fatalf("%q as DECIMAL(%d,%d): %v, want %v", text, precision, scale, err, want)
		case want != nil && bigOf(got).Cmp(want) != 0:
			t.Fatalf("%q as DECIMAL(%d,%d): %v, want %v", text, precision, scale, got, want)
		}
	})
}

func TestBadDecimalsSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		text, want string
	}{
		{"", "no digits"}, {"-", "no digits"}, {".", "no digits"}, {"1e3", `'e'`}, {"1.2.3", `'.'`}, {"--1", `'-'`},
		{"1.001", "behind the point"}, {"1234", "before the point"}, {"12345678", "too many digits"},
	} {
		_, err := ParseDecimal(c.text, 5, 2)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "DECIMAL(5,2)") {
			t.Errorf("%q: %v, want %q in it", c.text, err, c.want)
		}
	}
	for text, want := range map[string]string{"001.50": "150", "+1.5000": "150", "-.5": "-50", "7.": "700", "-0": "0"} {
		got, err := ParseDecimal(text, 5, 2)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
}
