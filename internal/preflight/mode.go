package preflight

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// costs say what a look at a tablet costs.
var costs = map[connector.Way]string{
	connector.WaySeek:   "the streaming key leads the primary key: a look at a tablet costs one seek, and rows come in order without a sort",
	connector.WayMerge:  "the streaming key leads the primary key: one task merges all tablets, each of which costs one seek for a look",
	connector.WayWalk:   "the streaming key doesn't lead the primary key: each look at a tablet reads the values of its first column in all blocks that may hold new rows; nothing is sorted, and rows are published in the order of the primary key",
	connector.WaySort:   "the streaming key doesn't lead the primary key: each look at a tablet reads the values of its first column in all blocks that may hold new rows, and sorts the new ones (sort.memory.bytes, the rest on disk)",
	connector.WayStream: "rows are swept in the order of the primary key: they are streamed without a sort",
	connector.WayPick:   "sweep.order.by isn't the order of the primary key: each pass looks at all rows that meet where to pick the first sweep.batch.max.rows of them",
}

// checkKey says how rows are found, and what is missed.
func checkKey(_ context.Context, s *subject) ([]Finding, error) {
	way := s.outlook.Way()
	key := "streaming.key"
	if s.cfg.Mode == "sweep" {
		key = "sweep.order.by"
	}
	severity, remedy := Note, ""
	switch way {
	case connector.WaySort, connector.WayWalk:
		remedy = "where tables are made for it, let the streaming key lead the primary key"
	case connector.WayPick:
		remedy = "where the order doesn't matter, leave sweep.order.by out"
	}
	out := found(severity, key, costs[way], remedy)
	if s.outlook.Empty() {
		out = append(out, Finding{Severity: Warning, Key: "offset.stop.*", Problem: "offset.stop isn't behind offset.start: nothing will be read", Remedy: "correct one of the two"})
	}
	if s.cfg.Mode != "offset" || s.cfg.LateRows == "repair" {
		return out, nil
	}
	schema := s.outlook.Table().Schema()
	first := schema.Column(schema.Index(s.outlook.StreamingKey()[0]))
	switch {
	case first.AutoIncrementing || s.cfg.SettleDelay > 0:
	case first.Type == kudu.UnixtimeMicros || first.Type == kudu.Date:
		out = append(out, Finding{
			Severity: Note, Key: "late.rows", Problem: fmt.Sprintf("a row that is inserted with a smaller %s than one that was published already is not seen", first.Name),
			Remedy: "where writers may come late, give settle.delay.ms or late.rows: repair",
		})
	default:
		out = append(out, Finding{
			Severity: Note, Key: "late.rows", Problem: fmt.Sprintf("a row is new when its (%s) is above that of the last row published: others, and changes of rows, are not seen", strings.Join(s.outlook.StreamingKey(), ", ")),
			Remedy: "where keys don't only grow, give late.rows: repair",
		})
	}
	return out, nil
}

// checkWhere says which parts of where Kudu evaluates.
func checkWhere(_ context.Context, s *subject) ([]Finding, error) {
	var out []Finding
	if s.outlook.Never(s.now) {
		later := ""
		if s.outlook.UsesNow() {
			later = " at present"
		}
		out = append(out, Finding{Severity: Warning, Key: "where", Problem: "no row can meet it" + later + ": the conditions contradict each other", Remedy: "correct the condition"})
	}
	tell := func(parts []predicate.Conjunct, scans string) {
		for _, c := range parts {
			if !c.Evaluated {
				continue
			}
			problem := fmt.Sprintf("%s is evaluated here and not by Kudu%s: %s", c.Text, scans, c.Why)
			if c.Pushed {
				problem = fmt.Sprintf("%s is evaluated by Kudu in part only%s: %s", c.Text, scans, c.Why)
			}
			out = append(out, Finding{Severity: Note, Key: "where", Problem: problem, Remedy: "rows that don't meet it are sent by Kudu, and dropped here"})
		}
	}
	tell(s.outlook.Where(), "")
	if s.cfg.LateRows == "repair" {
		tell(slices.DeleteFunc(s.outlook.WhereOfRepairs(), func(c predicate.Conjunct) bool {
			return slices.ContainsFunc(s.outlook.Where(), func(o predicate.Conjunct) bool { return o.Text == c.Text && o.Evaluated == c.Evaluated })
		}), " in repairs of late rows")
	}
	return out, nil
}

