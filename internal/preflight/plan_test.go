package preflight

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

var update = flag.Bool("update", false, "rewrite testdata")

func (w *world) plan() Plan {
	w.t.Helper()
	plans, err := MakePlans(w.t.Context(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return plans[0]
}

// addresses are the ports that the fakes were given.
var addresses = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = addresses.ReplaceAll(got, []byte("ADDRESS"))
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; the output is\n%s", path, got)
	}
}

func day(n int) []any { return []any{time.Date(2023, 11, n, 0, 0, 0, 0, time.UTC)} }

// rangedWorld has a table with ranges, a condition that prunes, a stored position
// and topics that are there.
func rangedWorld(t *testing.T) *world {
	w := newWorld(t)
	w.makeTable(kudufake.TableSpec{
		Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 2}}, Range: []string{"at"},
		Ranges: []kudufake.RangeSpec{{Upper: day(14)}, {Lower: day(14), Upper: day(15)}, {Lower: day(15)}},
	})
	w.makeTopics()
	w.c.Where, w.c.TimestampColumn, w.c.HeadersEnable = "at >= '2023-11-14' AND price > 1 AND note LIKE '%w 3'", "at", true
	var tablet string
	for _, tb := range w.table.Tablets() {
		tablet = tb.ID
	}
	pos := offsets.Position{
		Mode: "offset", Phase: "streaming", TableID: w.table.ID(), Snapshot: uint64(1_700_000_000_000_000) << 12,
		Key: json.RawMessage(`{"at":"2023-11-15T00:00:00.000000Z","id":7}`), PrimaryKey: json.RawMessage(`{"at":"2023-11-15T00:00:00.000000Z","id":7}`),
	}
	for p := range int32(2) {
		plan, err := offsets.PlanRecord("g-orders-offsets", p, "orders", offsets.Plan{Table: "orders", TableID: w.table.ID(), Tasks: 1, OrderScope: "tablet", Ready: true})
		if err != nil {
			t.Fatal(err)
		}
		w.store(plan)
	}
	record, err := offsets.Record("g-orders-offsets", 0, offsets.Key{Connector: "orders", Table: "orders", Tablet: tablet}, pos)
	if err != nil {
		t.Fatal(err)
	}
	w.store(record)
	return w
}

func TestPlansAreShownForPeopleAndPrograms(t *testing.T) {
	for name, world := range map[string]func(*testing.T) *world{
		"fresh": func(t *testing.T) *world {
			w := newWorld(t)
			w.c.TimestampColumn, w.c.TopicPartitions, w.c.TopicConfigs = "at", 4, map[string]string{"cleanup.policy": "compact"}
			w.c.StreamingKey, w.c.OffsetStopValues = []string{"seen"}, map[string]string{"seen": "2023-11-15T00:00:00Z"}
			return w
		},
		"ranges": rangedWorld,
		"sweep": func(t *testing.T) *world {
			w := newWorld(t)
			w.c.Mode, w.c.Where, w.c.SweepOrderBy, w.c.TimestampColumn = "sweep", "price > 1 AND at <= now()", []string{"price DESC"}, "at"
			w.c.TasksMax = 1
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t)
			p := w.plan()
			scrub(&p)
			var text bytes.Buffer
			if err := p.WriteText(&text, TextOptions{Tablets: 3, Now: time.Unix(1_700_000_060, 0)}); err != nil {
				t.Fatal(err)
			}
			golden(t, "plan_"+name+".txt", text.Bytes())
			asJSON, err := json.MarshalIndent(p, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "plan_"+name+".json", append(asJSON, '\n'))
		})
	}
}

// scrub takes out what differs from run to run.
func scrub(p *Plan) {
	if p.Example != nil {
		for i, h := range p.Example.Headers {
			if h[0] == "kudu.snapshot" {
				p.Example.Headers[i][1] = "SNAPSHOT"
			}
		}
	}
	for _, task := range p.Tasks {
		for i := range task.Tablets {
			for j, pred := range task.Tablets[i].Scan.Predicates {
				if strings.HasPrefix(pred, "at < \"20") && !strings.Contains(pred, "2023") {
					task.Tablets[i].Scan.Predicates[j] = "at < NOW"
				}
			}
		}
	}
}

