package offsets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Journal is a number of rows of one tablet that were published and have yet to
// be swept. It is stored in the transaction that published them, and deleted by
// a tombstone in one that began after they were swept and audited (I8).
type Journal struct {
	TableID string
	// Snapshot is the hybrid timestamp that the rows were read at.
	Snapshot uint64
	// Action is sweep.action: delete or update.
	Action string
	// Set is sweep.set, of Action update; nil in the records of version 1.
	Set map[string]string
	// Request is the id of the write that sweeps the rows. Sent again, it tells
	// how the first attempt ended.
	Request Request
	// Columns are those that the digests are made of, in their order, and Hash is
	// how: HashXX64 or HashSHA256.
	Columns []string
	Hash    string
	Rows    JournalRows
	// Former are the rows of a journal that was written by a release whose journals
	// had version 1 or 2; then Rows has none.
	Former []FormerRow
}

// The hashes that digests of rows are made with.
const (
	HashXX64 = "xxh64"
	// HashSHA256 is that of the releases whose journals had no member for it, up to
	// version 3. Of their digests we use the first eight bytes.
	HashSHA256 = "sha256"
)

// NumRows is the number of rows.
func (j *Journal) NumRows() int { return j.Rows.Len() + len(j.Former) }

// Request is the id of a write to Kudu.
type Request struct {
	Client string
	Seq    int64
}

// FormerRow is one published row, as releases before wrote it.
type FormerRow struct {
	// PrimaryKey is a JSON object of the primary key.
	PrimaryKey json.RawMessage
	// Digest is base64 of the row's digest.
	Digest string
}

// JournalKey says which journal a record holds.
type JournalKey struct {
	Connector, Table, Tablet string
	// ID tells the journals of a tablet apart.
	ID string
}

// journalVersion is the layout that Journal is written in (I7). Version 1 had no
// set, both 1 and 2 had the rows one by one, and 3 had no digest, which names the
// hash, and digests of 16 bytes.
const journalVersion = 4

type journalV4 struct {
	Version  int               `json:"version"`
	TableID  string            `json:"table_id"`
	Snapshot uint64            `json:"snapshot,string"`
	Action   string            `json:"action"`
	Set      map[string]string `json:"set,omitempty"`
	Request  requestV1         `json:"request"`
	Columns  []string          `json:"columns"`
	Digest   string            `json:"digest"`
	Count    int               `json:"count"`
	Rows     json.RawMessage   `json:"rows,omitempty"`
}

type requestV1 struct {
	Client string `json:"client"`
	Seq    int64  `json:"seq"`
}

type rowV1 struct {
	PrimaryKey json.RawMessage `json:"primary_key"`
	Digest     string          `json:"digest"`
}

// AppendJSON appends the stored form of k.
func (k JournalKey) AppendJSON(b []byte) ([]byte, error) {
	for _, s := range []string{k.Connector, k.Table, k.Tablet, k.ID} {
		if s == "" || !utf8.ValidString(s) {
			return b, fmt.Errorf("encoding journal key %+v: connector, table, tablet and journal must be text that is not empty", k)
		}
	}
	return appendJSON(b, []any{k.Connector, struct {
		Table   string `json:"table"`
		Tablet  string `json:"tablet"`
		Journal string `json:"journal"`
	}{k.Table, k.Tablet, k.ID}})
}

// AppendJSON appends the stored form of j, which has no former rows: these are packed
// first.
func (j Journal) AppendJSON(b []byte) ([]byte, error) {
	if len(j.Former) > 0 || !knownHash(j.Hash) {
		return b, fmt.Errorf("encoding a journal: %d former rows, hash %q", len(j.Former), j.Hash)
	}
	out, err := appendJSON(b, journalV4{
		Version: journalVersion, TableID: j.TableID, Snapshot: j.Snapshot, Action: j.Action, Set: j.Set,
		Request: requestV1(j.Request), Columns: j.Columns, Digest: j.Hash, Count: j.Rows.Len(),
	})
	if err != nil {
		return b, fmt.Errorf("encoding a journal: %w", err)
	}
	// The last member, without the detour through the encoder, which looks at each
	// byte: there are many.
	out = append(out[:len(out)-1], `,"rows":`...)
	return append(j.Rows.appendJSON(out), '}'), nil
}