// checkTasks looks how tablets spread over tasks.
func checkTasks(_ context.Context, s *subject) ([]Finding, error) {
	tasks := make([]int, s.cfg.TasksMax)
	for _, t := range s.tablets {
		tasks[s.outlook.TaskOf(t)]++
	}
	var idle []string
	most := 0
	for n, tablets := range tasks {
		if most = max(most, tablets); tablets == 0 {
			idle = append(idle, strconv.Itoa(n))
		}
	}
	switch {
	case len(s.tablets) == 0:
		return nil, nil
	case s.cfg.OrderScope == "table" && s.cfg.TasksMax > 1:
		return found(Note, "tasks.max", fmt.Sprintf("with order.scope: table one task reads everything; %s nothing to do", plural(len(idle), "task has", "tasks have")), "write tasks.max: 1"), nil
	case len(idle) > 0:
		return found(Note, "tasks.max", fmt.Sprintf("%s spread over %d tasks so that %s nothing to read: %s", plural(len(s.tablets), "tablet", "tablets"), len(tasks), plural(len(idle), "task has", "tasks have"), some(idle)),
			"range partitions that are added later may fill them; else lower tasks.max"), nil
	case most*len(tasks) > 2*len(s.tablets):
		return found(Note, "tasks.max", fmt.Sprintf("%d tablets spread unevenly over %d tasks: one of them reads %d", len(s.tablets), len(tasks), most), "choose a tasks.max that divides the number of hash buckets"), nil
	}
	return nil, nil
}

const (
	historyKey = "kudu.table.history_max_age_sec"
	// historyDefault is --tablet_history_max_age_sec of Kudu since 1.10.
	historyDefault = 7 * 24 * time.Hour
	// headroom is how much longer than the interval of repairs Kudu should keep
	// history: workers are stopped for an hour now and then.
	headroom = 10
)

// checkHistory compares how long Kudu keeps changes with how often they are read.
func checkHistory(_ context.Context, s *subject) ([]Finding, error) {
	history, set := historyDefault, false
	if text, is := s.outlook.Table().ExtraConfig(historyKey); is {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading %s of the table: %w", historyKey, err)
		}
		if seconds < 0 {
			return nil, nil // for ever
		}
		history, set = time.Duration(seconds)*time.Second, true
	}
	from := "as the tablet servers keep it by default"
	if set {
		from = historyKey
	}
	if s.cfg.LateRows != "repair" {
		const short = 15 * time.Minute
		if history < short {
			return found(Note, "kudu.table", fmt.Sprintf("Kudu keeps history for %v (%s): a scan that takes longer and loses its server begins anew", history, from), "raise "+historyKey+" of the table"), nil
		}
		return nil, nil
	}
	const key = "late.rows.interval.ms"
	switch interval := s.cfg.LateRowsInterval; {
	case interval >= history:
		return found(Error, key, fmt.Sprintf("repairs every %v look further back than Kudu keeps history, %v (%s): late rows are lost", interval, history, from),
			"lower it, or raise "+historyKey+" of the table"), nil
	case interval*headroom > history:
		return found(Warning, key, fmt.Sprintf("repairs come every %v, and Kudu keeps history for %v (%s): a worker that is stopped for longer can't tell which rows came late", interval, history, from),
			"raise "+historyKey+" of the table to the longest time that all workers may be stopped"), nil
	}
	return found(Note, key, fmt.Sprintf("Kudu keeps history for %v (%s): all workers may be stopped for as long, less %v, without missing a late row", history, from, s.cfg.LateRowsInterval), ""), nil
}
