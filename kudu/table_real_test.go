package kudu_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// countRows scans one tablet to the end.
func countRows(t *testing.T, table *kudu.Table, tablet string, opts kudu.ScanOptions) int {
	t.Helper()
	s, err := table.Scan(tablet, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := 0
	for {
		b, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		rows += b.NumRows()
	}
}

// simpleTable has an integer key, a nullable string and an immutable integer.
func simpleTable(kind string) kudu.TableSpec {
	return kudu.TableSpec{
		Name: uniqueName(kind),
		Columns: []kudu.Column{
			{Name: "id", Type: kudu.Int64, Key: true},
			{Name: "v", Type: kudu.String, Nullable: true},
			{Name: "fixed", Type: kudu.Int32, Nullable: true, Immutable: true},
		},
		Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 2}},
	}
}

func TestEachOperationDoesWhatItsNameSays(t *testing.T) {
	c := newClient(t, testenv.SharedKudu(t))
	table := createTable(t, c, simpleTable("ops"))
	s := table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	flush := func(rows, ignored int, conditions ...error) {
		t.Helper()
		done, err := s.Flush(t.Context())
		if done.Rows != rows || done.Ignored != ignored {
			t.Errorf("%d rows written, %d ignored; want %d and %d", done.Rows, done.Ignored, rows, ignored)
		}
		if rows > 0 && (done.Timestamp == 0 || len(done.Tablets) == 0) {
			t.Errorf("no timestamp in %+v", done)
		}
		var failed *kudu.FlushError
		if len(conditions) == 0 {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.As(err, &failed) || len(failed.Rows) != len(conditions) {
			t.Fatalf("got %v, want %d refused rows", err, len(conditions))
		}
		for _, want := range conditions {
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if len(failed.Rows[0].Key) != 1 || failed.Rows[0].Key[0] != int64(1) && failed.Rows[0].Key[0] != int64(9) {
			t.Errorf("the refused row is named %v", failed.Rows[0].Key)
		}
	}
	applyAll(t, s, kudu.OpInsert, []any{1, "a", 7}, []any{2, "b", nil})
	flush(2, 0)
	applyAll(t, s, kudu.OpInsert, []any{1, "again"}, []any{3, "c", nil})
	flush(1, 0, kudu.ErrAlreadyPresent)
	applyAll(t, s, kudu.OpInsertIgnore, []any{1, "again"}, []any{4, "d", nil})
	flush(1, 1)
	applyAll(t, s, kudu.OpUpsert, []any{2, "b2"}, []any{5, "e", nil})
	flush(2, 0)
	applyAll(t, s, kudu.OpUpdate, []any{9, "nobody"})
	flush(0, 0, kudu.ErrRowNotFound)
	applyAll(t, s, kudu.OpUpdate, []any{1, "a", 8})
	flush(0, 0, kudu.ErrImmutable)
	applyAll(t, s, kudu.OpUpdateIgnore, []any{9, "nobody"}, []any{3, nil})
	flush(1, 1)
	applyAll(t, s, kudu.OpUpsertIgnore, []any{1, "a3", 9})
	if done, err := s.Flush(t.Context()); err != nil || done.Ignored != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	applyAll(t, s, kudu.OpDelete, []any{9})
	flush(0, 0, kudu.ErrRowNotFound)
	applyAll(t, s, kudu.OpDelete, []any{4, "cells beside the key don't matter"})
	flush(1, 0)
	applyAll(t, s, kudu.OpDeleteIgnore, []any{4}, []any{5})
	flush(1, 1)
	rows := readAll(t, table, kudu.ScanOptions{Mode: kudu.ReadYourWrites})
	wantRows(t, rows, 1, []any{int64(1), "a3", int64(7)}, []any{int64(2), "b2", nil}, []any{int64(3), nil, nil})
}

func TestRowsThatCantBeWrittenAreRefusedAtOnce(t *testing.T) {
	c := newClient(t, testenv.SharedKudu(t))
	table := createTable(t, c, allTypes(uniqueName("refused")))
	s := table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	for name, set := range map[string]func(r *kudu.Row){
		"a key column is missing":      func(r *kudu.Row) { r.Set("ks", "x") },
		"a required column is missing": func(r *kudu.Row) { r.SetAll("x", 1) },
		"NULL key":                     func(r *kudu.Row) { r.SetAll(nil, 1) },
		"no such column":               func(r *kudu.Row) { r.Set("nope", 1) },
		"INT8 overflow":                func(r *kudu.Row) { r.Set("i8", 128) },
		"VARCHAR too long":             func(r *kudu.Row) { r.Set("vc", "12345678901") },
		"too many digits":              func(r *kudu.Row) { r.Set("d32", kudu.Int128FromInt64(1_000_000_000)) },
		"wrong type":                   func(r *kudu.Row) { r.Set("b", "true") },
		"date out of range":            func(r *kudu.Row) { r.Set("dt", 2932897) },
	} {
		row := table.NewRow()
		set(row)
		if err := s.Apply(t.Context(), kudu.OpInsert, row); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if done, err := s.Flush(t.Context()); err != nil || done.Rows != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestDiffScansTellWhatChangedBetweenTwoTimes(t *testing.T) {
	c := newClient(t, testenv.SharedKudu(t))
	table := createTable(t, c, simpleTable("diff"))
	a := write(t, table, kudu.OpInsert, []any{1, "one"}, []any{2, "two"}, []any{3, "three"}, []any{4, "four"}).Timestamp + 1
	s := table.NewSession(kudu.SessionOptions{})
	defer s.Close()
	step := func(kind kudu.OpKind, rows ...[]any) kudu.Timestamp {
		applyAll(t, s, kind, rows...)
		done, err := s.Flush(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return done.Timestamp
	}
	step(kudu.OpUpdate, []any{1, "one b"})
	step(kudu.OpDelete, []any{2}, []any{3})
	step(kudu.OpInsert, []any{3, "three again"}, []any{5, "five"}, []any{6, "six"})
	b := step(kudu.OpDelete, []any{6}) + 1
	step(kudu.OpInsert, []any{2, "from the future"}, []any{7, "seven"})
	for _, rowWise := range []bool{false, true} {
		got := map[int64]string{}
		tablets, err := table.Tablets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, tablet := range tablets {
			scan, err := table.Scan(tablet.ID, kudu.ScanOptions{Since: a, Snapshot: b, RowWise: rowWise})
			if err != nil {
				t.Fatal(err)
			}
			for {
				batch, err := scan.Next(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for i := range batch.NumRows() {
					state := "deleted"
					if !batch.Deleted(i) {
						state = fmt.Sprint(batch.Column(1).Value(i))
					}
					got[batch.Column(0).Int64(i)] = state
				}
				if batch.Schema().NumColumns() != 3 {
					t.Errorf("columns %s", batch.Schema())
				}
			}
			scan.Close()
		}
		if want := (map[int64]string{1: "one b", 2: "deleted", 3: "three again", 5: "five"}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("row-wise %v: %v, want %v", rowWise, got, want)
		}
	}
	if _, err := table.Scan("x", kudu.ScanOptions{Since: a, Predicates: []kudu.Predicate{kudu.Equal("v", "x")}}); err == nil {
		t.Error("a diff scan takes a predicate outside the key")
	}
}

func TestADiffFromBeforeTheHistoryIsATypedError(t *testing.T) {
	c := newClient(t, testenv.SharedKudu(t))
	spec := simpleTable("history")
	spec.ExtraConfigs = map[string]string{"kudu.table.history_max_age_sec": "1"}
	table := createTable(t, c, spec)
	old := write(t, table, kudu.OpInsert, []any{1, "x"}).Timestamp
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		s, err := table.Scan(tablets[0].ID, kudu.ScanOptions{Since: old})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Next(t.Context())
		s.Close()
		if errors.Is(err, kudu.ErrSnapshotTooOld) {
			return
		}
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	t.Error("no error for a start beyond the history")
}

func TestTablesAreAlteredAndHandlesNotice(t *testing.T) {
	c := newClient(t, testenv.SharedKudu(t))
	def := kudu.Column{Name: "n", Type: kudu.Int16}
	if err := def.SetDefault(-5); err != nil {
		t.Fatal(err)
	}
	spec := kudu.TableSpec{
		Name: uniqueName("alter"), Comment: "first", Owner: "somebody", AutoIncrementing: true,
		Columns: []kudu.Column{
			{Name: "k", Type: kudu.Int32, Key: true, Comment: "the key"},
			{Name: "v", Type: kudu.String, Nullable: true, Encoding: kudu.EncodingDictionary, Compression: kudu.CompressionLZ4},
		},
		Range:        []string{"k"},
		Ranges:       []kudu.RangePartition{{Lower: []any{0}, Upper: []any{10}}},
		ExtraConfigs: map[string]string{"kudu.table.history_max_age_sec": "100"},
	}
	table := createTable(t, c, spec)
	if n := table.Schema().NumKeys(); n != 2 || !table.Schema().Column(1).AutoIncrementing {
		t.Fatalf("schema %s", table.Schema())
	}
	if v, _ := table.ExtraConfig("kudu.table.history_max_age_sec"); v != "100" || table.Comment() != "first" || table.Owner() != "somebody" ||
		table.Schema().Column(0).Comment != "the key" || table.Schema().Column(2).Encoding != kudu.EncodingDictionary {
		t.Errorf("%s %s %s %+v", v, table.Comment(), table.Owner(), table.Schema().Columns())
	}
	if same, err := table.Refresh(t.Context()); err != nil || same != table {
		t.Errorf("nothing changed, and Refresh gives another handle: %v", err)
	}
	insert := func(table *kudu.Table, k int, cells map[string]any) error {
		s := table.NewSession(kudu.SessionOptions{})
		defer s.Close()
		row := table.NewRow()
		row.Set("k", k)
		for name, v := range cells {
			row.Set(name, v)
		}
		if err := s.Apply(t.Context(), kudu.OpInsert, row); err != nil {
			return err
		}
		_, err := s.Flush(t.Context())
		return err
	}
	if err := insert(table, 3, map[string]any{"v": "x"}); err != nil {
		t.Fatal(err)
	}
	if err := insert(table, 15, nil); !errors.Is(err, kudu.ErrNoPartition) {
		t.Errorf("a row outside all ranges: %v", err)
	}
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	version, settled, err := table.SchemaVersion(t.Context())
	if err != nil || !settled {
		t.Fatal(settled, err)
	}
	altered, err := table.Alter(t.Context(), kudu.AddColumn(def), kudu.RenameColumn("v", "w"),
		kudu.AddRange(kudu.RangePartition{Lower: []any{10}, Upper: []any{20}, Hash: nil}),
		kudu.SetTableComment("second"), kudu.SetExtraConfigs(map[string]string{"kudu.table.history_max_age_sec": "200"}))
	if err != nil {
		t.Fatal(err)
	}
	if later, _, err := table.SchemaVersion(t.Context()); err != nil || later <= version {
		t.Errorf("the schema version went from %d to %d: %v", version, later, err)
	}
	if refreshed, err := table.Refresh(t.Context()); err != nil || refreshed == table || !refreshed.Schema().Equal(altered.Schema()) {
		t.Errorf("Refresh doesn't notice: %v", err)
	}
	s, err := table.Scan(tablets[0].ID, kudu.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, kudu.ErrSchemaChanged) {
		t.Errorf("scanning by an old handle: %v", err)
	}
	s.Close()
	if err := insert(altered, 15, map[string]any{"w": "y", "n": 4}); err != nil {
		t.Errorf("writing into an added range: %v", err)
	}
	// The old handle doesn't know the new column, and needn't to write.
	rows := readAll(t, altered, kudu.ScanOptions{Columns: []string{"k", "auto_incrementing_id", "w", "n"}, Mode: kudu.ReadYourWrites})
	wantRows(t, rows, 2, []any{int64(3), int64(1), "x", int64(-5)}, []any{int64(15), int64(1), "y", int64(4)})

	if altered, err = altered.Alter(t.Context(), kudu.AlterColumn("n", kudu.ColumnChange{Default: 77}), kudu.DropColumn("w"),
		kudu.DropRange(kudu.RangePartition{Lower: []any{0}, Upper: []any{10}})); err != nil {
		t.Fatal(err)
	}
	if v := altered.Schema().Column(2).DefaultValue(); v != int64(77) {
		t.Errorf("default %v", v)
	}
	// Its tablet is dropped behind the table's back, and read until then.
	testenv.Await(t, time.Minute, "the tablet of a dropped range is gone", func() bool {
		s, err := altered.Scan(tablets[0].ID, kudu.ScanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = s.Next(t.Context())
		if err != nil && !errors.Is(err, kudu.ErrTabletNotFound) {
			t.Fatalf("scanning a dropped range: %v", err)
		}
		return err != nil
	})
	renamed, err := altered.Alter(t.Context(), kudu.RenameTable(spec.Name+"_b"))
	if err != nil || renamed.Name() != spec.Name+"_b" || renamed.ID() != table.ID() {
		t.Fatal(renamed, err)
	}
	list, err := c.ListTables(t.Context(), spec.Name)
	if err != nil || len(list) != 1 || list[0].Name != renamed.Name() || list[0].ID != table.ID() {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := renamed.Statistics(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.CreateTable(t.Context(), kudu.TableSpec{Name: renamed.Name(), Columns: spec.Columns, Replicas: 1}); !errors.Is(err, kudu.ErrAlreadyPresent) {
		t.Errorf("making a table that exists: %v", err)
	}
	if err := renamed.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := renamed.Refresh(t.Context()); !errors.Is(err, kudu.ErrTableNotFound) || errors.Is(err, kudu.ErrTableReplaced) {
		t.Errorf("refreshing a dropped table: %v", err)
	}
	createTable(t, c, kudu.TableSpec{Name: renamed.Name(), Columns: spec.Columns, Replicas: 1})
	if _, err := renamed.Refresh(t.Context()); !errors.Is(err, kudu.ErrTableReplaced) {
		t.Errorf("refreshing a replaced table: %v", err)
	}
	if _, err := renamed.Tablets(t.Context()); !errors.Is(err, kudu.ErrTableNotFound) {
		t.Errorf("a handle follows another table: %v", err)
	}
}

func TestABarrierLiesAboveAllWritesBeforeIt(t *testing.T) {
	c := newClient(t, testenv.SharedKudu(t))
	table := createTable(t, c, simpleTable("barrier"))
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		done := write(t, table, kudu.OpInsert, []any{i, "x"})
		for id, ts := range done.Tablets {
			b, err := table.Barrier(t.Context(), id)
			if err != nil || b <= ts {
				t.Fatalf("a barrier at %s after a write at %s: %v", b, ts, err)
			}
			rows := 0
			for _, tablet := range tablets {
				rows += countRows(t, table, tablet.ID, kudu.ScanOptions{Snapshot: b})
			}
			if rows != i+1 {
				t.Fatalf("%d rows at the barrier, want %d", rows, i+1)
			}
		}
	}
}