// ParseJournalKey reads the stored form of a key, in exactly the spelling that
// AppendJSON gives it.
func ParseJournalKey(b []byte) (JournalKey, error) {
	connector, rest, err := keyOwner(b)
	if err != nil {
		return JournalKey{}, err
	}
	members, err := readObject(rest)
	if err != nil {
		return JournalKey{}, fmt.Errorf("the key's second element: %w", err)
	}
	k := JournalKey{Connector: connector}
	for name, value := range members {
		var to *string
		switch name {
		case "table":
			to = &k.Table
		case "tablet":
			to = &k.Tablet
		case "journal":
			to = &k.ID
		default:
			return JournalKey{}, fmt.Errorf("the key has an unknown member %q", name)
		}
		if err := readString(value, to); err != nil {
			return JournalKey{}, fmt.Errorf("the key's member %q: %w", name, err)
		}
	}
	canonical, err := k.AppendJSON(nil)
	if err != nil {
		return JournalKey{}, err
	}
	if !bytes.Equal(canonical, b) {
		return JournalKey{}, fmt.Errorf("the key must be spelled exactly %s", canonical)
	}
	return k, nil
}

// ParseJournal reads the stored form of a journal, of any release. What it
// doesn't know is an error: rows would be swept by half-understood orders.
func ParseJournal(b []byte) (Journal, error) {
	members, err := readObject(b)
	if err != nil {
		return Journal{}, fmt.Errorf("the journal: %w", err)
	}
	version, err := strconv.Atoi(string(members["version"]))
	if err != nil || version < 1 || version > journalVersion {
		return Journal{}, fmt.Errorf("the journal has version %s, this release reads up to version %d: upgrade kudu2kafka", members["version"], journalVersion)
	}
	var v journalV4
	if err := decodeStrictly(b, &v); err != nil {
		return Journal{}, fmt.Errorf("the journal: %w", err)
	}
	switch {
	case v.TableID == "" || v.Snapshot == 0 || v.Request.Client == "" || len(v.Columns) == 0:
		return Journal{}, errors.New("the journal lacks a table_id, snapshot, request or columns")
	case v.Action != "delete" && v.Action != "update":
		return Journal{}, fmt.Errorf("the journal's action %q is neither delete nor update", v.Action)
	case version == 1 && v.Set != nil, version > 1 && (v.Action == "update") != (len(v.Set) > 0):
		return Journal{}, fmt.Errorf("the journal of version %d and action %q has the set %v", version, v.Action, v.Set)
	}
	j := Journal{TableID: v.TableID, Snapshot: v.Snapshot, Action: v.Action, Set: v.Set, Request: Request(v.Request), Columns: v.Columns, Hash: v.Digest}
	switch {
	case version == journalVersion && !knownHash(v.Digest):
		return Journal{}, fmt.Errorf("the journal's digests are made with %q, which this release doesn't know: upgrade kudu2kafka", v.Digest)
	case version == journalVersion:
		j.Rows, err = unpackRows(v.Rows, v.Count)
		return j, err
	case v.Digest != "":
		return Journal{}, errors.New("the journal has a digest, which its version hasn't")
	}
	j.Hash = HashSHA256
	if version == 3 {
		j.Rows, err = unpackRowsV3(v.Rows, v.Count)
		return j, err
	}
	var former []rowV1
	if err := decodeStrictly(v.Rows, &former); err != nil {
		return Journal{}, fmt.Errorf("the journal's rows: %w", err)
	}
	if v.Count != 0 {
		return Journal{}, errors.New("the journal has a count, which its version hasn't")
	}
	for i, r := range former {
		if len(r.PrimaryKey) == 0 || r.Digest == "" {
			return Journal{}, fmt.Errorf("the journal's row %d lacks its primary_key or digest", i)
		}
		j.Former = append(j.Former, FormerRow(r))
	}
	return j, nil
}

func knownHash(name string) bool { return name == HashXX64 || name == HashSHA256 }

// decodeStrictly refuses members that it doesn't know.
func decodeStrictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// JournalRecord returns the record that stores a journal, to be produced in the
// transaction of its rows (I1).
func JournalRecord(topic string, partition int32, key JournalKey, j Journal) (*kgo.Record, error) {
	k, err := key.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	v, err := j.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: topic, Partition: partition, Key: k, Value: v}, nil
}

// JournalTombstone returns the record that deletes a journal.
func JournalTombstone(topic string, partition int32, key JournalKey) (*kgo.Record, error) {
	k, err := key.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: topic, Partition: partition, Key: k}, nil
}

// isJournalKey reports whether the second element of a key is a journal's.
func isJournalKey(rest json.RawMessage) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(rest, &members) == nil && members["journal"] != nil
}

// takeJournal notes a journal, or that it was deleted.
func (l *log) takeJournal(r *kgo.Record) error {
	key, err := ParseJournalKey(r.Key)
	if err != nil {
		return err
	}
	if r.Value == nil {
		delete(l.journals, key)
		delete(l.broken, string(r.Key))
		return nil
	}
	delete(l.journals, key)
	j, err := ParseJournal(r.Value)
	if err != nil {
		return err
	}
	l.journals[key] = j
	delete(l.broken, string(r.Key))
	return nil
}
