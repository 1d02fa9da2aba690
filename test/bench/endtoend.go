package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// endToEnd runs the program on the whole table, into a new topic, until the
// stored positions, read with read_committed, cover every tablet's last row.
// The clock starts with the process. A consumer of the topic itself would take
// a good part of the two cores and measure itself.
func (b *bench) endToEnd(ctx context.Context, ref *reference, round int) (f figures, err error) {
	return b.runConnector(ctx, ref, fmt.Sprintf("e2e-%s-%d", ref.table, round), "", nil)
}

// runConnector is endToEnd with further lines of the connector's file; look, if
// not nil, sees the topic before it is dropped.
func (b *bench) runConnector(ctx context.Context, ref *reference, name, more string, look func(topic string) error) (f figures, err error) {
	drop, err := b.makeTopic(ctx, name)
	if err != nil {
		return f, err
	}
	defer drop()
	dir, err := os.MkdirTemp("", "k2k-bench-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	worker, connector := filepath.Join(dir, "worker.yaml"), filepath.Join(dir, "connector.yaml")
	files := map[string]string{
		worker: fmt.Sprintf("bootstrap.servers: %s\ngroup.id: %s\n", b.kafka.BootstrapServers(), name),
		connector: fmt.Sprintf("name: c\ntasks.max: %d\nkudu.masters: %s\nkudu.table: %s\nmode: offset\ntopic: %s\n%s",
			b.tasks, b.kudu.MasterArg(), ref.table, name, more),
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return f, err
		}
	}
	began := time.Now()
	p, err := testenv.StartProcess(testenv.Command{
		Name: "kudu2kafka", Path: b.binary, Args: []string{"run", worker, connector}, Log: filepath.Join(dir, "log"),
	})
	if err != nil {
		return f, err
	}
	defer func() { _ = p.Kill() }()
	if err := b.awaitPositions(ctx, name, ref, p); err != nil {
		return f, fmt.Errorf("%w; end of the log:\n%s", err, testenv.Tail(p.Log(), 30))
	}
	f.seconds = time.Since(began).Seconds()
	if f.cpu, f.memory, err = usage(p.Pid()); err != nil {
		return f, err
	}
	stop, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	if code, err := p.Terminate(stop); err != nil || code != 0 {
		return f, fmt.Errorf("the worker exited with code %d: %w", code, err)
	}
	b.dropTopics(name + "-c-offsets")
	if look != nil {
		err = look(name)
	}
	return f, err
}

// awaitPositions follows the offsets topic until all tablets are done.
func (b *bench) awaitPositions(ctx context.Context, group string, ref *reference, p *testenv.Process) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.kafka.BootstrapServers()), kgo.ConsumeTopics(group+"-c-offsets"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(250*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	done := make(map[string]bool)
	for len(done) < len(ref.last) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d tablets done: %w", len(done), len(ref.last), ctx.Err())
		}
		if !p.Running() {
			return fmt.Errorf("the worker ended with code %d", p.ExitCode())
		}
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			_, tablet, ok := offsets.TabletOf(r.Key)
			if !ok || r.Value == nil {
				return // the plan, or a position that was moved
			}
			pos, err := offsets.ParsePosition(r.Value)
			if err != nil {
				bad = err
				return
			}
			if ref.reached(tablet, pos.PrimaryKey) {
				done[tablet] = true
			}
		})
		if bad != nil {
			return bad
		}
	}
	return nil
}

// usage reads a process's CPU seconds and peak resident memory in MiB.
func usage(pid int) (cpu, peak float64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The program's name, in parentheses, may hold blanks.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const hertz = 100 // USER_HZ of every Linux port that Go runs on
	for _, i := range []int{11, 12} {
		ticks, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return 0, 0, err
		}
		cpu += ticks / hertz
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return cpu, kib / 1024, err
		}
	}
	return 0, 0, fmt.Errorf("no VmHWM in the status of process %d", pid)
}
