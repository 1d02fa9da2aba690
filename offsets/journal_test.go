package offsets

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// journalGoldens are journals as some release has written them. Entries and
// files are added and never changed (I7).
var journalGoldens = map[string]Journal{
	"journal-v1/complete.json": {
		TableID: "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b", Snapshot: 7182736455463728191, Action: "delete",
		Request: Request{Client: "0123456789abcdef0123456789abcdef", Seq: 1}, Columns: []string{"due", "id", "payload"},
		Former: []FormerRow{
			{json.RawMessage(`{"due":"2026-01-02T03:04:05.000006Z","id":9223372036854775807}`), "AAECAwQFBgcICQoLDA0ODw"},
			{json.RawMessage(`{"due":"2026-01-02T03:04:05.000007Z","id":-1}`), "Dw4NDAsKCQgHBgUEAwIBAA"},
		},
	},
	"journal-v1/update.json": {
		TableID: "t", Snapshot: 7, Action: "update", Request: Request{Client: "c", Seq: 3}, Columns: []string{"id"},
	},
	"journal-v2/delete.json": {
		TableID: "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b", Snapshot: 7182736455463728191, Action: "delete",
		Request: Request{Client: "0123456789abcdef0123456789abcdef", Seq: 1}, Columns: []string{"due", "id", "payload"},
		Former: []FormerRow{{json.RawMessage(`{"due":"2026-01-02T03:04:05.000006Z","id":-1}`), "AAECAwQFBgcICQoLDA0ODw"}},
	},
	"journal-v2/update.json": {
		TableID: "t", Snapshot: 7, Action: "update", Set: map[string]string{"status": "DONE", "by": "\"us\""},
		Request: Request{Client: "c", Seq: 3}, Columns: []string{"id"}, Former: []FormerRow{{json.RawMessage(`{"id":7}`), "Dw4NDAsKCQgHBgUEAwIBAA"}},
	},
	"journal-v3/delete.json": {
		TableID: "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b", Snapshot: 7182736455463728191, Action: "delete",
		Request: Request{Client: "0123456789abcdef0123456789abcdef", Seq: 1}, Columns: []string{"due", "id", "payload"},
		Rows: packed("due-1:id-7", "due-1:id-8", "due-2", "due-2\x00"),
	},
	"journal-v3/update.json": {
		TableID: "t", Snapshot: 7, Action: "update", Set: map[string]string{"status": "DONE", "by": "\"us\""},
		Request: Request{Client: "c", Seq: 3}, Columns: []string{"id"}, Rows: packed("\x00\xff"),
	},
}

// packed are rows with these keys, and digests of their own.
func packed(keys ...string) (r JournalRows) {
	for n, key := range keys {
		r.Add(key, Digest{byte(n), 1, 2, 255})
	}
	return r
}

