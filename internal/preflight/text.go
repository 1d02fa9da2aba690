package preflight

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// WriteText prints the report for people: the findings, errors first, then a line
// that sums up.
func (r *Report) WriteText(out io.Writer) error {
	w := &textWriter{out: out}
	rank := map[Severity]int{Error: 0, Warning: 1, Note: 2}
	sorted := slices.Clone(r.Findings)
	slices.SortStableFunc(sorted, func(a, b Finding) int { return cmp.Compare(rank[a.Severity], rank[b.Severity]) })
	for _, f := range sorted {
		about := f.Check
		if f.Connector != "" {
			about = f.Connector + ": " + about
		}
		if f.Key != "" {
			about += ": " + f.Key
		}
		w.line("%-7s  %s", strings.ToUpper(string(f.Severity)), about)
		w.line("         %s", f.Problem)
		if f.Remedy != "" {
			w.line("         -> %s", f.Remedy)
		}
	}
	skipped := 0
	for _, o := range r.Checks {
		about := o.Check
		if o.Connector != "" {
			about = o.Connector + ": " + about
		}
		switch o.State {
		case Failed:
			w.line("NOT RUN  %s\n         %s", about, o.Why)
		case Skipped:
			skipped++
		}
	}
	if len(sorted) > 0 || r.Failed() > 0 {
		w.line("")
	}
	summary := fmt.Sprintf("%s, %s, %s, %s", plural(len(r.Checks), "check", "checks"),
		plural(r.Count(Error), "error", "errors"), plural(r.Count(Warning), "warning", "warnings"), plural(r.Count(Note), "note", "notes"))
	if n := r.Failed(); n > 0 {
		summary += fmt.Sprintf(", %d could not run", n)
	}
	if skipped > 0 {
		summary += fmt.Sprintf(", %d skipped after an error", skipped)
	}
	w.line("%s", summary)
	return w.err
}

// TextOptions says how much of a plan to print.
type TextOptions struct {
	// Tablets is the most tablets to list for each task; 0: all.
	Tablets int
	// Now is the time that ages are told by.
	Now time.Time
}

// WriteText prints the plan for people.
func (p *Plan) WriteText(out io.Writer, o TextOptions) error {
	w := &textWriter{out: out}
	w.line("connector %s, mode %s", p.Connector, p.Mode)
	w.line("  table    %s (%s)", p.Table.Name, p.Table.ID)
	w.line("           primary key %s; %s, %s each", strings.Join(p.Table.PrimaryKey, ", "), plural(p.Table.Tablets, "tablet", "tablets"), plural(p.Table.Replicas, "replica", "replicas"))
	for _, h := range p.Table.Hash {
		w.line("           hash by %s", h)
	}
	if len(p.Table.Range) > 0 {
		w.line("           range by %s", strings.Join(p.Table.Range, ", "))
	}
	w.line("  reading  by %s (%s)", strings.Join(p.Reading.Order, ", "), p.Reading.Way)
	w.line("           %s", p.Reading.Cost)
	w.line("           columns read: %s", strings.Join(p.Reading.Columns, ", "))
	for n, c := range p.Reading.Where {
		head := "         "
		if n == 0 {
			head = "  where  "
		}
		w.line("%s  %s", head, c.text())
	}
	if p.Moves != "" {
		w.line("  moves    %s", p.Moves)
	}
	w.tasks(p.Tasks, o)
	for n, t := range p.Topics {
		head := "          "
		if n == 0 {
			head = "  topics  "
		}
		w.line("%s %s", head, t.text())
	}
	w.line("  group    %s", p.Group)
	w.line("  transactional ids")
	for _, id := range p.TransactionalIDs {
		w.line("           %s", id)
	}
	w.rights("Kafka", p.KafkaRights)
	w.rights("Kudu", p.KuduRights)
	w.example(p)
	return w.err
}

