package connector

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// OffsetsAdmin shows and changes the stored positions of one connector, for an
// operator. It needs no worker: REST and commands use it alike. A change is the
// exception from I2. It is made only while no worker takes part in the connector,
// in steps that leave no gap in which one could begin by the old positions:
//
//  1. It takes the transactional id of migrations (migrate.go), and that of each
//     task, which aborts what they had open (I3).
//  2. It reads all that is stored, and judges the change by it.
//  3. It produces the change in one transaction, and only then looks whether the
//     connector's group is still without members. A task that begins later waits
//     for this transaction's end before it has its positions; who began before is a
//     member.
//  4. It commits.
//
// One that is killed leaves the positions as they were. Journals of mode sweep are
// never deleted, and their tablets not touched: the rows that they name have been
// published, and would be published again.
type OffsetsAdmin struct{ instance *instance }

// StoredOffset is the position of a tablet. The tablet "*" is the mark of
// offset.start=latest, which says that a connector has begun.
type StoredOffset struct {
	Table, Tablet string
	// Position is the JSON that is stored; nil, in a change, deletes it, so that the
	// tablet is read from its start.
	Position json.RawMessage
}

// OffsetChange is what becomes of one tablet's position, or would become in a dry
// run.
type OffsetChange struct {
	Table, Tablet string
	Task          int32
	From, To      json.RawMessage // nil: none
}

// OffsetsBusyError says that a change has to wait.
type OffsetsBusyError struct{ Why string }

func (e *OffsetsBusyError) Error() string { return e.Why }

// OffsetsInvalidError says what is wrong with a change, whenever it is made.
type OffsetsInvalidError struct{ Why string }

func (e *OffsetsInvalidError) Error() string { return e.Why }

func invalidOffset(format string, args ...any) error {
	return &OffsetsInvalidError{fmt.Sprintf(format, args...)}
}

// NewOffsetsAdmin makes one for a connector. Close must be called.
func NewOffsetsAdmin(cfg Config, worker WorkerConfig, logger hclog.Logger) (*OffsetsAdmin, error) {
	i, err := newInstance(cfg, worker, logger, nobody{})
	if err != nil {
		return nil, err
	}
	return &OffsetsAdmin{i}, nil
}

// Close gives up the connections.
func (a *OffsetsAdmin) Close() { a.instance.close() }

// List gives the positions that are committed now, by table and tablet. It doesn't
// wait for open transactions. A connector that has never run has none.
func (a *OffsetsAdmin) List(ctx context.Context) ([]StoredOffset, error) {
	s, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	var list []StoredOffset
	for _, r := range s.records {
		key, err := offsets.ParseKey(r.Key)
		if err != nil || slices.ContainsFunc(list, func(o StoredOffset) bool { return o.Tablet == key.Tablet && o.Table == key.Table }) {
			continue // a plan, a journal, or the mark of another partition
		}
		list = append(list, StoredOffset{key.Table, key.Tablet, r.Value})
	}
	slices.SortFunc(list, func(x, y StoredOffset) int {
		return cmp.Or(strings.Compare(x.Table, y.Table), strings.Compare(x.Tablet, y.Tablet))
	})
	return list, nil
}

