package predicate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func TestColumnsKeepTheirOrderAndTakeNames(t *testing.T) {
	schema := allTypes(t)
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{"qty, id"}, "4 qty qty; 0 id id"},
		{[]string{"qty as Amount", `"order" AS "the order"`, "`In` as `as`"}, "4 qty Amount; 16 order the order; 17 In as"},
		{[]string{"id AS qty, qty AS id"}, "0 id qty; 4 qty id"},
		{[]string{"order, qty, qty AS also"}, "16 order order; 4 qty qty; 4 qty also"},
		{[]string{"größe\n,\tid"}, "19 größe größe; 0 id id"},
	} {
		out, err := Columns(schema, c.texts...)
		var got []string
		for _, o := range out {
			got = append(got, fmt.Sprint(o.Index, " ", o.Column, " ", o.Name))
		}
		if err != nil || strings.Join(got, "; ") != c.want {
			t.Errorf("%q: %v, %v, want %s", c.texts, got, err, c.want)
		}
	}
	all, err := Columns(schema, "id AS first", "*")
	if err != nil || len(all) != schema.NumColumns()+1 || all[1].Name != "id" || all[len(all)-1].Name != "odd" {
		t.Errorf("all columns: %v, %v", all, err)
	}
	_, err = Columns(schema, "id, qti", "id", ",")
	if err == nil || strings.Count(err.Error(), "at character") != 3 {
		t.Errorf("three faults in three texts: %v", err)
	}
}

func TestRowsAreOrderedByEachColumnInItsDirectionAndNullsLast(t *testing.T) {
	schema, ps := allTypes(t), pools()
	for i := range ps {
		p := &ps[i]
		rows := rowsOf(ps, p)
		batch := batchOf(t, schema, []string{p.column, "odd"}, ps, rows)
		for _, direction := range []string{"", " ASC", " desc", " ASC NULLS LAST", " DESC nulls last", " NULLS LAST"} {
			o, err := OrderBy(schema, quoteName(p.column)+direction)
			if err != nil {
				t.Fatal(err)
			}
			c, err := o.Comparer(batch.Schema())
			if err != nil {
				t.Fatal(err)
			}
			sign := 1
			if o.Keys()[0].Desc {
				sign = -1
			}
			for x, rx := range rows {
				for y, ry := range rows {
					kx, ky := rx[p.column], ry[p.column]
					want := 0
					switch {
					case kx >= 0 && ky >= 0:
						want = sign * (p.samples[kx].rank - p.samples[ky].rank)
					case kx != ky:
						want = ky - kx
						if kx >= 0 {
							want = -1
						}
						if ky >= 0 {
							want = 1
						}
					}
					if got := c.Compare(batch, x, batch, y); got*want < 0 || (got == 0) != (want == 0) {
						t.Fatalf("%s%s: rows %d and %d compare as %d, want %d", p.column, direction, x, y, got, want)
					}
				}
			}
		}
	}
}

func TestLaterColumnsOrderOnlyWhatIsEqualBefore(t *testing.T) {
	schema := allTypes(t)
	o, err := OrderBy(schema, "qty, status DESC", "id")
	if err != nil {
		t.Fatal(err)
	}
	proj, _ := schema.Project("id", "status", "qty")
	bb := kudu.NewBatchBuilder(proj)
	for _, r := range [][]any{{1, "a", 2}, {2, "b", 1}, {3, nil, 1}, {4, "c", 1}, {5, "c", 1}, {6, "x", nil}, {0, "x", nil}} {
		if err := bb.Append(r...); err != nil {
			t.Fatal(err)
		}
	}
	batch := bb.Build()
	c, err := o.Comparer(proj)
	if err != nil {
		t.Fatal(err)
	}
	rows := []int{0, 1, 2, 3, 4, 5, 6}
	slices.SortFunc(rows, func(i, j int) int { return c.Compare(batch, i, batch, j) })
	if want := []int{3, 4, 1, 2, 0, 6, 5}; !slices.Equal(rows, want) {
		t.Errorf("rows come as %v, want %v", rows, want)
	}
	if narrow, _ := schema.Project("id", "qty"); true {
		if _, err := o.Comparer(narrow); err == nil || !strings.Contains(err.Error(), `"status"`) {
			t.Errorf("a projection without status: %v", err)
		}
	}
}
