package offsets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// Key says whose position a record holds.
type Key struct {
	// Connector is the connector's name.
	Connector string
	// Table is the table's name in Kudu, such as impala::db.orders.
	Table string
	// Tablet is the tablet's id: 32 hexadecimal digits.
	Tablet string
}

// Position is how far a tablet has been published. It is valid only as part
// of the transaction that holds the rows it covers (I1).
type Position struct {
	// Mode is the connector's mode that wrote the position: offset, sweep or
	// changelog.
	Mode string
	// Phase is where in its course the mode was; empty in modes of one phase.
	Phase string
	// TableID is Kudu's id of the table, which tells it from a later table of
	// the same name.
	TableID string
	// Key is a JSON object of the streaming key columns of the last row
	// published, in the order of the streaming key; nil before the first row.
	Key json.RawMessage
	// PrimaryKey is a JSON object of the full primary key of the last row
	// published, in the order of the key's columns; nil before the first row.
	PrimaryKey json.RawMessage
	// Columns are Kudu's ids, 1 or more, of the columns of the streaming key that
	// aren't in the primary key, by the names that they have in all of the
	// position's keys and bounds. A column keeps its id when it is renamed. Nil
	// when there are none, and in positions of version 1.
	Columns map[string]int32
	// Snapshot is the hybrid timestamp, chosen by a tablet server, that the
	// last row was read at; 0 when there is none yet.
	Snapshot uint64
	// Covered says at which snapshots the rows up to Key were published, from
	// the least key on; nil when late rows are not looked after.
	Covered []Cover
	// Repair is set in the middle of a repair by a key that Kudu can't order by: of
	// the rows that were there at its snapshot, those up to its key are published
	// too.
	Repair *Cover
	// Walk is set in phase walk, in which Key and PrimaryKey are the base of the
	// walk: all rows published in it are above.
	Walk *Walk
}

// Cover is a stretch of rows, from behind the one before, up to a key.
type Cover struct {
	// Key and PrimaryKey are as those of Position; nil in the last stretch of
	// Covered, which reaches up to the position itself.
	Key, PrimaryKey json.RawMessage
	// Snapshot is the hybrid timestamp at which the stretch was read last: of the
	// rows that were there then, each is published.
	Snapshot uint64
}

// Walk is how far the rows above a base have been published that are not read
// in the order of the streaming key but of the primary key. All members but
// Closed are JSON objects of columns.
type Walk struct {
	// After is the primary key of the last row looked at.
	After json.RawMessage
	// GreatestKey and GreatestPrimaryKey are those of the row, of all published
	// in the walk, with the greatest streaming key; nil if there is none.
	GreatestKey, GreatestPrimaryKey json.RawMessage
	// From and Until are values of the first columns of the streaming key at
	// which the walk begins, while there is no base, and before which it stops;
	// nil is no bound.
	From, Until json.RawMessage
	// Closed says that rows above the greatest key are left to the next walk.
	Closed bool
}

// positionVersion is the latest layout that Position is written in. Readers of later
// layouts are added beside readV1, never in place of it (I7). Version 1 had no
// columns; a position without any is still written in it, and so readable by
// releases that know no other.
const positionVersion = 2

// positionV2 is the stored layout; its order of fields is the order of the
// members. Snapshot is a string because a hybrid time has more digits than the
// 53 bits that many JSON tools keep of a number: a position patched with such
// a tool must not move by a rounding.
type positionV2 struct {
	Version    int              `json:"version"`
	Mode       string           `json:"mode"`
	Phase      string           `json:"phase,omitempty"`
	TableID    string           `json:"table_id,omitempty"`
	Key        json.RawMessage  `json:"key,omitempty"`
	PrimaryKey json.RawMessage  `json:"primary_key,omitempty"`
	Columns    map[string]int32 `json:"columns,omitempty"`
	Snapshot   uint64           `json:"snapshot,string,omitempty"`
	Walk       *walkV1          `json:"walk,omitempty"`
	Covered    []coverV1        `json:"covered,omitempty"`
	Repair     *coverV1         `json:"repair,omitempty"`
}

