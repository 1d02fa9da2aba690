package offsets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// planVersion is the layout that Plan is written in (I7).
const planVersion = 1

// Plan says how a connector's tablets are spread over its tasks, and with that
// in which partition each tablet's position is. It is stored in every partition
// of the offsets topic, so that a task finds it where it reads its positions. When
// the configuration asks for another plan, the positions are moved first; until
// then Ready is false, and no task may run.
type Plan struct {
	// Table is the table's name, and TableID the id that it had: a later table of
	// the same name is another table.
	Table   string `json:"table"`
	TableID string `json:"table_id"`
	// Tasks is tasks.max.
	Tasks int `json:"tasks"`
	// OrderScope is order.scope: tablet or table.
	OrderScope string `json:"order_scope"`
	// Ready says that all positions are where the plan wants them.
	Ready bool `json:"ready"`
}

type planV1 struct {
	Version int `json:"version"`
	Plan
}

func planKey(connector string) ([]byte, error) {
	return appendJSON(nil, []any{connector, struct {
		Plan string `json:"plan"`
	}{"tasks"}})
}

// PlanRecord returns the record that stores the plan in one partition.
func PlanRecord(topic string, partition int32, connector string, p Plan) (*kgo.Record, error) {
	key, err := planKey(connector)
	if err != nil {
		return nil, fmt.Errorf("encoding the plan's key: %w", err)
	}
	value, err := appendJSON(nil, planV1{planVersion, p})
	if err != nil {
		return nil, fmt.Errorf("encoding the plan: %w", err)
	}
	return &kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value}, nil
}

// ParsePlan reads the stored form of a plan.
func ParsePlan(value []byte) (Plan, error) {
	var p planV1
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Plan{}, fmt.Errorf("the plan: %w", noEOF(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Plan{}, errors.New("the plan is not a single JSON object")
	}
	switch {
	case p.Version != planVersion:
		return Plan{}, fmt.Errorf("the plan has version %d, this release reads version %d: upgrade kudu2kafka", p.Version, planVersion)
	case p.Tasks < 1:
		return Plan{}, fmt.Errorf("the plan has %d tasks", p.Tasks)
	}
	return p.Plan, nil
}

// Loaded is what a task finds in its partition.
type Loaded struct {
	Positions map[Key]Position
	// Journals are rows that were published and have yet to be swept.
	Journals map[JournalKey]Journal
	// Plan is nil when none was ever stored.
	Plan *Plan
	// Others are the names of other connectors that have records there, sorted.
	Others []string
	// ReadAt is when all of that had been read.
	ReadAt time.Time
}

// LoadPlan returns the plan that a partition has, nil without one, as PeekPlan
// finds it.
func LoadPlan(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string) (*Plan, error) {
	plan, _, err := PeekPlan(ctx, opts, topic, partition, connector)
	return plan, err
}

// PeekPlan returns the plan that a partition has, nil without one, and the names
// of other connectors that have records there. Unlike Load it doesn't wait for open
// transactions, so that what it returns may be out of date: it tells a worker that
// starts whether there is something to do, and a task that has loaded its positions
// knows for certain. A plan that can't be read is an *UnreadableError, positions that
// can't are not.
func PeekPlan(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string) (*Plan, []string, error) {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the plan from %s-%d: %w", topic, partition, err)
	}
	defer client.Close()
	l, r := newLog(topic, partition, connector), newReader(client, topic, partition)
	r.noWait = true
	if err := r.readToEnd(ctx, l.apply); err != nil {
		return nil, nil, fmt.Errorf("reading the plan from %s-%d: %w", topic, partition, err)
	}
	if err := l.unreadablePlan(); err != nil {
		return nil, nil, err
	}
	return l.plan, l.owners(), nil
}

// LoadRecords returns the last record of each key of the connector in a
// partition, those that were deleted left out, in the order of their offsets. It
// reads as Load does, and doesn't look into values, so that whatever is stored
// there can be moved.
func LoadRecords(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string) ([]*kgo.Record, error) {
	return loadRecords(ctx, opts, topic, partition, connector, false)
}

// PeekRecords is LoadRecords without a wait for open transactions, so that what it
// returns may be out of date: it is for people to look at.
func PeekRecords(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string) ([]*kgo.Record, error) {
	return loadRecords(ctx, opts, topic, partition, connector, true)
}

func loadRecords(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string, noWait bool) ([]*kgo.Record, error) {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("reading %s-%d: %w", topic, partition, err)
	}
	defer client.Close()
	last := make(map[string]*kgo.Record)
	from := newReader(client, topic, partition)
	from.noWait = noWait
	err = from.readToEnd(ctx, func(r *kgo.Record) error {
		if last[string(r.Key)] == nil {
			owner, _, err := keyOwner(r.Key)
			if err != nil || owner != connector {
				return nil // Load judges what it can't read
			}
		}
		if r.Value == nil {
			delete(last, string(r.Key))
			return nil
		}
		last[string(r.Key)] = &kgo.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Partition: partition, Offset: r.Offset}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s-%d: %w", topic, partition, err)
	}
	return slices.SortedFunc(maps.Values(last), func(a, b *kgo.Record) int { return int(a.Offset - b.Offset) }), nil
}

// TabletOf returns the table and the tablet that a stored record is about; ok is
// false for a record that is about none, such as the plan.
func TabletOf(key []byte) (table, tablet string, ok bool) {
	_, rest, err := keyOwner(key)
	if err != nil {
		return "", "", false
	}
	var members struct {
		Table, Tablet string
	}
	if err := json.Unmarshal(rest, &members); err != nil || members.Tablet == "" {
		return "", "", false
	}
	return members.Table, members.Tablet, true
}

// PlanOf returns the plan that a stored record is; ok is false for others.
func PlanOf(r *kgo.Record) (p Plan, ok bool) {
	_, rest, err := keyOwner(r.Key)
	if err != nil || !isPlanKey(rest) || r.Value == nil {
		return Plan{}, false
	}
	p, err = ParsePlan(r.Value)
	return p, err == nil
}

// isPlanKey reports whether the second element of a key is a plan's.
func isPlanKey(rest json.RawMessage) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(rest, &members) == nil && len(members) == 1 && members["plan"] != nil
}
