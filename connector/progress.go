package connector

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

// TabletProgress tells how far behind its table a tablet is in Kafka.
//
// Kudu doesn't tell how many rows lie behind a key without reading them, nor how
// far a scan has come. What is known for certain, and at no cost, is the snapshot
// of the last look at the tablet that has come to its end: everything up to there
// has been read. So lag is a time, and beside it is the yes or no of Behind.
type TabletProgress struct {
	Tablet string
	// Behind says that rows may wait: the last look has found some that aren't
	// committed yet, or has not come to its end; or the next look is overdue, since
	// Kudu doesn't answer, or the task isn't running or has too much to do.
	Behind bool
	// Lag is, while Behind, the age of the time up to which everything is committed
	// in Kafka; otherwise 0. By this machine's clock against the tablet servers'.
	//
	// A worker that takes a task over knows that time from the stored position: it
	// is the snapshot of the last row that was committed. If the tablet had nothing
	// new for a while that is longer ago than need be, until the first look has
	// ended; if it had a backlog, rows from before it may wait too. Without a stored
	// position Lag counts from the tablet's assignment.
	Lag time.Duration
	// KeyLag is, while Behind, the age of the time in the first column of the
	// streaming key of the last row committed; otherwise 0. Valid with HasKey, when
	// that column is a time and a row was committed.
	KeyLag time.Duration
	HasKey bool
	// Headroom is how long what is still to be read of the tablet's past remains in
	// the history that Kudu keeps: all of the history when nothing is. Below zero
	// it is gone.
	Headroom time.Duration
	// Resumed says that this worker's task went on from a stored position when it
	// came to read the tablet, so that what it has committed since isn't all.
	Resumed bool
	// History is how long Kudu keeps history: by the table's setting, or without
	// one what is the servers' by default.
	History time.Duration
}

const (
	// overdueAfter is how long after its time a look is taken for late. A short
	// delay is common, while the task's other tablets are read.
	overdueAfter = 5 * time.Second

	// historyKey is the table's setting for how long Kudu keeps history, in seconds;
	// defaultHistory is the tablet servers' --tablet_history_max_age_sec
	// (kudu-1.18.1 src/kudu/tablet/tablet.cc), which a client can't ask for.
	historyKey     = "kudu.table.history_max_age_sec"
	defaultHistory = 7 * 24 * time.Hour
)

// progress is where a task stands in its tablets, for those who ask. It outlives
// the task's runs. Safe for concurrent use; the nil *progress notes nothing.
type progress struct {
	mu      sync.Mutex
	tablets map[string]*tabletMark
	all     []*tabletMark // in the order of the table
	order   *order
	keyTime bool // the order's first column is a time
	journal bool // what is to be read again is told by keeps
	history time.Duration
}

// tabletMark is where one tablet stands.
type tabletMark struct {
	id string
	// since is when this worker began to look after the tablet.
	since time.Time
	// resumed says that there was a stored position then.
	resumed bool
	// committed is the time up to which all rows are in Kafka; read is the time up
	// to which all have been handed to the task. Zero: not known.
	committed, read kudu.Timestamp
	// open says that the task's transaction has rows that aren't committed yet.
	open bool
	// drained says that the last look has come to its end; due is when the next
	// one is.
	drained bool
	due     time.Time
	// hwm is the order key of the last row committed; nil without.
	hwm []byte
	// reading is the snapshot of the look under way; past is the oldest that is to
	// be read again. Zero without.
	reading, past kudu.Timestamp
}

func newProgress() *progress { return &progress{tablets: make(map[string]*tabletMark)} }

// begin takes up what a run reads, from where it begins; committed tells the time
// in a tablet's stored position. Marks of tablets that the task had before stay,
// unless they were put back.
func (p *progress) begin(readers []*tabletReader, o *order, history time.Duration, now time.Time, committed func(tablet string) kudu.Timestamp) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.order, p.history = o, history
	first := o.columns[0].Type
	p.keyTime = first == kudu.UnixtimeMicros || first == kudu.Date
	before := p.tablets
	p.tablets, p.all = make(map[string]*tabletMark, len(readers)), nil
	for _, r := range readers {
		m := before[r.id]
		if m == nil || bytes.Compare(r.hwm, m.hwm) < 0 {
			m = &tabletMark{id: r.id, since: now, committed: committed(r.id)}
			m.resumed = m.committed != 0 || r.hwm != nil
		}
		m.hwm, m.open, m.drained, m.read, m.reading = r.hwm, false, false, 0, 0
		m.past = r.oldest()
		p.tablets[r.id], p.all = m, append(p.all, m)
		r.marks = []*tabletMark{m}
	}
}

// allMarks are those of all tablets, for a reader that stands for them.
func (p *progress) allMarks() []*tabletMark {
	if p == nil {
		return nil
	}
	return p.all
}

