package offsets

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
		Request: Request{Client: "0123456789abcdef0123456789abcdef", Seq: 1}, Columns: []string{"due", "id", "payload"}, Hash: HashSHA256,
		Former: []FormerRow{
			{json.RawMessage(`{"due":"2026-01-02T03:04:05.000006Z","id":9223372036854775807}`), "AAECAwQFBgcICQoLDA0ODw"},
			{json.RawMessage(`{"due":"2026-01-02T03:04:05.000007Z","id":-1}`), "Dw4NDAsKCQgHBgUEAwIBAA"},
		},
	},
	"journal-v1/update.json": {
		TableID: "t", Snapshot: 7, Action: "update", Request: Request{Client: "c", Seq: 3}, Columns: []string{"id"}, Hash: HashSHA256,
	},
	"journal-v2/delete.json": {
		TableID: "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b", Snapshot: 7182736455463728191, Action: "delete",
		Request: Request{Client: "0123456789abcdef0123456789abcdef", Seq: 1}, Columns: []string{"due", "id", "payload"}, Hash: HashSHA256,
		Former: []FormerRow{{json.RawMessage(`{"due":"2026-01-02T03:04:05.000006Z","id":-1}`), "AAECAwQFBgcICQoLDA0ODw"}},
	},
	"journal-v2/update.json": {
		TableID: "t", Snapshot: 7, Action: "update", Set: map[string]string{"status": "DONE", "by": "\"us\""},
		Request: Request{Client: "c", Seq: 3}, Columns: []string{"id"}, Hash: HashSHA256, Former: []FormerRow{{json.RawMessage(`{"id":7}`), "Dw4NDAsKCQgHBgUEAwIBAA"}},
	},
	"journal-v3/delete.json": {
		TableID: "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b", Snapshot: 7182736455463728191, Action: "delete",
		Request: Request{Client: "0123456789abcdef0123456789abcdef", Seq: 1}, Columns: []string{"due", "id", "payload"}, Hash: HashSHA256,
		Rows: packed("due-1:id-7", "due-1:id-8", "due-2", "due-2\x00"),
	},
	"journal-v3/update.json": {
		TableID: "t", Snapshot: 7, Action: "update", Set: map[string]string{"status": "DONE", "by": "\"us\""},
		Request: Request{Client: "c", Seq: 3}, Columns: []string{"id"}, Hash: HashSHA256, Rows: packed("\x00\xff"),
	},
	"journal-v4/delete.json": {
		TableID: "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b", Snapshot: 7182736455463728191, Action: "delete",
		Request: Request{Client: "0123456789abcdef0123456789abcdef", Seq: 1}, Columns: []string{"due", "id", "payload"}, Hash: HashXX64,
		Rows: packed("due-1:id-7", "due-1:id-8", "due-2", "due-2\x00"),
	},
	"journal-v4/update.json": {
		TableID: "t", Snapshot: 7, Action: "update", Set: map[string]string{"status": "DONE", "by": "\"us\""},
		Request: Request{Client: "c", Seq: 3}, Columns: []string{"id"}, Hash: HashXX64, Rows: packed("\x00\xff"),
	},
	// What Kudu refused of a journal that an earlier release wrote.
	"journal-v4/refused.json": {
		TableID: "t", Snapshot: 7, Action: "delete",
		Request: Request{Client: "c", Seq: 3}, Columns: []string{"id"}, Hash: HashSHA256, Rows: packed("a", "b"),
	},
}

// packed are rows with these keys, and digests of their own.
func packed(keys ...string) (r JournalRows) {
	for n, key := range keys {
		r.Add([]byte(key), Digest{byte(n), 1, 2, 255})
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
		if !strings.HasPrefix(name, "journal-v4/") {
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
		`{"version":5,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"digest":"xxh64","count":0,"rows":""}`,
		`{"version":4,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":0,"rows":""}`,
		`{"version":4,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"digest":"md5","count":0,"rows":""}`,
		`{"version":4,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"digest":"xxh64","count":1,"rows":"AAFhAAAAAAAAAA"}`,
		`{"version":4,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"digest":"xxh64","count":1,"rows":"AAFhAAAAAAAAAAAA"}`,
		`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"digest":"sha256","count":1,"rows":"AAFhAAAAAAAAAAAAAAAAAAAAAA"}`,
		`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":-1,"rows":""}`,
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
	want := journalGoldens["journal-v4/update.json"]
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

// Of the digests that an earlier release wrote it is the first half that is compared.
func TestLongDigestsAreCutToTheirBeginning(t *testing.T) {
	j, err := ParseJournal([]byte(`{"version":3,"table_id":"t","snapshot":"7","action":"delete","request":{"client":"c","seq":3},"columns":["id"],"count":2,"rows":"AAFhAQIDBAUGBwgJCgsMDQ4PEAABYhESExQVFhcYGRobHB0eHyA"}`))
	if err != nil {
		t.Fatal(err)
	}
	var want JournalRows
	want.Add([]byte("a"), Digest{1, 2, 3, 4, 5, 6, 7, 8})
	want.Add([]byte("b"), Digest{17, 18, 19, 20, 21, 22, 23, 24})
	if !reflect.DeepEqual(j.Rows, want) || j.Hash != HashSHA256 {
		t.Errorf("got %+v by %s, want %+v", j.Rows, j.Hash, want)
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
		back.Add(bytes.Repeat([]byte{0xff}, 20), Digest{}) // goes on behind the last
		if back.Len() != len(keys)+1 {
			t.Fatalf("%d rows", back.Len())
		}
	})
}

// FuzzJournal has the fuzzer patch a journal: it is refused, or means the same once it
// is written as this release writes it.
func FuzzJournal(f *testing.F) {
	files, err := filepath.Glob("testdata/journal-v*/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		j, err := ParseJournal(text)
		if err != nil || j.Action == "update" && j.Set == nil {
			return // of version 1, whose set is that of the configuration
		}
		again, err := j.AppendJSON(nil)
		if len(j.Former) > 0 {
			if err == nil {
				t.Fatalf("%s is written as %s, without its rows", text, again)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s is read, and can't be written: %v", text, err)
		}
		back, err := ParseJournal(again)
		if err != nil {
			t.Fatalf("%s is written as %s, which can't be read: %v", text, again, err)
		}
		if same(&back) != same(&j) {
			t.Fatalf("%s comes back as %s", text, again)
		}
	})
}

// same is what journals mean, as text.
func same(j *Journal) string {
	text := fmt.Sprintf("%s %d %s %v %v %q %s", j.TableID, j.Snapshot, j.Action, j.Set, j.Request, j.Columns, j.Hash)
	_ = j.Rows.Each(func(key []byte, digest Digest) error {
		text += fmt.Sprintf(" %x %x", key, digest)
		return nil
	})
	return text
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
		for version, unpack := range map[int]func(json.RawMessage, int) (JournalRows, error){3: unpackRowsV3, 4: unpackRows} {
			r, err := unpack(text, count)
			if err != nil {
				continue
			}
			n := 0
			if err := r.Each(func([]byte, Digest) error { n++; return nil }); err != nil || n != count {
				t.Fatalf("version %d: %d of %d rows, %v", version, n, count, err)
			}
		}
	})
}
