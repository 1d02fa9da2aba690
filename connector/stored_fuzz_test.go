package connector

import (
	"bytes"
	"errors"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// FuzzStoredPositions has the fuzzer patch what is stored in the offsets topic: a
// position is refused by a FatalError, or means the same once it is written again.
func FuzzStoredPositions(f *testing.F) {
	schema, err := kudu.NewSchema([]kudu.Column{
		{Name: "at", Type: kudu.UnixtimeMicros, Key: true, ID: 10}, {Name: "name", Type: kudu.String, Key: true, ID: 11},
		{Name: "price", Type: kudu.Decimal64, Precision: 18, Scale: 2, ID: 12}, {Name: "ratio", Type: kudu.Double, ID: 13},
	})
	if err != nil {
		f.Fatal(err)
	}
	var orders []*order
	for _, streaming := range [][]string{{"at"}, {"at", "name"}, {"ratio", "price"}} {
		o, err := newOrder(streaming, schema, []string{"at", "name", "price", "ratio"})
		if err != nil {
			f.Fatal(err)
		}
		orders = append(orders, o)
	}
	for _, seed := range []string{
		`{"version":1,"mode":"offset","phase":"streaming","key":{"at":"2026-01-02T03:04:05.000006Z"},"primary_key":{"at":"2026-01-02T03:04:05.000006Z","name":"a"},"snapshot":"7"}`,
		`{"version":2,"mode":"offset","phase":"streaming","key":{"ratio":"NaN","price":"-1.50"},"primary_key":{"at":"2026-01-02T03:04:05.000006Z","name":""},"columns":{"ratio":13,"price":12}}`,
		`{"version":2,"mode":"offset","phase":"streaming","key":{"at":"1969-12-31T23:59:59Z","name":"\u0000"},"primary_key":{"at":"1969-12-31T23:59:59Z","name":"\u0000"},"columns":{"at":11}}`,
	} {
		f.Add([]byte(seed))
	}
	// Walks, as they are stored.
	for _, o := range orders {
		row := map[string]any{"at": int64(1), "name": "n", "price": kudu.Int128FromInt64(-150), "ratio": 1.5}
		var values, primary []any
		for _, c := range o.columns {
			values = append(values, row[c.Name])
		}
		for _, c := range o.primary {
			primary = append(primary, row[c.Name])
		}
		key, err := kudu.EncodeKey(o.columns, values)
		if err != nil {
			f.Fatal(err)
		}
		after, err := kudu.EncodeKey(o.primary, primary)
		if err != nil {
			f.Fatal(err)
		}
		pos := offsets.Position{Mode: modeOffset}
		if err := o.storeWalk(&pos, &walk{snapshot: 9, after: after, greatest: key, from: key, until: key, closed: true}); err != nil {
			f.Fatal(err)
		}
		stored, err := pos.AppendJSON(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stored)
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		pos, err := offsets.ParsePosition(stored)
		if err != nil {
			return
		}
		for _, o := range orders {
			key, err := o.restore(pos)
			wantFatal(t, err)
			if err == nil {
				again := offsets.Position{Columns: pos.Columns}
				if err := o.store(&again, key); err != nil {
					t.Fatalf("%s is restored as %x, which can't be stored: %v", stored, key, err)
				}
				if restored, err := o.restore(offsets.Position{Key: again.Key, PrimaryKey: again.PrimaryKey}); err != nil || !bytes.Equal(restored, key) {
					t.Fatalf("%s is restored as %x, and then as %x, %v", stored, key, restored, err)
				}
			}
			w, err := o.restoreWalk(pos, nil)
			wantFatal(t, err)
			if err == nil {
				var again offsets.Position
				if err := o.storeWalk(&again, w); err != nil {
					t.Fatalf("the walk of %s is restored as %+v, which can't be stored: %v", stored, w, err)
				}
				r, err := o.restoreWalk(again, nil)
				if err != nil || !bytes.Equal(r.after, w.after) || !bytes.Equal(r.greatest, w.greatest) || !bytes.Equal(r.from, w.from) || !bytes.Equal(r.until, w.until) || r.closed != w.closed {
					t.Fatalf("the walk of %s is restored as %+v, and then as %+v, %v", stored, w, r, err)
				}
			}
		}
	})
}

func wantFatal(t *testing.T, err error) {
	t.Helper()
	var fatal *FatalError
	if err != nil && !errors.As(err, &fatal) {
		t.Errorf("the error is none that ends the task: %v", err)
	}
}