func TestJournalsOfEveryReleaseStayReadable(t *testing.T) {
	files, err := filepath.Glob("testdata/journal-v*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(journalGoldens) {
		t.Errorf("%d files and %d expected journals", len(files), len(journalGoldens))
	}
	for name, want := range journalGoldens {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseJournal(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
		if strings.HasPrefix(name, "journal-v1/") {
			continue // nobody writes it any more
		}
		back, err := want.AppendJSON(nil)
		if err != nil || string(back) != string(text) {
			t.Errorf("%s is written as %s (%v)", name, back, err)
		}
	}
}

func TestUnreadableJournalIsAnError(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{}`, `{"version":2}`, `{"version":1}`,
		`{"version":1,"table_id":"t","snapshot":"7","action":"burn","request":{"client":"c","seq":3},"columns":["id"],"rows":[]}`,
		`{"version":1,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"rows":[{"digest":"x"}]}`,
		`{"version":1,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"rows":[],"more":1}`,
		`{"version":1,"table_id":"","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"rows":[]}`,
		`{"version":4,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":0,"rows":""}`,
		`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"rows":[]}`,
		`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":1,"rows":""}`,
		`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":1,"rows":"AAFh"}`,
		`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":1,"rows":"AQBhAAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":0,"rows":"AAFhAAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":2,"rows":"AAFhAAAAAAAAAAAAAAAAAAAAAAABYQAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"version":2,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":1,"rows":[]}`,
		`{"version":2,"table_id":"t","snapshot":"7","action":"update","request":{"client":"c","seq":3},"columns":["id"],"rows":[]}`,
		`{"version":2,"table_id":"t","snapshot":"7","action":"delete","set":{"a":"b"},"request":{"client":"c","seq":3},"columns":["id"],"rows":[]}`,
		`{"version":1,"table_id":"t","snapshot":"7","action":"update","set":{"a":"b"},"request":{"client":"c","seq":3},"columns":["id"],"rows":[]}`,
	} {
		if j, err := ParseJournal([]byte(text)); err == nil {
			t.Errorf("%s is read as %+v", text, j)
		}
	}
}

func TestJournalsAreLoadedUntilTheirTombstone(t *testing.T) {
	l := newLog("t", 0, "orders")
	want := journalGoldens["journal-v2/update.json"]
	first := JournalKey{Connector: "orders", Table: "shop.queue", Tablet: "5e1c", ID: "a"}
	second := JournalKey{Connector: "orders", Table: "shop.queue", Tablet: "5e1c", ID: "b"}
	other := JournalKey{Connector: "others", Table: "shop.queue", Tablet: "5e1c", ID: "a"}
	apply := func(r *kgo.Record, err error) {
		t.Helper()
		if err == nil {
			err = l.apply(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []JournalKey{first, second, other} {
		apply(JournalRecord("t", 0, key, want))
	}
	if len(l.journals) != 2 || !reflect.DeepEqual(l.journals[first], want) {
		t.Errorf("loaded %+v", l.journals)
	}
	apply(JournalTombstone("t", 0, first))
	if _, there := l.journals[first]; there || len(l.journals) != 1 || len(l.positions) != 0 {
		t.Errorf("after the tombstone: %+v, positions %+v", l.journals, l.positions)
	}
	key, err := second.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	apply(&kgo.Record{Key: key, Value: []byte(`{"version":9}`)}, nil)
	if l.unreadable() == nil {
		t.Error("a journal of a later release is passed over")
	}
	apply(JournalTombstone("t", 0, second))
	if err := l.unreadable(); err != nil {
		t.Errorf("after its tombstone: %v", err)
	}
	if table, tablet, ok := TabletOf(key); !ok || table != "shop.queue" || tablet != "5e1c" {
		t.Errorf("a journal isn't seen to be of its tablet: %s %s %t", table, tablet, ok)
	}
}

func TestPackedRowsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfDistinct(rapid.StringN(0, 6, 12), rapid.ID[string]).Draw(t, "keys")
		slices.Sort(keys)
		rows := packed(keys...)
		back, err := unpackRows(rows.appendJSON(nil), len(keys))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := back.Each(func(key []byte, d Digest) error {
			if want := (Digest{byte(len(got)), 1, 2, 255}); d != want {
				t.Fatalf("row %d has the digest %v, want %v", len(got), d, want)
			}
			got = append(got, string(key))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, keys) {
			t.Fatalf("got %q, want %q", got, keys)
		}
		back.Add(strings.Repeat("\xff", 20), Digest{}) // goes on behind the last
		if back.Len() != len(keys)+1 {
			t.Fatalf("%d rows", back.Len())
		}
	})
}

func FuzzJournalRows(f *testing.F) {
	rows := packed("a", "ab", "b")
	f.Add(rows.packed, 3)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, packed []byte, count int) {
		text, err := json.Marshal(base64.RawStdEncoding.EncodeToString(packed))
		if err != nil {
			t.Fatal(err)
		}
		r, err := unpackRows(text, count)
		if err != nil {
			return
		}
		n := 0
		if err := r.Each(func([]byte, Digest) error { n++; return nil }); err != nil || n != count {
			t.Fatalf("%d of %d rows, %v", n, count, err)
		}
	})
}