// historyOf is how long Kudu keeps the table's history.
func historyOf(table *kudu.Table) time.Duration {
	if text, ok := table.ExtraConfig(historyKey); ok {
		if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
			return time.Duration(seconds) * time.Second
		}
	}
	return defaultHistory
}

// found: a look has found rows at a snapshot.
func (p *progress) found(marks []*tabletMark, snapshot kudu.Timestamp) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range marks {
		m.drained, m.reading = false, snapshot
	}
}

// looked: a look has ended, and the next is due at a time. drained says that it
// has come to its end, at this snapshot.
func (p *progress) looked(r *tabletReader, drained bool, due time.Time) {
	if p == nil {
		return
	}
	past := r.oldest()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range r.marks {
		m.reading, m.due, m.drained = 0, due, drained
		if len(r.marks) == 1 && !p.journal {
			m.past = past
		}
		if !drained {
			continue
		}
		m.read = max(m.read, r.shown)
		if !m.open {
			m.committed = max(m.committed, m.read)
		}
	}
}

// produced: the transaction holds rows of the tablet.
func (p *progress) produced(r *tabletReader) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.tablets[r.id]; m != nil {
		m.open = true
	}
}

// commit: the transaction with these points is committed.
func (p *progress) commit(points map[string]point) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for tablet, at := range points {
		if m := p.tablets[tablet]; m != nil {
			m.commit()
			if at.key != nil {
				m.hwm = at.key
			}
		}
	}
}

// commitAll: all that was handed to the task is committed.
func (p *progress) commitAll() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.all {
		m.commit()
	}
}

// keeps: these are the oldest snapshots that the tablets are to be read at again;
// the others are not.
func (p *progress) keeps(past map[string]kudu.Timestamp) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.journal = true
	for _, m := range p.all {
		m.past = past[m.id]
	}
}

// commit: all that was handed to the task is in Kafka.
func (m *tabletMark) commit() {
	m.open = false
	m.committed = max(m.committed, m.read)
}

// look tells where each tablet stands.
func (p *progress) look(now time.Time, each func(TabletProgress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.all {
		each(p.tell(m, now))
	}
}

// tell is where one tablet stands. The caller holds the lock.
func (p *progress) tell(m *tabletMark, now time.Time) TabletProgress {
	t := TabletProgress{Tablet: m.id, Resumed: m.resumed, Headroom: p.history, History: p.history}
	t.Behind = m.open || !m.drained || now.Sub(m.due) > overdueAfter
	hwm, hasTime := p.timeOf(m.hwm)
	t.HasKey = hasTime
	if t.Behind {
		from := m.since
		if m.committed != 0 {
			from = m.committed.Time()
		}
		t.Lag = max(0, now.Sub(from))
		if hasTime {
			t.KeyLag = max(0, now.Sub(hwm))
		}
	}
	for _, at := range []kudu.Timestamp{m.reading, m.past} {
		if at != 0 {
			t.Headroom = min(t.Headroom, p.history-now.Sub(at.Time()))
		}
	}
	return t
}

// position is the order key of the last row of a tablet that was committed, as
// JSON; empty without.
func (p *progress) position(tablet string) string {
	if p == nil {
		return ""
	}
	p.mu.Lock()
	m, o := p.tablets[tablet], p.order
	var key []byte
	if m != nil {
		key = m.hwm
	}
	p.mu.Unlock()
	if key == nil {
		return ""
	}
	values, err := kudu.DecodeKey(o.columns, key)
	if err != nil {
		return ""
	}
	columns := o.columns
	if !o.prefix { // the primary key behind it only breaks ties
		columns, values = o.streaming, values[:len(o.streaming)]
	}
	text, err := serde.MarshalValues(columns, values)
	if err != nil {
		return ""
	}
	return string(text)
}

// timeOf is the time that an order key begins with, if it does.
func (p *progress) timeOf(key []byte) (time.Time, bool) {
	if !p.keyTime || key == nil {
		return time.Time{}, false
	}
	first := p.order.columns[:1]
	v, err := kudu.DecodeKey(first, key[:min(len(key), first[0].Type.Size())])
	if err != nil {
		return time.Time{}, false
	}
	n, _ := v[0].(int64) // a time is one
	if first[0].Type == kudu.Date {
		return time.Unix(n*86400, 0), true
	}
	return time.UnixMicro(n), true
}

// oldest is the oldest snapshot that is to be read again: what a repair of late
// rows or a walk begins from; zero without.
func (r *tabletReader) oldest() kudu.Timestamp {
	var at kudu.Timestamp
	for _, s := range r.covered {
		if at == 0 || s.at < at {
			at = s.at
		}
	}
	if r.walk != nil && r.walk.snapshot != 0 && (at == 0 || r.walk.snapshot < at) {
		at = r.walk.snapshot
	}
	return at
}
