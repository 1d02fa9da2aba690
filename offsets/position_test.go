package offsets

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// goldens are positions as some release has written them. Entries and files
// are added and never changed (I7).
var goldens = map[string]Position{
	"v1/complete.json": {
		Mode:       "changelog",
		Phase:      "snapshot",
		TableID:    "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b",
		Key:        json.RawMessage(`{"event_time":"2026-01-02T03:04:05.000006Z","id":9223372036854775807}`),
		PrimaryKey: json.RawMessage(`{"id":9223372036854775807,"region":"Zürich <1> \u2028"}`),
		Snapshot:   7182736455463728191,
	},
	"v1/covered.json": {
		Mode:       "offset",
		Phase:      "streaming",
		TableID:    "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b",
		Key:        json.RawMessage(`{"id":900}`),
		PrimaryKey: json.RawMessage(`{"id":900,"n":1}`),
		Snapshot:   7182736455463729000,
		Covered: []Cover{
			{Key: json.RawMessage(`{"id":5}`), PrimaryKey: json.RawMessage(`{"id":5,"n":2}`), Snapshot: 7182736455463728191},
			{Key: json.RawMessage(`{"id":700}`), PrimaryKey: json.RawMessage(`{"id":700,"n":9}`), Snapshot: 7182736455463728999},
			{Snapshot: 7182736455463729000},
		},
	},
	"v1/repairing.json": {
		Mode:       "offset",
		Phase:      "streaming",
		TableID:    "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b",
		Key:        json.RawMessage(`{"due":"2026-01-02T03:04:05.000006Z"}`),
		PrimaryKey: json.RawMessage(`{"id":12}`),
		Snapshot:   7182736455463728999,
		Covered: []Cover{
			{Key: json.RawMessage(`{"due":"2026-01-01T00:00:00.000000Z"}`), PrimaryKey: json.RawMessage(`{"id":900}`), Snapshot: 7182736455463728191},
			{Snapshot: 7182736455463728999},
		},
		Repair: &Cover{
			Key: json.RawMessage(`{"due":"2025-12-31T23:59:59.000000Z"}`), PrimaryKey: json.RawMessage(`{"id":77}`), Snapshot: 7182736455463729000,
		},
	},
	"v2/repairing.json": {
		Mode:       "offset",
		Phase:      "streaming",
		TableID:    "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b",
		Key:        json.RawMessage(`{"due":"2026-01-02T03:04:05.000006Z","id":12}`),
		PrimaryKey: json.RawMessage(`{"id":12}`),
		Columns:    map[string]int32{"due": 12},
		Snapshot:   7182736455463728999,
		Covered: []Cover{
			{Key: json.RawMessage(`{"due":"2026-01-01T00:00:00.000000Z","id":900}`), PrimaryKey: json.RawMessage(`{"id":900}`), Snapshot: 7182736455463728191},
			{Snapshot: 7182736455463728999},
		},
		Repair: &Cover{
			Key: json.RawMessage(`{"due":"2025-12-31T23:59:59.000000Z","id":77}`), PrimaryKey: json.RawMessage(`{"id":77}`), Snapshot: 7182736455463729000,
		},
	},
	"v2/walk.json": {
		Mode:       "offset",
		Phase:      "walk",
		TableID:    "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b",
		Key:        json.RawMessage(`{"amount":"1.50","user":"a"}`),
		PrimaryKey: json.RawMessage(`{"id":5}`),
		Columns:    map[string]int32{"amount": 2147483647, "user": 1},
		Snapshot:   7182736455463728191,
		Walk: &Walk{
			After:              json.RawMessage(`{"id":77}`),
			GreatestKey:        json.RawMessage(`{"amount":"9.00","user":"z"}`),
			GreatestPrimaryKey: json.RawMessage(`{"id":12}`),
			From:               json.RawMessage(`{"amount":"0.00"}`),
			Until:              json.RawMessage(`{"amount":"10.00","user":"m"}`),
			Closed:             true,
		},
	},
	"v2/patched-by-hand.json": {Mode: "offset", Key: json.RawMessage(`{"due":5}`), PrimaryKey: json.RawMessage(`{"id":5}`)},
	"v1/least.json":           {Mode: "offset"},
	"v1/walk.json": {
		Mode:       "offset",
		Phase:      "walk",
		TableID:    "9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b",
		Key:        json.RawMessage(`{"amount":"1.50","user":"a"}`),
		PrimaryKey: json.RawMessage(`{"id":5}`),
		Snapshot:   7182736455463728191,
		Walk: &Walk{
			After:              json.RawMessage(`{"id":77}`),
			GreatestKey:        json.RawMessage(`{"amount":"9.00","user":"z"}`),
			GreatestPrimaryKey: json.RawMessage(`{"id":12}`),
			From:               json.RawMessage(`{"amount":"0.00"}`),
			Until:              json.RawMessage(`{"amount":"10.00","user":"m"}`),
			Closed:             true,
		},
	},
	"v1/patched-by-hand.json": {
		Mode:     "offset",
		Key:      json.RawMessage(`{"id":5}`),
		Snapshot: 7182736455463728191,
	},
}

