package predicate

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// faultyTexts are wrong conditions, a line each; lines of a list of columns or
// of an order begin with columns: and order:.
const faultyTexts = `
=
qty
qty =
qty = )
qty = 5 5
qty = 5 AND
qty = 5 AND OR tiny = 1
qty = 5 tiny = 1
(qty = 5
(qty = 5 AND (tiny = 1 OR tiny = 2)
qty = 5)
()
NOT
qty NOT
qty NOT 5
qty IS
qty IS 5
qty IS NOT
qty IS NOT 5
qty IN
qty IN 5
qty IN (
qty IN ()
qty IN (1, 2
qty IN (1 2)
qty IN (1,)
qty BETWEEN 1
qty BETWEEN 1 OR 2
qty BETWEEN 1 AND
status LIKE
status LIKE 5
status LIKE 'a' ESCAPE
status LIKE 'a' ESCAPE 'ab'
status LIKE 'a!b' ESCAPE '!'
status LIKE 'a!' ESCAPE '!'
qty LIKE '5%'
due <= now() -
due <= now() - 5
due <= now() - INTERVAL
due <= now() - INTERVAL 5
due <= now() - INTERVAL 5 MONTH
due <= now() - INTERVAL 1.5 DAY
due <= now() - INTERVAL 'x' DAY
due <= now() - INTERVAL 365001 DAYS
due <= now() - INTERVAL 365000 DAYS - INTERVAL 1 SECOND
due <= now
qty = now()
status = now()
now() = now()
qtty = 5
STATUS = 'x'
"In " = 5
in = 5
order = 5 AND asd = 6
zzzzzz = 5
qty = 'abc'
qty = 5.5
qty = 1e3
qty = TRUE
qty = NULL
qty <> NULL
qty IN (1, NULL)
qty = tiny
qty = "5"
status = NEW
status = "NEW"
status = -'x'
status = 5
status = X'41'
-qty = 5
5 = 5
5
'abc'
TRUE
TRUE = qty
tiny = 128
tiny = -129
small = 32768
qty = 2147483648
big = 9223372036854775808
big > 99999999999999999999999999999999999999999999999999999999999999
d9 = 1.005
d9 = 12345678
d9 = 1e2
d38 = 100000000000000000000000000000000
ratio = 1e39
score = 1e309
score = 'abc'
qty = NaN
NaN = NaN
NaN IN (1)
code = 'abcde'
raw = 'abc'
raw = X'4'
raw = X'zz'
raw = X'41
due = 'yesterday'
due = '2026-02-30'
due = '2026-01-02T03:04:05.0000001Z'
due = '2026-01-02T25:00:00Z'
due = 1700000000
due = '2026-01-02T03:04:05+19:00'
born = '2026-01-02T00:00:00Z'
born = '0000-01-01'
flag = 1
flag = 'true'
odd = 5
status = 'abc
"status = 5
"" = 5
qty == 5
qty => 5
qty = 5 && tiny = 5
qty = 5 || tiny = 5
qty = 5; drop
status = ‘abc’
qty = 5abc
qty = 5.5.5
qty = $x
qty = 5 AND gröse = 6 AND größe = 'x'
qtty = 5 AND tiny = 1000 AND status = 5
id = 1 AND id = 2 AND id = 3 AND id = 4 AND id = 5 AND id = 6 AND id = 7 AND qty < 'oops' AND id = 9 AND id = 10 AND id = 11
columns:
columns: id,
columns: id qty
columns: id AS
columns: id AS 5
columns: id, , qty
columns: id, qti
columns: *, id
columns: id AS x, qty AS x
columns: id AS qty, qty
columns: * AS x
order:
order: due NULLS FIRST
order: due NULLS
order: due UP
order: due DESC ASC
order: due, due DESC
order: dew, odd
order: desc
`

func TestErrorsPointAtTheCharacter(t *testing.T) {
	schema := allTypes(t)
	var out strings.Builder
	for _, line := range strings.Split(strings.Trim(faultyTexts, "\n"), "\n") {
		var err error
		kind, list, _ := strings.Cut(line, ":")
		switch kind {
		case "columns":
			_, err = Columns(schema, strings.TrimSpace(list))
		case "order":
			_, err = OrderBy(schema, strings.TrimSpace(list))
		default:
			err = compileErr(line, schema)
		}
		if err == nil {
			t.Errorf("%s: no error", line)
			continue
		}
		out.WriteString("--- " + line + "\n" + err.Error() + "\n")
	}
	const golden = "testdata/errors.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		got, wants := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
		for i := range got {
			if i >= len(wants) || got[i] != wants[i] {
				t.Fatalf("line %d of %s differs, got\n%s", i+1, golden, strings.Join(got[max(0, i-2):min(len(got), i+3)], "\n"))
			}
		}
		t.Fatal("the golden file has more lines")
	}
}
