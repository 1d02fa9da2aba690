package status

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// TextOptions say how a snapshot is printed.
type TextOptions struct {
	// Color marks states with the colours of a terminal.
	Color bool
	// Tablets lists all tablets of the document, not only those behind.
	Tablets bool
}

// Write prints a snapshot for people.
func Write(w io.Writer, s *Snapshot, o TextOptions) error {
	p := &printer{Writer: bufio.NewWriter(w), color: o.Color}
	p.head(s)
	p.connectors(s)
	p.tasks(s)
	p.tablets(s, o.Tablets)
	p.workers(s)
	return p.Flush()
}

type printer struct {
	*bufio.Writer
	color bool
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *printer) head(s *Snapshot) {
	p.line("group %s, seen by worker %s, version %s, %s", clean(s.GroupID), clean(s.WorkerID), clean(s.Version), s.Time.UTC().Format(time.RFC3339))
	if s.Health.Status != "healthy" {
		p.line("%s", p.paint(bad, "this worker is "+clean(s.Health.Status)+": "+clean(s.Health.Message)))
	}
	t := s.Totals
	p.line("%s rows/s, %s/s; %s rows, %s; %d of %d tasks run; %d of %d tablets behind%s", Count(t.Rates.Rows), Size(t.Rates.Bytes),
		Count(float64(t.TaskCounts.Rows)), Size(float64(t.TaskCounts.Bytes)), t.TasksRunning, t.Tasks, t.Behind, t.Tablets, lagIn(t.TaskCounts))
}

func lagIn(c herder.TaskCounts) string {
	if c.Behind == 0 {
		return ""
	}
	return ", lag " + lag(c)
}

func (p *printer) connectors(s *Snapshot) {
	p.line("")
	if len(s.Connectors) == 0 {
		p.line("no connectors")
		return
	}
	rows := [][]cell{}
	for i := range s.Connectors {
		c := &s.Connectors[i]
		state := cell{text: string(c.State), color: colorOf(c.State)}
		if string(c.Target) != string(c.State) && c.Target != herder.TargetRunning {
			state.text += " -> " + string(c.Target)
		}
		rows = append(rows, []cell{
			{text: c.Name}, state, {text: c.Mode}, {text: c.Table}, {text: c.Topic},
			right(Count(c.Rates.Rows)), right(Size(c.Rates.Bytes)), right(Count(float64(c.TaskCounts.Rows))),
			right(fmt.Sprintf("%d/%d", c.Behind, c.TaskCounts.Tablets)), right(lag(c.TaskCounts)),
		})
	}
	p.table([]cell{{text: "CONNECTOR"}, {text: "STATE"}, {text: "MODE"}, {text: "TABLE"}, {text: "TOPIC"}, right("ROWS/S"), right("BYTES/S"), right("ROWS"), right("BEHIND"), right("LAG")}, rows)
	for i := range s.Connectors {
		c := &s.Connectors[i]
		if up := c.CatchUp; up != nil {
			left := ""
			if up.LeftMillis > 0 {
				left = ", about " + span(up.LeftMillis) + " left"
			}
			p.line("%s: %.0f%% of about %s rows published%s", clean(c.Name), up.Part*100, Count(float64(c.TableRows)), left)
		}
		p.trouble(c.Name, c.Trace, c.Remedy)
		for _, t := range c.Tasks {
			who := fmt.Sprintf("%s task %d", c.Name, t.ID)
			if t.Trace == "" && t.Last != nil {
				p.trouble(who+" is over it, since "+t.Last.At.UTC().Format(time.RFC3339), t.Last.Trace, t.Last.Remedy)
				continue
			}
			p.trouble(who, t.Trace, t.Remedy)
		}
	}
}

func (p *printer) trouble(who, trace, remedy string) {
	if trace == "" {
		return
	}
	p.line("%s: %s", p.paint(bad, clean(who)), indented(trace))
	if remedy != "" {
		p.line("  -> %s", indented(remedy))
	}
}

func (p *printer) tasks(s *Snapshot) {
	var rows [][]cell
	for i := range s.Connectors {
		for _, t := range s.Connectors[i].Tasks {
			worker := t.WorkerID
			if worker == "" {
				worker = "none"
			}
			rows = append(rows, []cell{
				{text: s.Connectors[i].Name}, right(strconv.Itoa(t.ID)), {text: string(t.State), color: colorOf(t.State)}, {text: worker},
				right(Count(float64(t.Rows))), right(Size(float64(t.Bytes))), right(fmt.Sprintf("%d/%d", t.Behind, t.Tablets)), right(lag(t.TaskCounts)),
			})
		}
	}
	if len(rows) > 0 {
		p.line("")
		p.table([]cell{{text: "CONNECTOR"}, right("TASK"), {text: "STATE"}, {text: "WORKER"}, right("ROWS"), right("BYTES"), right("BEHIND"), right("LAG")}, rows)
	}
}

