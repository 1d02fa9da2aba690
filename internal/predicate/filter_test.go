package predicate

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// rowsOf is a row for each value of a column, and one for NULL, if it may be.
func rowsOf(ps []pool, p *pool) []testRow {
	var rows []testRow
	first := -1
	if p.column == "id" {
		first = 0
	}
	for k := first; k < len(p.samples); k++ {
		r := testRow{p.column: k}
		for _, other := range ps {
			if other.column != p.column {
				r[other.column] = 0
			}
		}
		rows = append(rows, r)
	}
	return rows
}

func TestEachOperatorHoldsForEachTypeAndEachPairOfValues(t *testing.T) {
	schema, ps := allTypes(t), pools()
	signs := map[string]func(a, b int) bool{
		"=": func(a, b int) bool { return a == b }, "<>": func(a, b int) bool { return a != b },
		"<": func(a, b int) bool { return a < b }, "<=": func(a, b int) bool { return a <= b },
		">": func(a, b int) bool { return a > b }, ">=": func(a, b int) bool { return a >= b },
		"in": func(a, b int) bool { return a == b }, "not in": func(a, b int) bool { return a != b },
		"between": func(a, b int) bool { return a >= b }, "not between": func(a, b int) bool { return a < b },
	}
	for i := range ps {
		p := &ps[i]
		rows := rowsOf(ps, p)
		last := p.samples[len(p.samples)-1]
		for sign, holds := range signs {
			for _, s := range p.samples {
				for _, text := range s.texts {
					cond := fmt.Sprintf("%s %s %s", quoteName(p.column), sign, text)
					switch {
					case strings.HasSuffix(sign, "in"):
						cond = fmt.Sprintf("%s %s (%s, %[3]s)", quoteName(p.column), sign, text)
					case strings.HasSuffix(sign, "between") && len(last.texts) == 0:
						continue
					case strings.HasSuffix(sign, "between"):
						cond += " AND " + last.texts[0]
					}
					for _, not := range []bool{false, true} {
						if not {
							cond = "NOT " + cond
						}
						var want []int
						for k, r := range rows {
							if c := r[p.column]; c >= 0 && holds(p.samples[c].rank, s.rank) != not {
								want = append(want, k)
							}
						}
						f := compiled(t, cond, schema)
						local := f.PushOnly(func(*kudu.Column) bool { return false })
						for _, form := range []*Filter{f, local} {
							if got := selected(t, form, ps, rows); !slices.Equal(got, want) {
								t.Fatalf("%s selects %v, want %v (pushed %v)", cond, got, want, form.At(noon).Pushed())
							}
						}
					}
				}
			}
		}
	}
}