// Alter changes the positions of the tablets named and leaves the others alone. It
// refuses all if one of them isn't right. With dry it only says what it would do.
// Errors: *OffsetsInvalidError, *OffsetsBusyError, and those of Kafka and Kudu.
func (a *OffsetsAdmin) Alter(ctx context.Context, changes []StoredOffset, dry bool) ([]OffsetChange, error) {
	if len(changes) == 0 {
		return nil, invalidOffset("no offset is given")
	}
	seen := make(map[[2]string]bool)
	sets := false
	for _, c := range changes {
		name := [2]string{c.Table, c.Tablet}
		if c.Table == "" || c.Tablet == "" {
			return nil, invalidOffset("a partition needs a table and a tablet, such as {\"table\":%q,\"tablet\":\"...\"}", a.instance.cfg.KuduTable)
		}
		if seen[name] {
			return nil, invalidOffset("tablet %s of table %q is given twice", c.Tablet, c.Table)
		}
		seen[name] = true
		sets = sets || c.Position != nil
	}
	return a.change(ctx, dry, sets, func(s *storedOffsets) ([]OffsetChange, error) {
		var all []OffsetChange
		for _, c := range changes {
			some, err := a.alterOne(ctx, s, c)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
		return all, nil
	})
}

// Reset deletes all positions of the connector, so that it begins as a new one
// does. With dry it only says what it would do.
func (a *OffsetsAdmin) Reset(ctx context.Context, dry bool) ([]OffsetChange, error) {
	return a.change(ctx, dry, false, func(s *storedOffsets) ([]OffsetChange, error) {
		var all []OffsetChange
		for _, r := range s.records {
			if key, err := offsets.ParseJournalKey(r.Key); err == nil {
				return nil, hasJournal(key.Tablet)
			}
			key, _ := offsets.ParseKey(r.Key) // a plan, or what can't be read, has none
			all = append(all, OffsetChange{Table: key.Table, Tablet: key.Tablet, Task: r.Partition, From: r.Value})
			s.write = append(s.write, &kgo.Record{Topic: s.topic, Partition: r.Partition, Key: r.Key})
		}
		return all, nil
	})
}

func hasJournal(tablet string) error {
	return &OffsetsBusyError{fmt.Sprintf("rows of tablet %s were published and have yet to be swept: resume the connector until its journal is empty, then stop it again; a changed position would have them published twice", tablet)}
}

// storedOffsets is what the partitions of the offsets topic have.
type storedOffsets struct {
	topic      string
	partitions int32
	records    []*kgo.Record
	write      []*kgo.Record // what is to be written
}

// find gives the records of one tablet's position, of which the mark has several,
// and whether the tablet has a journal.
func (s *storedOffsets) find(table, tablet string) (positions []*kgo.Record, journal bool) {
	for _, r := range s.records {
		if t, id, ok := offsets.TabletOf(r.Key); !ok || t != table || id != tablet {
			continue
		}
		if _, err := offsets.ParseJournalKey(r.Key); err == nil {
			journal = true
			continue
		}
		positions = append(positions, r)
	}
	return positions, journal
}

type readRecords func(ctx context.Context, opts []kgo.Opt, topic string, partition int32, connector string) ([]*kgo.Record, error)

// look reads what is there; a topic that isn't has no partitions.
func (a *OffsetsAdmin) look(ctx context.Context) (*storedOffsets, error) {
	partitions, err := a.instance.offsetsPartitions(ctx, 0)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, err
	}
	return a.load(ctx, partitions, offsets.PeekRecords)
}

// load reads so many partitions. That fails if the stored plan says that there are more.
func (a *OffsetsAdmin) load(ctx context.Context, partitions int32, read readRecords) (*storedOffsets, error) {
	i := a.instance
	s := &storedOffsets{topic: i.cfg.OffsetsTopic(i.worker.GroupID), partitions: partitions}
	parts := make([][]*kgo.Record, s.partitions)
	err := eachPartition(ctx, s.partitions, func(ctx context.Context, n int32) (err error) {
		parts[n], err = read(ctx, i.kafka.Within(ctx), s.topic, n, i.cfg.Name)
		return err
	})
	if err != nil {
		return nil, kafka.Classify(i.kafka.As(err))
	}
	s.records = slices.Concat(parts...)
	for _, r := range s.records {
		if plan, is := offsets.PlanOf(r); is && plan.Tasks > int(s.partitions) {
			return nil, fmt.Errorf("offsets topic %q shows %d partitions, though %d tasks have stored positions there: try again", s.topic, s.partitions, plan.Tasks)
		}
	}
	return s, nil
}