func (p *printer) tablets(s *Snapshot, all bool) {
	var rows [][]cell
	for i := range s.Connectors {
		for _, t := range s.Connectors[i].Tablets {
			if !t.Behind && !all {
				continue
			}
			state, lag := cell{text: "drained", color: good}, "-"
			if t.Behind {
				state, lag = cell{text: "behind", color: warn}, span(t.LagMillis)
			}
			at := t.Position
			if at == "" {
				at = "nothing yet"
			}
			rows = append(rows, []cell{{text: s.Connectors[i].Name}, right(strconv.Itoa(t.Task)), {text: t.Tablet}, state, right(lag), {text: at}})
		}
	}
	if len(rows) > 0 {
		p.line("")
		p.table([]cell{{text: "CONNECTOR"}, right("TASK"), {text: "TABLET"}, {text: "STATE"}, right("LAG"), {text: "PUBLISHED UP TO"}}, rows)
	}
}

func (p *printer) workers(s *Snapshot) {
	if len(s.Workers) == 0 {
		return
	}
	var rows [][]cell
	for _, w := range s.Workers {
		seen := span(w.SeenMillis) + " ago"
		if w.Self {
			seen = "this one"
		}
		rows = append(rows, []cell{{text: w.ID}, right(strconv.Itoa(w.Tasks)), right(Count(float64(w.Rows))), right(Size(float64(w.Bytes))), {text: seen}})
	}
	p.line("")
	p.table([]cell{{text: "WORKER"}, right("TASKS"), right("ROWS"), right("BYTES"), {text: "SEEN"}}, rows)
}

// cell is one field of a table.
type cell struct {
	text  string
	color string // empty: none
	right bool
}

func right(text string) cell { return cell{text: text, right: true} }

// Colours that can be read on dark and light terminals.
const (
	good = "32"
	warn = "33"
	bad  = "31"
)

func colorOf(s herder.State) string {
	switch s {
	case "RUNNING", "COMPLETED":
		return good
	case failed:
		return bad
	case "PAUSED", "STOPPED":
		return ""
	}
	return warn
}

func (p *printer) paint(color, text string) string {
	if !p.color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// table prints columns that are as wide as their widest cell.
func (p *printer) table(head []cell, rows [][]cell) {
	widths := make([]int, len(head))
	all := append([][]cell{head}, rows...)
	for _, row := range all {
		for n := range row {
			row[n].text = clean(row[n].text)
			widths[n] = max(widths[n], utf8.RuneCountInString(row[n].text))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for n, c := range row {
			pad := strings.Repeat(" ", widths[n]-utf8.RuneCountInString(c.text))
			switch {
			case c.right:
				b.WriteString(pad + p.paint(c.color, c.text))
			case n == len(row)-1:
				b.WriteString(p.paint(c.color, c.text))
			default:
				b.WriteString(p.paint(c.color, c.text) + pad)
			}
			if n < len(row)-1 {
				b.WriteString("  ")
			}
		}
		p.line("%s", b.String())
	}
}

// clean keeps what others wrote from steering the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return utf8.RuneError
		}
		return r
	}, text)
}

// indented is a text of several lines below a first one.
func indented(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for n := range lines {
		lines[n] = clean(lines[n])
	}
	return strings.Join(lines, "\n     ")
}

func lag(c herder.TaskCounts) string {
	switch {
	case c.Tablets == 0:
		return "?"
	case c.Behind == 0:
		return "-"
	}
	return span(c.LagMillis)
}

// span is a time in milliseconds, in two units at most.
func span(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Count is a number in few digits.
func Count(n float64) string {
	switch {
	case n < 100 && n != math.Trunc(n):
		return fmt.Sprintf("%.1f", n)
	case n < 100_000:
		return fmt.Sprintf("%.0f", n)
	case n < 100e6:
		return fmt.Sprintf("%.1fM", n/1e6)
	case n < 1e9:
		return fmt.Sprintf("%.0fM", n/1e6)
	}
	return fmt.Sprintf("%.1fG", n/1e9)
}

// Size is a number of bytes in few digits.
func Size(n float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < 1024 {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", n)
			}
			return fmt.Sprintf("%.1f %s", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1f TiB", n)
}