func TestPushedFormsAreThoseOfKudu(t *testing.T) {
	schema := allTypes(t)
	for _, c := range []struct{ text, explain, pushed string }{
		{"qty = 5", "pushed: qty = 5", "qty = 5"},
		{"qty < 5", "pushed: qty < 5", "qty < 5"},
		{"5 > qty", "pushed: qty < 5", "qty < 5"},
		{"qty <= 5", "pushed: qty <= 5", "qty < 6"},
		{"qty > 5", "pushed: qty > 5", "qty >= 6"},
		{"NOT qty < 5", "pushed: qty >= 5", "qty >= 5"},
		{"qty BETWEEN 5 AND 7", "pushed: qty BETWEEN 5 AND 7", "qty >= 5; qty < 8"},
		{"qty BETWEEN 5 AND 5", "pushed: qty BETWEEN 5 AND 5", "qty = 5"},
		{"qty BETWEEN 7 AND 5", "pushed: qty BETWEEN 7 AND 5", "never"},
		{"qty IN (3, 1, 2, 1)", "pushed: qty IN (3, 1, 2, 1)", "qty IN (1, 2, 3)"},
		{"qty IN (3, 3)", "pushed: qty IN (3, 3)", "qty = 3"},
		{"qty = 3 OR (qty = 1 OR qty IN (4))", "pushed: qty IN (3, 1, 4)", "qty IN (1, 3, 4)"},
		{"qty IS NULL", "pushed: qty IS NULL", "qty IS NULL"},
		{"NOT qty IS NULL", "pushed: qty IS NOT NULL", "qty IS NOT NULL"},
		{"id IS NULL", "pushed: id IS NULL", "never"},
		{"id IS NOT NULL", "pushed: id IS NOT NULL", ""},
		{"tiny <= 127", "pushed: tiny <= 127", "tiny IS NOT NULL"},
		{"tiny = 127", "pushed: tiny = 127", "tiny = 127"},
		{"tiny = -128", "pushed: tiny = -128", "tiny = -128"},
		{"tiny < -128", "pushed: tiny < -128", "never"},
		{"tiny > 127", "pushed: tiny > 127", "never"},
		{"tiny > 126", "pushed: tiny > 126", "tiny >= 127"},
		{"id >= -9223372036854775808", "pushed: id >= -9223372036854775808", ""},
		{"big > 9223372036854775807", "pushed: big > 9223372036854775807", "never"},
		{"flag", "pushed: flag = TRUE", "flag = true"},
		{"NOT flag", "pushed: flag <> TRUE", "flag = false"},
		{"flag < TRUE", "pushed: flag < TRUE", "flag = false"},
		{"flag <= TRUE", "pushed: flag <= TRUE", "flag IS NOT NULL"},
		{"flag NOT IN (TRUE, FALSE)", "pushed: flag NOT IN (TRUE, FALSE)", "never"},
		{"status > 'a'", "pushed: status > 'a'", `status >= "a\x00"`},
		{"status >= ''", "pushed: status >= ''", "status IS NOT NULL"},
		{"status < ''", "pushed: status < ''", "never"},
		{"status LIKE 'abc%'", "pushed: status LIKE 'abc%'", `status >= "abc"; status < "abd"`},
		{"status LIKE 'abc'", "pushed: status LIKE 'abc'", `status = "abc"`},
		{"status LIKE 'a!%' ESCAPE '!'", "pushed: status LIKE 'a!%' ESCAPE '!'", `status = "a%"`},
		{"status LIKE '%'", "pushed: status LIKE '%'", "status IS NOT NULL"},
		{"status LIKE 'ab_%'", "pushed in part, and evaluated: status LIKE 'ab_%' (LIKE with more than a prefix)", `status >= "ab"; status < "ac"`},
		{"status LIKE '%a'", "evaluated: status LIKE '%a' (LIKE without a prefix)", ""},
		{"status NOT LIKE 'a%'", "evaluated: status NOT LIKE 'a%' (Kudu has no NOT LIKE)", ""},
		{"raw LIKE X'61FF25'", "pushed: raw LIKE X'61FF25'", "raw >= X'61FF'; raw < X'62'"},
		{"raw LIKE X'FFFF25'", "pushed: raw LIKE X'FFFF25'", "raw >= X'FFFF'"},
		{"raw = X'00'", "pushed: raw = X'00'", "raw = X'00'"},
		{"qty <> 5", "evaluated: qty <> 5 (Kudu has no <>)", ""},
		{"qty NOT IN (5)", "evaluated: qty NOT IN (5) (Kudu has no NOT IN)", ""},
		{"NOT (qty < 5 OR status = 'x')", "pushed: qty >= 5; evaluated: status <> 'x' (Kudu has no <>)", "qty >= 5"},
		{"qty < 5 OR status = 'x'", "evaluated: qty < 5 OR status = 'x' (OR of different tests)", ""},
		{"score > 1", "evaluated: score > 1 (Kudu compares NaN in another way)", ""},
		{"score IS NOT NULL", "pushed: score IS NOT NULL", "score IS NOT NULL"},
		{"due <= now()", "pushed: due <= now()", "due < 1767355200000007"},
		{"due < now() - INTERVAL 1 HOUR", "pushed: due < now() - INTERVAL 1 HOUR", "due < 1767351600000006"},
		{"born = now()", "pushed: born = now()", "born = 20455"},
		{"born <= '9999-12-31'", "pushed: born <= '9999-12-31'", "born IS NOT NULL"},
		{"d9 <= 9999999.99", "pushed: d9 <= 9999999.99", "d9 IS NOT NULL"},
		{"d9 < 1.5", "pushed: d9 < 1.5", "d9 < 150"},
		{"d38 <= 99999999999999999999999999999999.999999", "pushed: d38 <= 99999999999999999999999999999999.999999", "d38 IS NOT NULL"},
		{"d38 > 1", "pushed: d38 > 1", "d38 >= 1000001"},
		{"qty > 5 AND (tiny = 1 AND (id = 2))", "pushed: qty > 5; pushed: tiny = 1; pushed: id = 2", "qty >= 6; tiny = 1; id = 2"},
		{"qty > 5 AND qty < 6", "pushed: qty > 5; pushed: qty < 6", "never"},
		{"qty > 5 AND qty < 9 AND qty < 6", "pushed: qty > 5; pushed: qty < 9; pushed: qty < 6", "never"},
		{"status > 'a' AND status < 'b'", "pushed: status > 'a'; pushed: status < 'b'", `status >= "a\x00"; status < "b"`},
		{"qty IN (1, 2, 3) AND qty IN (4, 5)", "pushed: qty IN (1, 2, 3); pushed: qty IN (4, 5)", "never"},
		{"qty IN (1, 2, 3) AND qty IN (3, 5) AND qty < 3", "pushed: qty IN (1, 2, 3); pushed: qty IN (3, 5); pushed: qty < 3", "never"},
		{"qty IS NULL AND qty = 1", "pushed: qty IS NULL; pushed: qty = 1", "never"},
		{`"order" = 1 AND "a ""b""" = 2 AND größe = 3 AND "In" = 4`, `pushed: order = 1; pushed: "a ""b""" = 2; pushed: größe = 3; pushed: "In" = 4`, `order = 1; "a ""b""" = 2; größe = 3; "In" = 4`},
		{"odd IS NULL", "pushed: odd IS NULL", "odd IS NULL"},
	} {
		f := compiled(t, c.text, schema)
		var explain []string
		for _, e := range f.Explain() {
			explain = append(explain, e.String())
		}
		if got := strings.Join(explain, "; "); got != c.explain {
			t.Errorf("%s\nis explained as %s\nwant            %s", c.text, got, c.explain)
		}
		b := f.At(noon)
		var pushed []string
		for i, p := range b.Pushed() {
			pushed = append(pushed, p.String())
			if scan := b.ScanPredicates()[i]; !strings.HasPrefix(scan.String(), p.Column+" "+predicateSigns[p.Op]) {
				t.Errorf("%s: %s becomes %s in a scan", c.text, p, scan)
			}
		}
		got := strings.Join(pushed, "; ")
		if b.Never() {
			got = "never"
		}
		if got != c.pushed {
			t.Errorf("%s\npushes %s\nwant   %s", c.text, got, c.pushed)
		}
	}
}

