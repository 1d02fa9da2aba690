package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// everyType has a column of each type, and a range partition with its own hash
// partitions.
func everyType(name string) TableSpec {
	return TableSpec{
		Name: name,
		Columns: []ColumnSpec{
			{Name: "id", Type: "INT64", Key: true},
			{Name: "bool", Type: "BOOL", Nullable: true},
			{Name: "int8", Type: "INT8", Nullable: true},
			{Name: "int16", Type: "INT16", Nullable: true},
			{Name: "int32", Type: "INT32", Nullable: true, Default: -7},
			{Name: "int64", Type: "INT64", Nullable: true},
			{Name: "float", Type: "FLOAT", Nullable: true, Default: float32(0.1)},
			{Name: "double", Type: "DOUBLE", Nullable: true},
			{Name: "decimal", Type: "DECIMAL", Precision: 38, Scale: 10, Nullable: true, Default: "-1.5"},
			{Name: "string", Type: "STRING", Nullable: true, Comment: "text"},
			{Name: "varchar", Type: "VARCHAR", Length: 3, Nullable: true},
			{Name: "binary", Type: "BINARY", Nullable: true, Default: []byte{1, 2}},
			{Name: "time", Type: "UNIXTIME_MICROS", Nullable: true},
			{Name: "date", Type: "DATE", Nullable: true, Default: "2020-02-29"},
		},
		Hash: []HashSpec{{Columns: []string{"id"}, Buckets: 3}},
		Range: &RangeSpec{Columns: []string{"id"}, Bounds: []BoundSpec{
			{Lower: Row{"id": 0}, Upper: Row{"id": 100}},
			{Lower: Row{"id": 100}, Upper: Row{"id": 200}, Hash: []HashSpec{{Columns: []string{"id"}, Buckets: 2}}},
		}},
		ExtraConfigs: map[string]string{"kudu.table.history_max_age_sec": "3600"},
	}
}