func TestPositionsOfEveryReleaseStayReadable(t *testing.T) {
	files, err := filepath.Glob("testdata/v*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(goldens) {
		t.Errorf("%d files and %d expected positions", len(files), len(goldens))
	}
	for name, want := range goldens {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePosition(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v\nwant %+v", name, got, want)
		}
	}
}

func TestNoFieldIsForgottenInTheGoldenPositions(t *testing.T) {
	walking, covered := goldens["v2/walk.json"], goldens["v2/repairing.json"]
	for _, part := range []struct {
		goldens []any // each field is set in one of them
		stored  reflect.Type
		more    int // members beside those of the golden's type
	}{
		{[]any{walking, covered}, reflect.TypeFor[positionV2](), 1},
		{[]any{*walking.Walk}, reflect.TypeFor[walkV1](), 0},
		{[]any{covered.Covered[0]}, reflect.TypeFor[coverV1](), 0},
	} {
		golden := reflect.TypeOf(part.goldens[0])
		for i := range golden.NumField() {
			if !slices.ContainsFunc(part.goldens, func(g any) bool { return !reflect.ValueOf(g).Field(i).IsZero() }) {
				t.Errorf("field %s is in no golden file", golden.Field(i).Name)
			}
		}
		if stored, fields := part.stored.NumField(), golden.NumField(); stored != fields+part.more {
			t.Errorf("%d fields of %v are stored, of %d", stored-part.more, golden, fields)
		}
	}
}

func TestPositionIsWrittenInStableOrderWithoutEscapes(t *testing.T) {
	got, err := goldens["v1/complete.json"].AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"mode":"changelog","phase":"snapshot","table_id":"9f6e5c2b7d8a4e1f8a3b2c1d0e9f8a7b",` +
		`"key":{"event_time":"2026-01-02T03:04:05.000006Z","id":9223372036854775807},` +
		`"primary_key":{"id":9223372036854775807,"region":"Zürich <1> \u2028"},"snapshot":"7182736455463728191"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPositionIsWrittenInTheLeastVersionThatHoldsIt(t *testing.T) {
	for name, want := range map[string]string{"v1/walk.json": "v1/walk.json", "v2/walk.json": "v2/walk.json", "v2/patched-by-hand.json": ""} {
		got, err := goldens[name].AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		text := []byte(`{"version":1,"mode":"offset","key":{"due":5},"primary_key":{"id":5}}`)
		if want != "" {
			if text, err = os.ReadFile(filepath.Join("testdata", want)); err != nil {
				t.Fatal(err)
			}
		}
		if string(got) != strings.TrimSuffix(string(text), "\n") {
			t.Errorf("%s is written as %s\nwant %s", name, got, text)
		}
	}
}

func TestUnreadablePositionsSayWhy(t *testing.T) {
	for text, why := range map[string]string{
		``:                                 "not a JSON object",
		`5`:                                "not a JSON object but 5",
		`{"version":1,"mode":"offset"`:     "unexpected EOF",
		`{"version":1,"mode":"offset"} {}`: "not a single JSON object",
		`{"mode":"offset"}`:                `no member "version"`,
		`{"version":3,"mode":"offset"}`:    "version 3, this release reads up to version 2: upgrade kudu2kafka",
		`{"version":1}`:                    `no member "mode"`,
		`{"version":1,"mode":"offset","columns":{"c":5}}`:                     `"columns": unknown member`,
		`{"version":2,"mode":"offset","columns":[5]}`:                         `"columns": not a JSON object`,
		`{"version":2,"mode":"offset","columns":{"c":0}}`:                     `from 1 to 2147483647: "c" is 0`,
		`{"version":2,"mode":"offset","columns":{"c":2147483648}}`:            "not the id of a column",
		`{"version":2,"mode":"offset","columns":{"c":"5"}}`:                   "not the id of a column",
		`{"version":2,"mode":"offset","columns":{"c":5,"c":6}}`:               `"c" is there twice`,
		`{"version":2,"mode":"offset","column":{}}`:                           `"column": unknown member`,
		`{"version":1,"mode":"offset","primarykey":{}}`:                       `"primarykey": unknown member`,
		`{"version":1,"mode":"offset","Key":{}}`:                              `"Key": unknown member`,
		`{"version":1,"mode":"offset","mode":"sweep"}`:                        `"mode" is there twice`,
		`{"version":1,"mode":7}`:                                              "not a string: 7",
		`{"version":1,"mode":"offset","key":[1]}`:                             `"key": not a JSON object`,
		`{"version":1,"mode":"offset","key":{"a":1,"a":2}}`:                   `"a" is there twice`,
		`{"version":1,"mode":"offset","snapshot":1.5}`:                        "not a whole number",
		`{"version":1,"mode":"offset","snapshot":"-1"}`:                       "not a whole number",
		`{"version":1,"mode":"offset","snapshot":7e18}`:                       "not a whole number",
		`{"version":1,"mode":"offset","walk":5}`:                              "not a JSON object",
		`{"version":1,"mode":"offset","walk":{"behind":{}}}`:                  `"behind": unknown member`,
		`{"version":1,"mode":"offset","walk":{"after":{"a":1},"after":{}}}`:   `"after" is there twice`,
		`{"version":1,"mode":"offset","walk":{"closed":"yes"}}`:               `member "closed"`,
		`{"version":1,"mode":"offset","repair":{"key":{"a":1},"snapshot":5}}`: "must have key, primary_key and snapshot",
		`{"version":1,"mode":"offset","repair":{"upto":{"a":1}}}`:             `member "upto": unknown member`,
		"{\"version\":1,\"mode\":\"\xff\"}":                                   "not UTF-8",
	} {
		if _, err := ParsePosition([]byte(text)); err == nil {
			t.Errorf("%s was read", text)
		} else if !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
}

func TestPositionThatCouldNotBeReadBackIsNotWritten(t *testing.T) {
	for _, p := range []Position{
		{},
		{Mode: "\xff"},
		{Mode: "offset", Key: json.RawMessage(`[]`)},
		{Mode: "offset", Key: json.RawMessage(`{`)},
		{Mode: "offset", Repair: &Cover{Snapshot: 5}},
		{Mode: "offset", Columns: map[string]int32{"\xff": 5}},
		{Mode: "offset", Columns: map[string]int32{"c": 0}},
		{Mode: "offset", PrimaryKey: json.RawMessage(`{"a":1,"a":2}`)},
	} {
		if out, err := p.AppendJSON(nil); err == nil {
			t.Errorf("%+v was written as %s", p, out)
		}
	}
}

func TestKeysLookLikeThoseOfKafkaConnect(t *testing.T) {
	key := Key{Connector: "orders", Table: `impala::shop.<"orders">`, Tablet: "5e1c0123456789abcdef0123456789ab"}
	text, err := key.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `["orders",{"table":"impala::shop.<\"orders\">","tablet":"5e1c0123456789abcdef0123456789ab"}]`
	if string(text) != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
}

func TestKeysAreInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 20, -1).Filter(utf8.ValidString)
		key := Key{text.Draw(t, "connector"), text.Draw(t, "table"), text.Draw(t, "tablet")}
		b, err := key.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseKey(b); err != nil || got != key {
			t.Fatalf("%+v became %s became %+v, %v", key, b, got, err)
		}
	})
}

