package connector

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// TestStreamingColumnsThatExchangedTheirNamesAreNoticed: by a table of a cluster, as
// it is altered while the connector is stopped.
func TestStreamingColumnsThatExchangedTheirNamesAreNoticed(t *testing.T) {
	c, err := kudufake.New(kudufake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	made, err := c.CreateTable(kudufake.TableSpec{Name: "t", Columns: []kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "b", Type: kudu.Int64}, {Name: "c", Type: kudu.Int64},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Insert(kudufake.Row{"id": 1, "b": 100, "c": 5}); err != nil {
		t.Fatal(err)
	}
	client := newKuduClient(t, c.Config())
	source := func(streaming ...string) *offsetSource {
		t.Helper()
		table, err := client.OpenTable(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		cfg := DefaultConfig()
		cfg.StreamingKey, cfg.KeyColumns = streaming, []string{"id"}
		plan, err := planRead(cfg, table.Schema())
		if err != nil {
			t.Fatal(err)
		}
		return &offsetSource{read: reading{table: table, client: client, plan: plan}}
	}
	// stored is the position of the row, and what is stored of it.
	stored := func(s *offsetSource) (offsets.Position, string) {
		t.Helper()
		values := map[string]any{"id": int64(1), "b": int64(100), "c": int64(5)}
		var key []any
		for _, col := range s.read.plan.order.columns {
			key = append(key, values[col.Name])
		}
		encoded, err := kudu.EncodeKey(s.read.plan.order.columns, key)
		if err != nil {
			t.Fatal(err)
		}
		pos, err := s.Position(point{key: encoded, snapshot: 7})
		if err != nil {
			t.Fatal(err)
		}
		text, err := pos.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := offsets.ParsePosition(text)
		if err != nil {
			t.Fatal(err)
		}
		return back, string(text)
	}
	byKey, text := stored(source("id"))
	if !strings.HasPrefix(text, `{"version":1,`) || strings.Contains(text, "columns") {
		t.Errorf("a position of the primary key is stored as %s", text)
	}
	byC, text := stored(source("c"))
	if want := fmt.Sprintf(`"columns":{"c":%d}`, source("c").read.table.Schema().Column(2).ID); !strings.Contains(text, want) {
		t.Fatalf("stored is %s, want %s in it", text, want)
	}
	byBC, _ := stored(source("b", "c"))
	byIDC, text := stored(source("c", "id"))
	if strings.Contains(text, `"id":0`) {
		t.Errorf("the id of a column of the primary key is stored: %s", text)
	}
	without := byC
	without.Columns = nil

	table := source("id").read.table
	for _, names := range [][2]string{{"b", "x"}, {"c", "b"}, {"x", "c"}} {
		if table, err = table.Alter(t.Context(), kudu.RenameColumn(names[0], names[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		pos       offsets.Position
		streaming []string
		refused   string
	}{
		{byKey, []string{"id"}, ""},
		{byC, []string{"c"}, `the member "c" of {"c":5} is a value of the column that is called "b" now, but the streaming key has column "c" there`},
		{byC, []string{"b"}, ""},
		{byBC, []string{"b", "c"}, `the member "b" of {"b":100,"c":5} is a value of the column that is called "c" now`},
		{byBC, []string{"c", "b"}, ""}, // the same columns, by their new names
		{byIDC, []string{"c", "id"}, `is a value of the column that is called "b" now`},
		{byIDC, []string{"b", "id"}, ""},
		{without, []string{"c"}, ""}, // there is no telling
	} {
		s, r := source(c.streaming...), &tabletReader{}
		err := s.restore(r, c.pos)
		var fault *FatalError
		switch {
		case c.refused == "" && err != nil, c.refused != "" && (!errors.As(err, &fault) || !strings.Contains(err.Error(), c.refused)):
			t.Errorf("%s of %v under streaming key %v: %v, want %q", c.pos.Key, c.pos.Columns, c.streaming, err, c.refused)
		case err == nil:
			var was map[string]any
			values, primary, err := s.read.plan.order.split(r.hwm)
			if err != nil || json.Unmarshal(c.pos.Key, &was) != nil {
				t.Fatal(err)
			}
			for i, name := range memberNames(c.pos.Key) {
				if fmt.Sprint(values[i]) != fmt.Sprint(was[name]) || fmt.Sprint(primary) != "[1]" {
					t.Errorf("%s is restored as %v of %v", c.pos.Key, values, primary)
				}
			}
		}
	}
}

// Each streaming key and bound within a position is of the columns that it names.
func TestEveryPartOfAPositionIsCheckedForItsColumns(t *testing.T) {
	orderOf := func(streaming string, cols ...kudu.Column) *order {
		t.Helper()
		schema, err := kudu.NewSchema(cols)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range cols {
			names = append(names, c.Name)
		}
		o, err := newOrder([]string{streaming}, schema, names)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	col := func(name string, id int32, key bool) kudu.Column {
		return kudu.Column{Name: name, Type: kudu.Int64, ID: id, Key: key}
	}
	same := orderOf("c", col("id", 10, true), col("b", 11, false), col("c", 12, false))
	exchanged := orderOf("c", col("id", 10, true), col("c", 11, false), col("b", 12, false))
	anew := orderOf("c", col("id", 10, true), col("b", 11, false), col("c", 13, false))
	ids := map[string]int32{"c": 12}
	key, primary := json.RawMessage(`{"c":5}`), json.RawMessage(`{"id":1}`)
	for name, restore := range map[string]func(*order) error{
		"key": func(o *order) error {
			_, err := o.restore(offsets.Position{Key: key, PrimaryKey: primary, Columns: ids})
			return err
		},
		"greatest key": func(o *order) error {
			_, err := o.restoreWalk(offsets.Position{Columns: ids, Walk: &offsets.Walk{After: primary, GreatestKey: key, GreatestPrimaryKey: primary}}, nil)
			return err
		},
		"from": func(o *order) error {
			_, err := o.restoreWalk(offsets.Position{Columns: ids, Walk: &offsets.Walk{After: primary, From: key}}, nil)
			return err
		},
		"until": func(o *order) error {
			_, err := o.restoreWalk(offsets.Position{Columns: ids, Walk: &offsets.Walk{After: primary, Until: key}}, nil)
			return err
		},
		"covered": func(o *order) error {
			_, err := o.restoreCovered(offsets.Position{Columns: ids, Covered: []offsets.Cover{{Key: key, PrimaryKey: primary, Snapshot: 7}, {Snapshot: 8}}}, []byte{0xff})
			return err
		},
		"repair": func(o *order) error {
			_, err := o.restoreRepair(offsets.Position{Columns: ids, Repair: &offsets.Cover{Key: key, PrimaryKey: primary, Snapshot: 9}}, coverage{{upTo: []byte{0xff}, at: 8}})
			return err
		},
	} {
		if err := restore(same); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var fault *FatalError
		if err := restore(exchanged); !errors.As(err, &fault) || !strings.Contains(err.Error(), `is called "b" now`) {
			t.Errorf("%s of columns that exchanged their names: %v", name, err)
		}
		if err := restore(anew); !errors.As(err, &fault) || !strings.Contains(err.Error(), "a column that was dropped") {
			t.Errorf("%s of a column that was dropped and made anew: %v", name, err)
		}
	}
	// Columns within and outside of the primary key.
	mixed := orderOf("id", col("c", 10, true), col("b", 11, false), col("id", 12, false))
	if _, err := mixed.restore(offsets.Position{Key: json.RawMessage(`{"id":1}`), PrimaryKey: primary}); err == nil || !strings.Contains(err.Error(), `is called "c" now`) {
		t.Errorf("a key column that gave its name away: %v", err)
	}
	back := orderOf("c", col("c", 10, true), col("b", 11, false), col("id", 12, false))
	if _, err := back.restore(offsets.Position{Key: key, PrimaryKey: primary, Columns: ids}); err == nil || !strings.Contains(err.Error(), `is called "id" now`) {
		t.Errorf("a column that exchanged its name with a key column: %v", err)
	}
}

// TestFirstWalkIsStoredWithItsColumns: it has no key yet, but bounds and a greatest key.
func TestFirstWalkIsStoredWithItsColumns(t *testing.T) {
	l := newMovingTable(t, guardNone)
	defer l.close()
	l.source.read.late = lateRows{}
	o := l.source.read.plan.order
	encode := func(cols []kudu.Column, values ...any) []byte {
		t.Helper()
		key, err := kudu.EncodeKey(cols, values)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	pos, err := l.source.Position(point{snapshot: 7, walk: &walk{
		after: encode(o.primary, int64(1)), greatest: encode(o.columns, int64(5), int64(1)), snapshot: 7,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if id := o.streaming[0].ID; pos.Key != nil || len(pos.Columns) != 1 || pos.Columns["due"] != id || id == 0 {
		t.Errorf("stored %+v", pos)
	}
}