func readAll(t *testing.T, tool *KuduTool, options ReadOptions) ([]ReadRow, ReadEnd) {
	t.Helper()
	var rows []ReadRow
	end, err := tool.Read(t.Context(), options, func(row ReadRow) error {
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(rows)) != end.Rows {
		t.Fatalf("%d rows, but the end tells of %d", len(rows), end.Rows)
	}
	return rows, end
}

func TestOracleReadsWhatItWroteToTheLastBit(t *testing.T) {
	tool, ctx := SharedKuduTool(t), t.Context()
	if err := tool.CreateTable(ctx, everyType("every_type")); err != nil {
		t.Fatal(err)
	}
	nan := math.Float64frombits(0xfff4000000000abc)
	if _, err := tool.Write(ctx, "every_type", "insert",
		Row{"id": 1},
		Row{
			"id": 2, "bool": true, "int8": -128, "int16": 32767, "int32": math.MinInt32, "int64": int64(math.MaxInt64),
			"float": float32(math.Copysign(0, -1)), "double": nan, "decimal": "-9999999999999999999999999999.0123456789",
			"string": "tab\t quote\" \\ \u0001 \u65e5\u672c \U0001f600", "varchar": "\u00e9\u00e9\u00e9", "binary": []byte{0, 255},
			"time": time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), "date": "9999-12-31",
		},
		Row{"id": 3, "time": -1, "float": nil, "decimal": nil, "binary": nil, "date": nil, "int32": nil},
	); err != nil {
		t.Fatal(err)
	}
	rows, _ := readAll(t, tool, ReadOptions{Table: "every_type"})
	got := map[string]string{}
	for _, row := range rows {
		cells, err := row.Cells()
		if err != nil {
			t.Fatal(err)
		}
		got[string(cells["id"].(json.Number))] = string(row.Row)
	}
	want := map[string]string{
		"1": `{"id":1,"bool":null,"int8":null,"int16":null,"int32":-7,"int64":null,"float":{"bits":"3dcccccd"},"double":null,` +
			`"decimal":"-1.5000000000","string":null,"varchar":null,"binary":"AQI=","time":null,"date":"2020-02-29"}`,
		"2": `{"id":2,"bool":true,"int8":-128,"int16":32767,"int32":-2147483648,"int64":9223372036854775807,"float":{"bits":"80000000"},` +
			`"double":{"bits":"fff4000000000abc"},"decimal":"-9999999999999999999999999999.0123456789",` +
			`"string":"tab\u0009 quote\" \\ \u0001 ` + "\u65e5\u672c \U0001f600" + `","varchar":"` + "\u00e9\u00e9\u00e9" + `","binary":"AP8=",` +
			`"time":"0001-01-01T00:00:00.000001Z","date":"9999-12-31"}`,
		"3": `{"id":3,"bool":null,"int8":null,"int16":null,"int32":null,"int64":null,"float":null,"double":null,` +
			`"decimal":null,"string":null,"varchar":null,"binary":null,"time":"1969-12-31T23:59:59.999999Z","date":null}`,
	}
	for id, row := range want {
		if got[id] != row {
			t.Errorf("row %s:\nhave %s\nwant %s", id, got[id], row)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

func TestOracleReadsSnapshotsAndDiffs(t *testing.T) {
	tool, ctx := SharedKuduTool(t), t.Context()
	if err := tool.CreateTable(ctx, everyType("history")); err != nil {
		t.Fatal(err)
	}
	w := tool.NewWriter("history")
	for id := range 5 {
		w.Write("insert", Row{"id": id, "string": "old"})
	}
	w.Write("insert", Row{"id": 0})   // there already
	w.Write("insert", Row{"id": 999}) // in no range
	first, err := w.Flush(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if first.Rows != 5 || len(first.Errors) != 2 {
		t.Fatalf("writing 5 good rows and 2 bad: %+v", first)
	}
	status := map[int]string{}
	for _, e := range first.Errors {
		status[e.Index] = e.Status
	}
	if status[5] != "ALREADY_PRESENT" || status[6] != "NOT_FOUND" {
		t.Errorf("errors by row: %v", status)
	}
	w.Write("delete", Row{"id": 1})
	w.Write("update", Row{"id": 2, "string": "new"})
	w.Write("upsert", Row{"id": 150, "string": "new"})
	second, err := w.Flush(ctx)
	if err != nil || second.Rows != 3 || second.Timestamp <= first.Timestamp {
		t.Fatalf("writing: %+v after %+v, %v", second, first, err)
	}

	before, _ := readAll(t, tool, ReadOptions{Table: "history", Snapshot: first.Timestamp + 1, Columns: []string{"string"}})
	for _, row := range before {
		if string(row.Row) != `{"string":"old"}` {
			t.Errorf("the first snapshot shows %s", row.Row)
		}
	}
	if len(before) != 5 {
		t.Errorf("the first snapshot has %d rows, want 5", len(before))
	}
	if now, end := readAll(t, tool, ReadOptions{Table: "history"}); len(now) != 5 || end.Snapshot <= second.Timestamp {
		t.Errorf("%d rows now, want 5, at %d, want after %d", len(now), end.Snapshot, second.Timestamp)
	}
	diff, _ := readAll(t, tool, ReadOptions{Table: "history", Columns: []string{"id"}, Since: first.Timestamp + 1})
	changes := map[string]bool{}
	for _, row := range diff {
		changes[string(row.Row)] = row.Deleted
	}
	if want := map[string]bool{`{"id":1}`: true, `{"id":2}`: false, `{"id":150}`: false}; len(diff) != 3 || !sameChanges(changes, want) {
		t.Errorf("changes %v, want %v", changes, want)
	}
}

func sameChanges(a, b map[string]bool) bool {
	for key, value := range a {
		if other, found := b[key]; !found || other != value {
			return false
		}
	}
	return len(a) == len(b)
}

func TestOracleTellsTheTabletOfEachRow(t *testing.T) {
	tool, ctx := SharedKuduTool(t), t.Context()
	if err := tool.CreateTable(ctx, everyType("places")); err != nil {
		t.Fatal(err)
	}
	tablets, err := tool.Locate(ctx, "places")
	if err != nil {
		t.Fatal(err)
	}
	if len(tablets) != 3+2 {
		t.Fatalf("%d tablets, want 5", len(tablets))
	}
	var rows []Row
	for id := range 210 {
		rows = append(rows, Row{"id": id})
	}
	places, err := tool.Which(ctx, "places", rows...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tool.Write(ctx, "places", "insert", rows[:200]...); err != nil {
		t.Fatal(err)
	}
	stored, _ := readAll(t, tool, ReadOptions{Table: "places", Columns: []string{"id"}})
	for _, row := range stored {
		cells, err := row.Cells()
		if err != nil {
			t.Fatal(err)
		}
		id, err := cells["id"].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		if places[id].Tablet != row.Tablet {
			t.Errorf("row %d is in tablet %s, not %s", id, row.Tablet, places[id].Tablet)
		}
	}
	for _, place := range places[200:] {
		if place.Tablet != "" {
			t.Errorf("a row in no range partition is in %s", place.Tablet)
		}
	}
}

func TestOracleAltersTables(t *testing.T) {
	tool, ctx := SharedKuduTool(t), t.Context()
	spec := everyType("altered")
	spec.Columns = spec.Columns[:4]
	if err := tool.CreateTable(ctx, spec); err != nil {
		t.Fatal(err)
	}
	w := tool.NewWriter("altered_2")
	if err := tool.AlterTable(ctx, "altered",
		AlterStep{AddColumn: &ColumnSpec{Name: "more", Type: "DOUBLE", Default: math.Inf(1)}},
		AlterStep{RenameColumn: &Rename{From: "bool", To: "flag"}},
		AlterStep{DropColumn: "int8"},
		AlterStep{AddRange: &BoundSpec{Lower: Row{"id": 300}, Upper: Row{"id": 400}}},
		AlterStep{DropRange: &BoundSpec{Lower: Row{"id": 0}, Upper: Row{"id": 100}}},
		AlterStep{ExtraConfigs: map[string]string{"kudu.table.history_max_age_sec": "60"}},
		AlterStep{RenameTable: "altered_2"},
	); err != nil {
		t.Fatal(err)
	}
	w.Write("insert", Row{"id": 300})
	if written, err := w.Flush(ctx); err != nil || written.Rows != 1 {
		t.Fatalf("writing to the new range: %+v, %v", written, err)
	}
	rows, _ := readAll(t, tool, ReadOptions{Table: "altered_2"})
	if want := `{"id":300,"flag":null,"int16":null,"more":{"bits":"7ff0000000000000"}}`; len(rows) != 1 || string(rows[0].Row) != want {
		t.Errorf("have %v, want %s", rows, want)
	}
	if err := tool.DropTable(ctx, "altered_2"); err != nil {
		t.Fatal(err)
	}
	if err := tool.DropTable(ctx, "altered_2"); err == nil || !strings.Contains(err.Error(), "altered_2") {
		t.Errorf("dropping what is not there: %v", err)
	}
}

func TestOracleMakesAutoIncrementingKeys(t *testing.T) {
	tool, ctx := SharedKuduTool(t), t.Context()
	if err := tool.CreateTable(ctx, TableSpec{
		Name:             "auto",
		AutoIncrementing: true,
		Columns:          []ColumnSpec{{Name: "k", Type: "STRING", Key: true}, {Name: "fixed", Type: "INT8", Immutable: true}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := tool.Write(ctx, "auto", "insert", Row{"k": "a", "fixed": 1}, Row{"k": "a", "fixed": 2}); err != nil {
		t.Fatal(err)
	}
	rows, _ := readAll(t, tool, ReadOptions{Table: "auto"})
	if len(rows) != 2 || string(rows[1].Row) != `{"k":"a","auto_incrementing_id":2,"fixed":2}` {
		t.Errorf("rows: %v", rows)
	}
}

func TestGeneratorMakesTheSameRowsInOrderOrNot(t *testing.T) {
	tool, ctx := SharedKuduTool(t), t.Context()
	for _, kind := range []string{"narrow", "wide", "demo", "queue"} {
		var tables [2]string
		for i, options := range []GenerateOptions{
			{Rows: 3000, Threads: 2},
			{Rows: 2900, Start: 100, Ordered: true, Batch: 300},
		} {
			options.Kind, options.Create, options.Table = kind, true, kind+[]string{"_quick", "_ordered"}[i]
			total, err := tool.Generate(ctx, options, nil)
			if err != nil || total.Rows != options.Rows || total.Timestamp == 0 {
				t.Fatalf("generating %s: %+v, %v", options.Table, total, err)
			}
			tables[i] = options.Table
		}
		if total, err := tool.Generate(ctx, GenerateOptions{Table: tables[1], Kind: kind, Rows: 100, Rate: 1000}, nil); err != nil || total.Rows != 100 {
			t.Fatalf("generating at a rate: %+v, %v", total, err)
		}
		contents := [2]map[string]bool{{}, {}}
		for i, table := range tables {
			rows, _ := readAll(t, tool, ReadOptions{Table: table})
			for _, row := range rows {
				contents[i][string(row.Row)] = true
			}
		}
		if len(contents[0]) != 3000 || !sameChanges(contents[0], contents[1]) {
			t.Errorf("%s: %d rows made quickly and %d in order, want the same 3000", kind, len(contents[0]), len(contents[1]))
		}
	}
}

func TestOracleGoesOnAfterACallThatWasStopped(t *testing.T) {
	tool := SharedKuduTool(t)
	enough := errors.New("enough")
	total, err := tool.Generate(t.Context(), GenerateOptions{Table: "endless", Create: true, Rows: 1 << 40, Rate: 500, Clock: true},
		func(total Written) error {
			if total.Rows >= 20 {
				return enough
			}
			return nil
		})
	if !errors.Is(err, enough) || total.Rows < 20 {
		t.Fatalf("generating until stopped: %+v, %v", total, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = tool.Generate(ctx, GenerateOptions{Table: "endless", Start: 1 << 20, Rows: 1 << 40, Rate: 500, Clock: true},
		func(Written) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("generating until cancelled: %v", err)
	}
	rows, _ := readAll(t, tool, ReadOptions{Table: "endless", Columns: []string{"id"}})
	if int64(len(rows)) < total.Rows {
		t.Errorf("%d rows, but %d were written", len(rows), total.Rows)
	}
	if err := tool.CreateTable(t.Context(), TableSpec{Name: "faulty", Columns: []ColumnSpec{{Name: "x", Type: "NOTHING", Key: true}}}); err == nil {
		t.Error("a table of an unknown type was made")
	}
}