func (c ConjunctPlan) text() string {
	switch {
	case !c.Evaluated:
		return "by Kudu: " + c.Text
	case c.Pushed:
		return fmt.Sprintf("by Kudu in part, the rest here: %s (%s)", c.Text, c.Why)
	}
	return fmt.Sprintf("here: %s (%s)", c.Text, c.Why)
}

func (t TopicPlan) text() string {
	made := "is there"
	if !t.Exists {
		made = "is to be made"
	}
	number := func(n int, what string) string {
		if n == 0 {
			return "the broker's default of " + what
		}
		return plural(n, strings.TrimSuffix(what, "s"), what)
	}
	text := fmt.Sprintf("%s for %s %s: %s, %s", t.Name, t.Holds, made, number(t.Partitions, "partitions"), number(t.Replicas, "replicas"))
	for _, key := range slices.Sorted(maps.Keys(t.Settings)) {
		text += fmt.Sprintf(", %s=%s", key, t.Settings[key])
	}
	return text
}

// textWriter keeps the first error.
type textWriter struct {
	out io.Writer
	err error
}

func (w *textWriter) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintln(w.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

func (w *textWriter) tasks(tasks []TaskPlan, o TextOptions) {
	for _, t := range tasks {
		w.line("  task %-3d %s", t.Task, plural(len(t.Tablets), "tablet", "tablets"))
		for n, tablet := range t.Tablets {
			if o.Tablets > 0 && n == o.Tablets {
				w.line("           and %d more (--all lists them)", len(t.Tablets)-n)
				break
			}
			w.tablet(tablet, o)
		}
	}
}

func (w *textWriter) tablet(t TabletPlan, o TextOptions) {
	leader := "no leader"
	if t.Leader != "" {
		leader = "led by " + t.Leader
	}
	w.line("    %s  %s; %s", t.ID, t.Partition, leader)
	if s := t.Stored; s != nil {
		age := ""
		if s.Time != nil {
			age = fmt.Sprintf(", read %s ago", s.age(o.Now))
		}
		w.line("      stored: %s%s", s.text(), age)
		if s.Refused != "" {
			w.line("      can't go on from there: %s", s.Refused)
			return
		}
	}
	w.line("      first scan: %s", t.Scan.text())
}

func (s ScanPlan) text() string {
	var parts []string
	add := func(sign string, bound []byte) {
		if bound != nil {
			parts = append(parts, sign+" "+string(bound))
		}
	}
	add("from", s.From)
	add("behind", s.After)
	add("up to, and without,", s.To)
	if s.Latest {
		parts = append(parts, "behind the last row that is there, which is looked for first")
	}
	if len(s.Predicates) > 0 {
		parts = append(parts, "where "+strings.Join(s.Predicates, " AND "))
	}
	if len(parts) == 0 {
		parts = append(parts, "all rows")
	}
	text := strings.Join(parts, ", ")
	if s.Pruned {
		text += "; the tablet holds no such row"
	}
	return text
}

func (w *textWriter) rights(system string, rights []RightPlan) {
	w.line("  rights in %s, where it has access control", system)
	for _, r := range rights {
		optional := ""
		if r.Optional {
			optional = "; it does without"
		}
		w.line("           %s on %s %s (%s%s)", r.Operation, strings.ToLower(r.Resource), r.Name, r.For, optional)
	}
}

func (w *textWriter) example(p *Plan) {
	e := p.Example
	if e == nil {
		w.line("  example  none: %s", p.ExampleNote)
		return
	}
	partition := "a partition chosen for each batch"
	switch {
	case e.Partition >= 0:
		partition = fmt.Sprintf("partition %d", e.Partition)
	case e.Key != "":
		partition = "a partition by its key"
	}
	w.line("  example  of tablet %s, to %s of %s", e.Tablet, partition, e.Topic)
	w.line("           timestamp %s", e.Timestamp.Format(time.RFC3339Nano))
	for _, h := range e.Headers {
		w.line("           header %s: %s", h[0], h[1])
	}
	w.line("           key %s", e.Key)
	w.line("           value %s", e.Value)
}