// change goes through the steps of a change, which judge decides on.
func (a *OffsetsAdmin) change(ctx context.Context, dry, create bool, judge func(*storedOffsets) ([]OffsetChange, error)) ([]OffsetChange, error) {
	if err := a.awaitIdle(ctx); err != nil {
		return nil, err
	}
	if dry {
		s, err := a.look(ctx)
		if err != nil {
			return nil, err
		}
		return judge(s)
	}
	i := a.instance
	within := topicMissing
	if create {
		if err := i.ensureTopics(ctx); err != nil {
			return nil, err
		}
		within = topicShown
	}
	partitions, err := i.offsetsPartitions(ctx, within)
	if errors.Is(err, kerr.UnknownTopicOrPartition) && !create {
		return nil, nil // nothing was ever stored
	}
	if err != nil {
		return nil, err
	}
	p, err := openProducer(ctx, i.planProducer())
	if err != nil {
		return nil, err
	}
	defer p.close()
	err = eachPartition(ctx, partitions, func(ctx context.Context, task int32) error {
		return i.fence(ctx, i.producerOptions(task))
	})
	if err != nil {
		return nil, err
	}
	s, err := a.load(ctx, partitions, offsets.LoadRecords)
	if err != nil {
		return nil, err
	}
	changes, err := judge(s)
	if err != nil || len(s.write) == 0 {
		return changes, err
	}
	return changes, a.store(ctx, p, s.write)
}

// store writes the records in one transaction, which commits only if no worker
// takes part in the connector by then.
func (a *OffsetsAdmin) store(ctx context.Context, p *producer, records []*kgo.Record) error {
	if err := p.begin(ctx); err != nil {
		return err
	}
	for _, r := range records {
		if err := p.produce(ctx, r, p.promise); err != nil {
			return errors.Join(err, abandon(ctx, p))
		}
	}
	err := p.client.Flush(ctx)
	if err == nil {
		err = a.idle(ctx)
	}
	if err != nil {
		return errors.Join(err, abandon(ctx, p))
	}
	// A transaction ends with a position: the first one again says the same.
	first := *records[0]
	if out, err := p.end(ctx, []*kgo.Record{&first}); out != committed {
		return fmt.Errorf("storing changed positions: transaction %s: %w", out, err)
	}
	return nil
}

// abandon aborts what was begun; its error is nil if that is certain.
func abandon(ctx context.Context, p *producer) error {
	if out, err := p.abort(ctx); out != aborted {
		return fmt.Errorf("aborting: %w", err)
	}
	return nil
}

// leaving is how long workers that have just been told to stop are waited for.
const leaving = 5 * time.Second