type coverV1 struct {
	Key        json.RawMessage `json:"key,omitempty"`
	PrimaryKey json.RawMessage `json:"primary_key,omitempty"`
	Snapshot   uint64          `json:"snapshot,string"`
}

type walkV1 struct {
	After              json.RawMessage `json:"after,omitempty"`
	GreatestKey        json.RawMessage `json:"greatest_key,omitempty"`
	GreatestPrimaryKey json.RawMessage `json:"greatest_primary_key,omitempty"`
	From               json.RawMessage `json:"from,omitempty"`
	Until              json.RawMessage `json:"until,omitempty"`
	Closed             bool            `json:"closed,omitempty"`
}

// AppendJSON appends the stored form of k.
func (k Key) AppendJSON(b []byte) ([]byte, error) {
	if k.Connector == "" || k.Table == "" || k.Tablet == "" {
		return b, fmt.Errorf("encoding offset key %+v: connector, table and tablet must not be empty", k)
	}
	for _, s := range []string{k.Connector, k.Table, k.Tablet} {
		// The encoder would turn bad bytes into U+FFFD, so that two keys could
		// become one.
		if !utf8.ValidString(s) {
			return b, fmt.Errorf("encoding offset key %+v: %q is not UTF-8", k, s)
		}
	}
	return appendJSON(b, []any{k.Connector, struct {
		Table  string `json:"table"`
		Tablet string `json:"tablet"`
	}{k.Table, k.Tablet}})
}

// AppendJSON appends the stored form of p.
func (p Position) AppendJSON(b []byte) ([]byte, error) {
	for _, s := range []string{p.Mode, p.Phase, p.TableID} {
		if !utf8.ValidString(s) {
			return b, fmt.Errorf("encoding position: %q is not UTF-8", s)
		}
	}
	for name := range p.Columns {
		if !utf8.ValidString(name) {
			return b, fmt.Errorf("encoding position: the column %q is not UTF-8", name)
		}
	}
	stored := positionV2{
		Version: positionVersion, Mode: p.Mode, Phase: p.Phase, TableID: p.TableID,
		Key: p.Key, PrimaryKey: p.PrimaryKey, Columns: p.Columns, Snapshot: p.Snapshot, Walk: (*walkV1)(p.Walk), Repair: (*coverV1)(p.Repair),
	}
	if len(p.Columns) == 0 {
		stored.Version = 1
	}
	for _, c := range p.Covered {
		stored.Covered = append(stored.Covered, coverV1(c))
	}
	out, err := appendJSON(b, stored)
	if err != nil {
		return b, fmt.Errorf("encoding position: %w", err)
	}
	// What is stored must be readable again; finding out after a restart is
	// too late.
	if _, err := ParsePosition(out[len(b):]); err != nil {
		return b, fmt.Errorf("encoding position: %w", err)
	}
	return out, nil
}