func TestKeysInAnotherSpellingAreRefused(t *testing.T) {
	for text, why := range map[string]string{
		`["c", {"table":"t","tablet":"x"}]`:              `exactly ["c",{"table":"t","tablet":"x"}]`,
		`["c",{"tablet":"x","table":"t"}]`:               "exactly",
		`["c",{"table":"\u0074","tablet":"x"}]`:          "exactly",
		`["c",{"table":"t"}]`:                            "must not be empty",
		`["c",{"table":"t","tablet":"x","more":"y"}]`:    `unknown member "more"`,
		`["c",{"table":"t","tablet":5}]`:                 "not a string",
		`["c"]`:                                          "1 elements",
		`{"table":"t"}`:                                  "not a JSON array",
		`[5,{"table":"t","tablet":"x"}]`:                 "not a connector name",
		`["c",["t","x"]]`:                                "not a JSON object",
		"[\"c\xff\",{\"table\":\"t\",\"tablet\":\"x\"}]": "not UTF-8",
	} {
		if key, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%s was read as %+v", text, key)
		} else if !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
}

func FuzzPosition(f *testing.F) {
	for name := range goldens {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePosition(text)
		if err != nil {
			return
		}
		out, err := p.AppendJSON(nil)
		if err != nil {
			t.Fatalf("%s was read and cannot be written: %v", text, err)
		}
		again, err := ParsePosition(out)
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%s became %+v became %s became %+v, %v", text, p, out, again, err)
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add([]byte(`["orders",{"table":"t","tablet":"x"}]`))
	f.Add([]byte(`["orders",{"table":"<\u2028\"é","tablet":"x"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParseKey(text)
		if err != nil {
			return
		}
		if out, err := key.AppendJSON(nil); err != nil || string(out) != string(text) {
			t.Fatalf("%s became %+v became %s, %v", text, key, out, err)
		}
	})
}
