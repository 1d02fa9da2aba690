package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

const sortedTable = "narrow"

// measureSorted reads one backlog by the primary key, by columns elsewhere, and
// by them without a sort.
func (b *bench) measureSorted(ctx context.Context) (err error) {
	if b.tool, err = testenv.StartKuduTool(ctx, b.kudu.Masters()); err != nil {
		return err
	}
	err = b.fill(ctx, sortedTable, sortedTable, b.sorted)
	if err := errors.Join(err, b.tool.Close()); err != nil {
		return err
	}
	client, err := kudu.New(kudu.Config{Masters: b.kudu.Masters()})
	if err != nil {
		return err
	}
	defer client.Close()
	table, err := client.OpenTable(ctx, sortedTable)
	if err != nil {
		return err
	}
	key := strings.Split(b.sortedKey, ",")
	report := newReport(sortedTable, b.sorted, 0)
	common := "headers.enable: true\nkey.columns: id\nsort.memory.bytes: 67108864\n"
	elsewhere := common + "streaming.key: " + b.sortedKey + "\n"
	for round := range b.rounds {
		for _, m := range []struct {
			name, more string
			order      []string // of the rows in the topic
		}{
			{"prefix", common, table.Schema().KeyNames()},
			{"sorted", elsewhere, key},
			{"walked", elsewhere + "order: none\n", table.Schema().KeyNames()},
		} {
			// The connector ends at the greatest row by its streaming key.
			by := key
			if m.name == "prefix" {
				by = m.order
			}
			ref, err := lastRows(ctx, table, by)
			if err != nil {
				return err
			}
			f, err := b.runConnector(ctx, ref, fmt.Sprintf("%s-%d", m.name, round), m.more, func(topic string) error {
				return b.checkOrder(ctx, topic, table.Schema(), m.order)
			})
			if err != nil {
				return fmt.Errorf("reading it %s: %w", m.name, err)
			}
			report.add(m.name, f)
			fmt.Printf("  round %d, %-6s %6.2f s, %5.1f CPU s, peak memory %4.0f MiB; order and count are right\n", round+1, m.name, f.seconds, f.cpu, f.memory)
		}
	}
	report.ratio(os.Stdout, "time sorted / prefix", "sorted", "prefix")
	report.ratio(os.Stdout, "time walked / prefix", "walked", "prefix")
	return nil
}

// orderPlaces are the columns of the whole order, and where they are in a
// projection of them alone.
func orderPlaces(s *kudu.Schema, by []string) (names []string, places []int) {
	for _, name := range slices.Concat(by, s.KeyNames()) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range names {
		places = append(places, i)
	}
	return names, places
}

// lastRows finds each tablet's greatest row by some columns and the primary key.
func lastRows(ctx context.Context, t *kudu.Table, by []string) (*reference, error) {
	s := t.Schema()
	names, places := orderPlaces(s, by)
	tablets, err := t.Tablets(ctx)
	if err != nil {
		return nil, err
	}
	var keyPlaces []int
	for _, name := range s.KeyNames() {
		keyPlaces = append(keyPlaces, slices.Index(names, name))
	}
	r := &reference{table: t.Name(), last: make(map[string]string)}
	for _, tablet := range tablets {
		sc, err := t.Scan(tablet.ID, kudu.ScanOptions{Columns: names, Ordered: true})
		if err != nil {
			return nil, err
		}
		var key, greatest, primary []byte
		for {
			rows, err := sc.Next(ctx)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				sc.Close()
				return nil, err
			}
			for i := range rows.NumRows() {
				if key = kudu.AppendKey(key[:0], rows, places, i); bytes.Compare(key, greatest) > 0 {
					greatest = append(greatest[:0], key...)
					primary = kudu.AppendKey(primary[:0], rows, keyPlaces, i)
				}
			}
			r.rows += int64(rows.NumRows())
		}
		sc.Close()
		values, err := s.DecodePrimaryKey(primary)
		if err != nil {
			return nil, err
		}
		text, err := serde.MarshalValues(s.Columns()[:s.NumKeys()], values)
		if err != nil {
			return nil, err
		}
		r.last[tablet.ID] = string(text)
	}
	return r, nil
}

// checkOrder reads the topic, and checks that all rows are there and that those
// of one tablet in one partition are in order.
func (b *bench) checkOrder(ctx context.Context, topic string, s *kudu.Schema, by []string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.kafka.BootstrapServers()), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return err
	}
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left++
		}
	})
	names, _ := orderPlaces(s, by)
	cols := make([]kudu.Column, len(names))
	for i, name := range names {
		cols[i] = *s.Column(s.Index(name))
	}
	last := make(map[string][]byte) // by tablet and partition
	rows := int64(0)
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup(topic, r.Partition); r.Offset == end.Offset-1 {
				left--
			}
			if r.Attrs.IsControl() || bad != nil {
				return
			}
			rows++
			key, err := orderKey(cols, r.Value)
			if err != nil {
				bad = err
				return
			}
			lane := fmt.Sprint(r.Partition, r.Headers[1])
			if bytes.Compare(last[lane], key) >= 0 {
				bad = fmt.Errorf("record %d/%d, %s, comes behind a greater row of its tablet", r.Partition, r.Offset, r.Value)
			}
			last[lane] = append(last[lane][:0], key...)
		})
		if bad != nil {
			return bad
		}
	}
	if rows != b.sorted {
		return fmt.Errorf("the topic has %d rows, not %d", rows, b.sorted)
	}
	return nil
}

// orderKey encodes the columns of a record's value.
func orderKey(cols []kudu.Column, value []byte) ([]byte, error) {
	var cells map[string]json.RawMessage
	if err := json.Unmarshal(value, &cells); err != nil {
		return nil, err
	}
	text := []byte{'{'}
	for i, c := range cols {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(fmt.Appendf(text, "%q:", c.Name), cells[c.Name]...)
	}
	values, err := serde.UnmarshalValues(cols, append(text, '}'))
	if err != nil {
		return nil, err
	}
	return kudu.EncodeKey(cols, values)
}
