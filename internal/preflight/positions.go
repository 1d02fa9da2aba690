package preflight

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// ReadPosition renders a stored position for people. The error says that this
// release can't read it.
func ReadPosition(stored json.RawMessage) (*StoredPlan, error) {
	pos, err := offsets.ParsePosition(stored)
	if err != nil {
		return nil, err
	}
	return storedPlan(pos), nil
}

// text is where a position stands.
func (s *StoredPlan) text() string {
	switch {
	case s.Mode == "sweep":
		return "mode sweep"
	case s.PrimaryKey != nil:
		return string(s.PrimaryKey)
	case s.Phase == "start":
		return "behind the last row that was there at the start"
	}
	return "the start"
}

// age is how long ago the last row was read.
func (s *StoredPlan) age(now time.Time) string {
	if s.Time == nil {
		return "-"
	}
	return now.Sub(*s.Time).Round(time.Second).String()
}

// WritePositions prints stored positions for people, a line for each.
func WritePositions(out io.Writer, stored []connector.StoredOffset, now time.Time) error {
	w := &textWriter{out: out}
	if len(stored) == 0 {
		w.line("no position is stored")
		return w.err
	}
	w.line("%-32s  %-12s  %s", "TABLET", "AGE", "POSITION")
	table := ""
	for _, o := range stored {
		if o.Table != table {
			table = o.Table
			w.line("of table %s", table)
		}
		pos, err := ReadPosition(o.Position)
		switch {
		case err != nil:
			w.line("%-32s  %-12s  can't be read: %v", o.Tablet, "-", err)
		case o.Tablet == startMarker:
			w.line("%-32s  %-12s  %s", o.Tablet, pos.age(now), "the connector has begun, with offset.start: latest")
		default:
			w.line("%-32s  %-12s  %s", o.Tablet, pos.age(now), pos.text())
		}
	}
	return w.err
}

// WriteChanges prints what becomes of positions.
func WriteChanges(out io.Writer, changes []connector.OffsetChange) error {
	w := &textWriter{out: out}
	for _, c := range changes {
		what := fmt.Sprintf("tablet %s of table %s", c.Tablet, c.Table)
		if c.Tablet == "" {
			what = "how tablets are spread over tasks"
		}
		w.line("task %d, %s", c.Task, what)
		w.line("  from %s", changeText(c.From))
		w.line("  to   %s", changeText(c.To))
	}
	return w.err
}

func changeText(position json.RawMessage) string {
	if position == nil {
		return "nothing"
	}
	return string(position)
}
