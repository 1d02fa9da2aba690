package e2e

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// phase is what a task does at a moment, as its worker's log at level trace
// tells: each phase begins with a line.
type phase string

const (
	fencing   phase = "fencing"   // InitProducerID is under way
	restoring phase = "restoring" // the positions are being read
	opening   phase = "opening"   // the table is being opened, nothing is read yet
	scanning  phase = "scanning"  // a transaction is open and takes rows
	flushing  phase = "flushing"  // the last rows and the positions are under way
	ending    phase = "ending"    // EndTxn is under way
	settled   phase = "settled"   // between two transactions
	absent    phase = ""          // the task is not run here
)

// markers are the lines that phases begin with. Those about EndTxn are of the
// Kafka client; should they change, no kill would be counted as one in the
// phase ending, and the tests fail.
var markers = []struct {
	text  string
	phase phase
}{
	{": task begins:", fencing},
	{": predecessor fenced:", restoring},
	{": positions restored:", opening},
	{": transaction begun:", scanning},
	{": transaction ends:", flushing},
	{": ending transaction:", ending},
	{": end transaction response successfully received:", settled},
	{": transaction committed:", settled},
	{": task ended", absent},
	{": task restarts:", absent},
}

// phaseLine tells which phase of which task a line begins.
func phaseLine(line string) (task string, p phase, ok bool) {
	for _, m := range markers {
		if !strings.Contains(line, m.text) {
			continue
		}
		if strings.Contains(line, " commit=false ") { // the client ends aborted ones so too
			return "", absent, false
		}
		if _, rest, found := strings.Cut(line, " task="); found {
			task, _, _ = strings.Cut(rest, " ")
		} else if _, rest, found := strings.Cut(line, " transactional_id="); found {
			id, _, _ := strings.Cut(rest, " ")
			task = id[strings.LastIndexByte(id, '-')+1:]
		}
		return task, m.phase, task != ""
	}
	return "", absent, false
}

// phases tells what each of the worker's tasks did last.
func (w *worker) phases() map[string]phase {
	w.t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	now := make(map[string]phase)
	for line := range strings.Lines(string(text)) {
		task, p, ok := phaseLine(strings.TrimSuffix(line, "\n"))
		switch {
		case !ok, task == "plan": // the migration has a transactional id too, and is no task
		case p == absent:
			delete(now, task)
		default:
			now[task] = p
		}
	}
	return now
}

// hasLine looks for a line that matches among those logged by now, from an
// offset in the log on.
func (w *worker) hasLine(from int64, match func(line string) bool) (bool, error) {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text[min(from, int64(len(text))):])) {
		if match(strings.TrimSuffix(line, "\n")) {
			return true, nil
		}
	}
	return false, nil
}

// awaitPhase waits, from an offset in the log on, for the nth time that a task
// begins the phase. It gives the task and the offset behind the line.
func (w *worker) awaitPhase(from int64, nth int, within time.Duration, want ...phase) (task string, next int64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	_, next, err := w.WaitLineFrom(ctx, from, func(line string) bool {
		in, p, ok := phaseLine(line)
		for _, one := range want {
			if ok && p == one {
				task = in
				nth--
			}
		}
		return nth <= 0
	})
	if err != nil {
		w.t.Fatalf("waiting until a task is %s: %v", want, err)
	}
	return task, next
}

// newDice makes a test's choices. A failed test shows the seed that makes the
// same choices again.
func newDice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := seedOf(t)
	t.Logf("choices of K2K_SEED=%d", seed)
	name := fnv.New64a()
	fmt.Fprint(name, t.Name())
	return rand.New(rand.NewPCG(seed, name.Sum64()))
}

// seedOf is the seed that the environment gives, or a new one.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("K2K_SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("K2K_SEED: %v", err)
		}
		seed = given
	}
	return seed
}

// upTo is a moment from now to the longest.
func upTo(dice *rand.Rand, longest time.Duration) time.Duration {
	return time.Duration(dice.Int64N(int64(longest) + 1))
}

// lateRows are rows written while a test runs, in key order, each batch before
// the next, so that none comes behind the position of its tablet.
type lateRows struct {
	t     *testing.T
	rest  chan struct{} // closed to have the rest written at full speed
	hurry sync.Once
	done  chan struct{}
	// Both are set before done.
	written int64
	failed  error
}

// writeLate writes rows at the rate of the options until finish, however long that
// is; at finish so many as to be at least those that the options say.
func (s *stack) writeLate(t *testing.T, o testenv.GenerateOptions) *lateRows {
	l := &lateRows{t: t, rest: make(chan struct{}), done: make(chan struct{})}
	ctx := t.Context()
	go func() {
		defer close(l.done)
		l.written, l.failed = s.writeInSteps(ctx, o, l.rest)
	}()
	t.Cleanup(func() { <-l.done }) // the test's context has ended by now
	return l
}

func (s *stack) writeInSteps(ctx context.Context, o testenv.GenerateOptions, rest <-chan struct{}) (written int64, err error) {
	o.Ordered = true
	for hurried := false; !hurried; {
		step := o
		step.Rows = max(1, o.Rate/4)
		select {
		case <-rest:
			hurried = true
			if step.Rows, step.Rate = o.Rows-written, 0; step.Rows <= 0 {
				return written, nil
			}
		default:
		}
		if _, err := s.tool.Generate(ctx, step, nil); err != nil {
			return written, err
		}
		o.Start += step.Rows
		written += step.Rows
	}
	return written, nil
}

// underWay reports whether rows are still being written.
func (l *lateRows) underWay() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// finish writes what is left, waits for it, and gives how many rows there are.
func (l *lateRows) finish() int {
	l.t.Helper()
	l.hurry.Do(func() { close(l.rest) })
	<-l.done
	if l.failed != nil {
		l.t.Fatalf("writing rows during the test: %v", l.failed)
	}
	return int(l.written)
}

// ends are the ends of a topic's partitions, whatever is behind them: nothing
// that was produced until now is beyond.
type ends map[int32]int64

// mark notes where the topic ends now.
func (s *stack) mark(t *testing.T, topic string) ends {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatalf("listing the end of %s: %v", topic, err)
	}
	at := make(ends)
	listed.Each(func(o kadm.ListedOffset) { at[o.Partition] = o.Offset })
	return at
}

// before counts the records that were produced before the mark. A transaction
// that was open then counts in full if it was committed after all, so this is
// the most that can have been published.
func (e ends) before(records []published) int {
	n := 0
	for _, r := range records {
		if r.offset < e[r.partition] {
			n++
		}
	}
	return n
}