func (a *OffsetsAdmin) awaitIdle(ctx context.Context) error {
	deadline := time.Now().Add(leaving)
	for {
		err := a.idle(ctx)
		var busy *OffsetsBusyError
		if !errors.As(err, &busy) || time.Now().After(deadline) {
			return err
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// idle refuses while a worker is a member of the connector's group.
func (a *OffsetsAdmin) idle(ctx context.Context) error {
	client, err := kgo.NewClient(a.instance.kafka.Within(ctx)...)
	if err != nil {
		return fmt.Errorf("connecting to Kafka: %w", err)
	}
	defer client.Close()
	group := a.instance.cfg.GroupID(a.instance.worker.GroupID)
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, group)
	if err == nil {
		err = groups.Error()
	}
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return nil
	case err != nil:
		return kafka.Classify(a.instance.kafka.As(fmt.Errorf("asking for the members of group %q: %w", group, kafka.Denied(err, groupRight(group)))))
	}
	var members []string
	for _, m := range groups[group].Members {
		members = append(members, fmt.Sprintf("%s at %s", m.ClientID, m.ClientHost))
	}
	if len(members) == 0 {
		return nil
	}
	return &OffsetsBusyError{fmt.Sprintf("connector %q is still run by %d worker(s) (%s): stop it, and try again once they have left; one that died is counted for session.timeout.ms",
		a.instance.cfg.Name, len(members), strings.Join(members, ", "))}
}

// alterOne judges the change of one position and gives what becomes of it.
func (a *OffsetsAdmin) alterOne(ctx context.Context, s *storedOffsets, c StoredOffset) ([]OffsetChange, error) {
	before, journal := s.find(c.Table, c.Tablet)
	if journal {
		return nil, hasJournal(c.Tablet)
	}
	if c.Position == nil {
		if len(before) == 0 && c.Table != a.instance.cfg.KuduTable {
			return nil, invalidOffset("connector %q has no position of tablet %s of table %q", a.instance.cfg.Name, c.Tablet, c.Table)
		}
		var all []OffsetChange
		for _, r := range before {
			all = append(all, OffsetChange{Table: c.Table, Tablet: c.Tablet, Task: r.Partition, From: r.Value})
			s.write = append(s.write, &kgo.Record{Topic: s.topic, Partition: r.Partition, Key: r.Key})
		}
		return all, nil
	}
	pos, err := offsets.ParsePosition(c.Position)
	if err != nil {
		return nil, invalidOffset("the offset of tablet %s: %v", c.Tablet, err)
	}
	tasks, err := a.fits(ctx, s, c, pos)
	if err != nil {
		return nil, err
	}
	var all []OffsetChange
	for _, task := range tasks {
		r, err := offsets.Record(s.topic, task, offsets.Key{Connector: a.instance.cfg.Name, Table: c.Table, Tablet: c.Tablet}, pos)
		if err != nil {
			return nil, invalidOffset("the offset of tablet %s: %v", c.Tablet, err)
		}
		change := OffsetChange{Table: c.Table, Tablet: c.Tablet, Task: task, To: r.Value}
		for _, b := range before {
			if b.Partition == task {
				change.From = b.Value
			}
		}
		if bytes.Equal(change.From, change.To) {
			continue
		}
		all = append(all, change)
		s.write = append(s.write, r)
	}
	return all, nil
}

// fits compares a position with the table, and gives the tasks that it belongs to
// by the plan that is stored.
func (a *OffsetsAdmin) fits(ctx context.Context, s *storedOffsets, c StoredOffset, pos offsets.Position) ([]int32, error) {
	i := a.instance
	if c.Table != i.cfg.KuduTable {
		return nil, invalidOffset("connector %q reads table %q, not %q", i.cfg.Name, i.cfg.KuduTable, c.Table)
	}
	state, err := i.catalog.get(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case pos.Mode != i.cfg.Mode:
		return nil, invalidOffset("the offset of tablet %s is of mode %q, but the connector runs in mode %q", c.Tablet, pos.Mode, i.cfg.Mode)
	case pos.TableID != "" && pos.TableID != state.table.ID():
		return nil, invalidOffset("the offset of tablet %s is of a table with the id %s, but table %q has the id %s", c.Tablet, pos.TableID, c.Table, state.table.ID())
	case pos.TableID == "" && i.cfg.Mode == modeOffset:
		return nil, invalidOffset("the offset of tablet %s needs the member table_id, which is %q", c.Tablet, state.table.ID())
	}
	plan, err := planRead(i.cfg, state.table.Schema())
	if err != nil {
		return nil, err
	}
	if pos.PrimaryKey != nil && i.cfg.Mode == modeOffset {
		if _, err := plan.order.restore(pos); err != nil {
			return nil, invalidOffset("the offset of tablet %s: %v", c.Tablet, err)
		}
	}
	cfg := i.cfg
	for _, r := range s.records {
		if stored, is := offsets.PlanOf(r); is && r.Partition == 0 {
			if !stored.Ready {
				return nil, &OffsetsBusyError{"positions were being moved for another tasks.max when the connector was stopped: resume it until its tasks run, then stop it again"}
			}
			cfg.TasksMax, cfg.OrderScope = stored.Tasks, stored.OrderScope
		}
	}
	if int(s.partitions) < cfg.TasksMax && s.partitions > 0 {
		return nil, fmt.Errorf("offsets topic %q shows %d partitions, though there are %d tasks", s.topic, s.partitions, cfg.TasksMax)
	}
	var tasks []int32
	for task := range int32(cfg.TasksMax) {
		for _, t := range state.tabletsOf(task, cfg) {
			if t.ID == c.Tablet {
				return []int32{task}, nil
			}
		}
		tasks = append(tasks, task)
	}
	if c.Tablet == startMarker {
		return tasks, nil
	}
	return nil, invalidOffset("table %q has no tablet %s", c.Table, c.Tablet)
}
