package status

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

const (
	barPause = 200 * time.Millisecond
	// barWindow is the time over which the bar's rate is the mean.
	barWindow = 10 * time.Second
	eraseLine = "\r\x1b[K"
)

// Bar is a line at the bottom of a terminal that shows how the first catch-up of a
// worker's connectors goes. What is written through it comes above the line. Safe
// for concurrent use.
type Bar struct {
	mu     sync.Mutex
	out    io.Writer
	width  func() int
	line   string // what is to be seen; empty: nothing
	drawn  string // as much of it as fits
	closed bool
}

// NewBar makes a bar on a terminal, whose columns width tells; it is asked whenever
// something is drawn, since windows change. Nothing is drawn before Run.
func NewBar(out io.Writer, width func() int) *Bar { return &Bar{out: out, width: width} }

// Close takes the bar away for good, for a process that ends without waiting for
// Run. What is written later passes through.
func (b *Bar) Close() {
	b.draw("")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// Write writes whole lines, such as of a log, above the bar.
func (b *Bar) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.drawn == "" {
		return b.out.Write(data)
	}
	if _, err := io.WriteString(b.out, eraseLine); err != nil {
		return 0, err
	}
	n, err := b.out.Write(data)
	if err == nil {
		b.drawn = b.fitted()
		_, err = io.WriteString(b.out, b.drawn)
	}
	return n, err
}

// draw replaces the line; an empty one takes it away.
func (b *Bar) draw(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.line = line
	if fitted := b.fitted(); fitted != b.drawn {
		b.drawn = fitted
		_, _ = io.WriteString(b.out, eraseLine+fitted) // a terminal that is gone needs no bar
	}
}

// fitted is the line, cut if it would fill the terminal's and so wrap.
func (b *Bar) fitted() string {
	runes := []rune(b.line)
	return string(runes[:min(len(runes), max(0, b.width()-1))])
}

// Run draws until everything that the tables had is published, or ctx ends, and
// then takes the bar away.
func (b *Bar) Run(ctx context.Context, source Source) {
	defer b.draw("")
	var c catchUp
	every := time.NewTicker(barPause)
	defer every.Stop()
	for {
		line, done := c.look(source.Overview(ctx, 0))
		if done || ctx.Err() != nil {
			return
		}
		b.draw(line)
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// catchUp is how far the first catch-up is.
type catchUp struct {
	seen bool // tablets have been
	at   []time.Time
	rows []int64
}

// look gives the line for an overview, empty when there is nothing to tell yet, and
// whether everything is published.
func (c *catchUp) look(o herder.Overview) (line string, done bool) {
	var rows, total int64
	var tablets, behind int
	shared := len(o.Connectors) > 0 // whether rows tell what share is published
	waiting := false                // a task may still bring tablets
	for i := range o.Connectors {
		connector := &o.Connectors[i]
		rows += connector.Rows
		total += connector.TableRows
		shared = shared && fromItsStart(connector)
		for _, t := range connector.Tasks {
			if t.State == failed || t.State == "PAUSED" {
				continue // it won't catch up before somebody acts
			}
			tablets += t.Tablets
			behind += t.Behind
			waiting = waiting || t.State == "RESTORING" || t.State == "UNASSIGNED" && connector.State == "RUNNING"
		}
	}
	if tablets == 0 {
		return "", c.seen && !waiting
	}
	c.seen = true
	if behind == 0 && !waiting {
		return "", true
	}
	c.at, c.rows = append(c.at, o.Time), append(c.rows, rows)
	for len(c.at) > 2 && o.Time.Sub(c.at[0]) > barWindow {
		c.at, c.rows = c.at[1:], c.rows[1:]
	}
	var rate float64
	if seconds := o.Time.Sub(c.at[0]).Seconds(); seconds > 0 {
		rate = max(0, float64(rows-c.rows[0])/seconds)
	}
	what := fmt.Sprintf("%s rows, %s rows/s, %d of %d tablets caught up", Count(float64(rows)), Count(float64(int64(rate))), tablets-behind, tablets)
	if !shared {
		return "catching up: " + what, false
	}
	part := float64(rows) / float64(total)
	const width = 20
	full := int(part * width)
	line = fmt.Sprintf("[%s%s] %3.0f%%  %s", strings.Repeat("#", full), strings.Repeat(".", width-full), part*100, what)
	if rate >= 1 {
		line += ", about " + span(int64(float64(total-rows)/rate*1000)) + " left"
	}
	return line, false
}