func TestNowMovesFromPassToPass(t *testing.T) {
	f := compiled(t, "due <= now() OR qty = 1", allTypes(t))
	if !f.UsesNow() || compiled(t, "due <= '2026-01-01' OR qty = 1", f.schema).UsesNow() {
		t.Fatal("UsesNow is wrong")
	}
	if got := f.Columns(); !slices.Equal(got, []string{"qty", "due"}) {
		t.Fatalf("the condition reads %v", got)
	}
	proj, err := f.schema.Project("due", "qty")
	if err != nil {
		t.Fatal(err)
	}
	bb := kudu.NewBatchBuilder(proj)
	for i := range 5 {
		if err := bb.Append(noon.Add(time.Duration(i)*time.Second), nil); err != nil {
			t.Fatal(err)
		}
	}
	batch := bb.Build()
	for i := range 5 {
		if got := f.At(noon.Add(time.Duration(i)*time.Second)).Select(batch, nil); len(got) != i+1 {
			t.Fatalf("second %d: %v", i, got)
		}
	}
	// The ends of the time that can be told.
	for _, text := range []string{"due <= now() + INTERVAL 365000 DAYS OR qty = 1", "born >= now() - INTERVAL 365000 DAYS OR qty = 1"} {
		for _, now := range []time.Time{{}, time.Unix(1<<40, 0), time.UnixMicro(-1 << 63), time.UnixMicro(1<<63 - 1)} {
			compiled(t, text, f.schema).At(now)
		}
	}
	if got := dayOf(-1); got != -1 {
		t.Errorf("a microsecond before the epoch is day %d", got)
	}
}

func TestAFilterNeedsItsColumnsInTheProjection(t *testing.T) {
	f := compiled(t, "qty <> 5 AND status <> 'x' AND tiny = 1", allTypes(t))
	b := f.At(noon)
	narrow, _ := f.schema.Project("qty", "tiny")
	if err := b.Bind(narrow); err == nil || !strings.Contains(err.Error(), `"status"`) {
		t.Errorf("a projection without status: %v", err)
	}
	cols := f.schema.Columns()
	cols[4].Type = kudu.Int64
	other, err := kudu.NewSchema(cols)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Bind(other); err == nil || !strings.Contains(err.Error(), "INT64 in the projection, INT32") {
		t.Errorf("a projection with another type: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Select took a batch that lacks a column")
		}
	}()
	b.Select(kudu.NewBatchBuilder(narrow).Build(), nil)
}

func TestAFilterServesManyGoroutines(t *testing.T) {
	schema, ps := allTypes(t), pools()
	f := compiled(t, "status LIKE '%b%' OR d38 <> 0 AND big NOT IN (1,2,3,4,5,6,7,8,9)", schema)
	p := poolOf(ps, "status")
	rows := rowsOf(ps, p)
	want := selected(t, f, ps, rows)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if got := selected(t, f, ps, rows); !slices.Equal(got, want) {
					t.Errorf("selects %v, want %v", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestWhatIsUnknownIsNotSelected(t *testing.T) {
	schema, ps := allTypes(t), pools()
	row := testRow{}
	for _, p := range ps {
		row[p.column] = -1
	}
	row["id"] = 0
	for _, text := range []string{"qty = 1", "qty <> 1", "NOT qty = 1", "qty NOT IN (1)", "qty NOT BETWEEN 1 AND 2", "status NOT LIKE 'x'",
		"NOT (qty = 1 AND tiny = 1)", "NOT (qty = 1 OR tiny = 1)", "flag", "NOT flag", "score <> NaN", "qty = 1 OR NOT qty = 1", "d38 <> 1", "raw <> X''"} {
		if got := selected(t, compiled(t, text, schema), ps, []testRow{row}); len(got) > 0 {
			t.Errorf("%s selects a row of NULLs", text)
		}
	}
	for _, text := range []string{"qty IS NULL", "qty = 1 OR tiny IS NULL", "NOT (qty = 1 AND tiny IS NOT NULL)"} {
		if got := selected(t, compiled(t, text, schema), ps, []testRow{row}); len(got) != 1 {
			t.Errorf("%s does not select a row of NULLs", text)
		}
	}
}