func TestTabletsOfAPlanAreReadByTheTasksThatReadThem(t *testing.T) {
	w := newWorld(t)
	w.makeTable(kudufake.TableSpec{Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 7}}})
	w.c.TasksMax = 3
	seen := map[string]int{}
	p := w.plan()
	for n, task := range p.Tasks {
		for _, tablet := range task.Tablets {
			seen[tablet.ID]++
		}
		if len(task.Tablets) < 2 || len(task.Tablets) > 3 {
			t.Errorf("task %d reads %d tablets of 7", n, len(task.Tablets))
		}
	}
	for _, tablet := range w.table.Tablets() {
		if seen[tablet.ID] != 1 {
			t.Errorf("tablet %s is read by %d tasks", tablet.ID, seen[tablet.ID])
		}
	}
}

func TestTheExampleIsTheFirstRowBehindTheStoredPosition(t *testing.T) {
	w := newWorld(t)
	w.makeTable(kudufake.TableSpec{Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 2}}})
	w.makeTopics()
	p := w.plan()
	first := p.Example
	if first == nil || first.Topic != "rows" || first.Partition < 0 || first.Partition > 2 {
		t.Fatalf("the example is %+v (%s)", first, p.ExampleNote)
	}
	for _, tablet := range w.table.Tablets() {
		pos := offsets.Position{Mode: "offset", Phase: "streaming", TableID: w.table.ID(), Snapshot: 4096, Key: json.RawMessage(first.Key), PrimaryKey: json.RawMessage(first.Key)}
		r, err := offsets.Record("g-orders-offsets", 0, offsets.Key{Connector: "orders", Table: "orders", Tablet: tablet.ID}, pos)
		if err != nil {
			t.Fatal(err)
		}
		w.store(r)
	}
	second := w.plan().Example
	if second == nil || second.Key <= first.Key {
		t.Errorf("behind %s the example is %+v", first.Key, second)
	}
	w.c.Where = "note = 'no such row'"
	if p := w.plan(); p.Example != nil || p.ExampleNote != "there is no row to publish now" {
		t.Errorf("the example is %+v (%s)", p.Example, p.ExampleNote)
	}
}

func TestAPlanTellsPositionsThatDoNotFit(t *testing.T) {
	w := newWorld(t)
	w.makeTopics()
	r, err := offsets.Record("g-orders-offsets", 0, offsets.Key{Connector: "orders", Table: "orders", Tablet: w.table.Tablets()[0].ID}, offsets.Position{Mode: "sweep", TableID: w.table.ID()})
	if err != nil {
		t.Fatal(err)
	}
	w.store(r)
	p := w.plan()
	refused := 0
	for _, task := range p.Tasks {
		for _, tablet := range task.Tablets {
			if tablet.Stored != nil && strings.Contains(tablet.Stored.Refused, `stored in mode "sweep"`) {
				refused++
			}
		}
	}
	if refused != 1 || p.Example != nil {
		t.Errorf("%d positions are refused, and the example is %+v", refused, p.Example)
	}
}

func TestAPlanNeedsWhatAWorkerNeeds(t *testing.T) {
	w := newWorld(t)
	w.c.KuduTable = "gone"
	_, err := MakePlans(t.Context(), w.options())
	var faulty *connector.ConfigError
	if !errors.As(err, &faulty) || len(faulty.Faults) != 1 || faulty.Faults[0].Key != "kudu.table" {
		t.Errorf("the error is %v", err)
	}
}

func TestTextThatIsNotUTF8IsQuoted(t *testing.T) {
	if got := readable([]byte("a\xff")); got != `"a\xff"` {
		t.Errorf("it is shown as %s", got)
	}
	if got := connector.RecordBytes(&kgo.Record{Key: []byte("ab"), Value: []byte("cde")}); got != 5 {
		t.Errorf("a record has %d bytes", got)
	}
}