// appendJSON encodes v without HTML escapes, which only hinder reading, and
// without the encoder's final newline.
func appendJSON(b []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return b, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// keyOwner returns the connector a key belongs to and the still unread rest,
// which has a form of its own for each kind of connector.
func keyOwner(b []byte) (connector string, rest json.RawMessage, err error) {
	if !utf8.Valid(b) {
		return "", nil, errors.New("the key is not UTF-8")
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return "", nil, fmt.Errorf("the key is not a JSON array: %w", err)
	}
	if len(parts) != 2 {
		return "", nil, fmt.Errorf("the key has %d elements instead of 2", len(parts))
	}
	if len(parts[0]) == 0 || parts[0][0] != '"' {
		return "", nil, errors.New("the key's first element is not a connector name")
	}
	if err := json.Unmarshal(parts[0], &connector); err != nil {
		return "", nil, fmt.Errorf("the key's connector name: %w", err)
	}
	return connector, parts[1], nil
}

// ParseKey reads the stored form of a key, in exactly the spelling that
// AppendJSON gives it: another spelling would be another key for Kafka's
// compaction, and the two would drift apart.
func ParseKey(b []byte) (Key, error) {
	connector, rest, err := keyOwner(b)
	if err != nil {
		return Key{}, err
	}
	members, err := readObject(rest)
	if err != nil {
		return Key{}, fmt.Errorf("the key's second element: %w", err)
	}
	k := Key{Connector: connector}
	for name, value := range members {
		var to *string
		switch name {
		case "table":
			to = &k.Table
		case "tablet":
			to = &k.Tablet
		default:
			return Key{}, fmt.Errorf("the key has an unknown member %q", name)
		}
		if err := readString(value, to); err != nil {
			return Key{}, fmt.Errorf("the key's member %q: %w", name, err)
		}
	}
	canonical, err := k.AppendJSON(nil)
	if err != nil {
		return Key{}, err
	}
	if !bytes.Equal(canonical, b) {
		return Key{}, fmt.Errorf("the key must be spelled exactly %s", canonical)
	}
	return k, nil
}

// ParsePosition reads the stored form of a position, of any release.
func ParsePosition(b []byte) (Position, error) {
	if !utf8.Valid(b) {
		return Position{}, errors.New("the position is not UTF-8")
	}
	members, err := readObject(b)
	if err != nil {
		return Position{}, fmt.Errorf("the position: %w", err)
	}
	version, ok := members["version"]
	if !ok {
		return Position{}, errors.New(`the position has no member "version"`)
	}
	switch string(version) {
	case "1":
		return readV1(members)
	case "2":
		return readV2(members)
	}
	return Position{}, fmt.Errorf("the position has version %s, this release reads up to version %d: upgrade kudu2kafka, or reset the position",
		bytes.TrimSpace(version), positionVersion)
}

// readV2 reads the members of a version 2 position: those of version 1, and columns.
func readV2(members map[string]json.RawMessage) (Position, error) {
	columns, err := readColumns(members["columns"])
	if err != nil {
		return Position{}, fmt.Errorf("the position's member \"columns\": %w", err)
	}
	delete(members, "columns")
	p, err := readV1(members)
	p.Columns = columns
	return p, err
}

// readV1 reads the members of a version 1 position. A member it does not know
// is an error: it is either a slip of a patching hand, which would silently
// leave the position where it was, or information from a later release, which
// the next commit would silently drop. A null is a member left out.
func readV1(members map[string]json.RawMessage) (Position, error) {
	var p Position
	for name, value := range members {
		var err error
		switch name {
		case "version":
		case "mode":
			err = readString(value, &p.Mode)
		case "phase":
			err = readString(value, &p.Phase)
		case "table_id":
			err = readString(value, &p.TableID)
		case "key":
			p.Key, err = readRow(value)
		case "primary_key":
			p.PrimaryKey, err = readRow(value)
		case "snapshot":
			p.Snapshot, err = readSnapshot(value)
		case "covered":
			p.Covered, err = readCovered(value)
		case "repair":
			p.Repair, err = readRepair(value)
		case "walk":
			p.Walk, err = readWalk(value)
		default:
			err = errors.New("unknown member")
		}
		if err != nil {
			return Position{}, fmt.Errorf("the position's member %q: %w", name, err)
		}
	}
	if p.Mode == "" {
		return Position{}, errors.New(`the position has no member "mode"`)
	}
	return p, nil
}

// readColumns reads ids of columns; nil when there are none.
func readColumns(value json.RawMessage) (map[string]int32, error) {
	if value == nil || isNull(value) {
		return nil, nil
	}
	members, err := readObject(value)
	if err != nil || len(members) == 0 {
		return nil, err
	}
	ids := make(map[string]int32, len(members))
	for name, value := range members {
		id, err := strconv.ParseInt(string(value), 10, 32)
		if err != nil || id < 1 {
			return nil, fmt.Errorf("not the id of a column, which is a whole number from 1 to %d: %q is %s", math.MaxInt32, name, value)
		}
		ids[name] = int32(id)
	}
	return ids, nil
}

func readCovered(value json.RawMessage) ([]Cover, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(value, &items); err != nil {
		return nil, err
	}
	var all []Cover
	for i, item := range items {
		c, err := readCover(item)
		if err != nil {
			return nil, fmt.Errorf("stretch %d: %w", i+1, err)
		}
		last := i == len(items)-1
		if c.Snapshot == 0 || (c.PrimaryKey == nil) != last || (c.Key == nil) != last {
			return nil, fmt.Errorf("stretch %d: each must have a snapshot, and each but the last key and primary_key", i+1)
		}
		all = append(all, c)
	}
	return all, nil
}

func readCover(value json.RawMessage) (c Cover, err error) {
	members, err := readObject(value)
	if err != nil {
		return Cover{}, err
	}
	for name, value := range members {
		switch name {
		case "key":
			c.Key, err = readRow(value)
		case "primary_key":
			c.PrimaryKey, err = readRow(value)
		case "snapshot":
			c.Snapshot, err = readSnapshot(value)
		default:
			err = errors.New("unknown member")
		}
		if err != nil {
			return Cover{}, fmt.Errorf("member %q: %w", name, err)
		}
	}
	return c, nil
}

func readRepair(value json.RawMessage) (*Cover, error) {
	if isNull(value) {
		return nil, nil
	}
	c, err := readCover(value)
	if err != nil {
		return nil, err
	}
	if c.Snapshot == 0 || c.PrimaryKey == nil || c.Key == nil {
		return nil, errors.New("it must have key, primary_key and snapshot")
	}
	return &c, nil
}

func readWalk(value json.RawMessage) (*Walk, error) {
	if isNull(value) {
		return nil, nil
	}
	members, err := readObject(value)
	if err != nil {
		return nil, err
	}
	w := &Walk{}
	for name, value := range members {
		var err error
		switch name {
		case "after":
			w.After, err = readRow(value)
		case "greatest_key":
			w.GreatestKey, err = readRow(value)
		case "greatest_primary_key":
			w.GreatestPrimaryKey, err = readRow(value)
		case "from":
			w.From, err = readRow(value)
		case "until":
			w.Until, err = readRow(value)
		case "closed":
			err = json.Unmarshal(value, &w.Closed)
		default:
			err = errors.New("unknown member")
		}
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", name, err)
		}
	}
	return w, nil
}

// readObject splits a JSON object. Unlike encoding/json's struct decoding it
// is exact: no member twice, and no matching of names by folded case.
func readObject(b []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", noEOF(err))
	} else if t != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object but %v", t)
	}
	members := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not a JSON object: %w", noEOF(err))
		}
		name, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("not a JSON object: member name %v", t)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("member %q: %w", name, noEOF(err))
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("member %q is there twice", name)
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", noEOF(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a single JSON object")
	}
	return members, nil
}

// noEOF keeps a cut-off text from looking like the regular end of a stream.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }

func readString(value json.RawMessage, to *string) error {
	if isNull(value) {
		return nil
	}
	if value[0] != '"' {
		return fmt.Errorf("not a string: %s", value)
	}
	return json.Unmarshal(value, to)
}

// readRow reads an object of columns, in the order in which it is written.
func readRow(value json.RawMessage) (json.RawMessage, error) {
	if isNull(value) {
		return nil, nil
	}
	if _, err := readObject(value); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// readSnapshot takes a bare number too, which is what a hand would write.
func readSnapshot(value json.RawMessage) (uint64, error) {
	text := string(value)
	if value[0] == '"' {
		if err := json.Unmarshal(value, &text); err != nil {
			return 0, err
		}
	} else if isNull(value) {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("not a whole number of at most 64 bits: %s", value)
	}
	return n, nil
}
