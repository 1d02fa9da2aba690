package connector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/extsort"
	"github.com/kudu2kafka/kudu2kafka/internal/grace"
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// instance is one connector on this worker: its clients, its membership, and
// the tasks it was assigned.
type instance struct {
	cfg    Config
	worker WorkerConfig
	kafka  kafka.Options
	kudu   *kudu.Client
	// migrating is held by the task that moves positions.
	migrating sync.Mutex
	// catalog is the table as all tasks see it.
	catalog *catalog
	sorts   *extsort.Budget
	// throttles are of mode sweep.
	throttles throttles
	board     *statusBoard
	seen      ConnectorObserver
	steer     *steering // nil: nobody steers it
	// forGood says that the membership is given up also by a static member.
	forGood atomic.Bool
	logger  hclog.Logger
}

// newInstance makes a connector that nobody steers.
func newInstance(cfg Config, worker WorkerConfig, logger hclog.Logger, observer Observer) (*instance, error) {
	board := newStatusBoard()
	seen := observer.Connector(cfg.Name, func() Status { return board.snapshot(cfg.Name) })
	i, err := newInstanceOn(board, seen, cfg, worker, logger)
	if err != nil {
		seen.Close()
		return nil, err
	}
	return i, nil
}

func newInstanceOn(board *statusBoard, seen ConnectorObserver, cfg Config, worker WorkerConfig, logger hclog.Logger) (*instance, error) {
	logger = logger.With("connector", cfg.Name)
	kuduConfig := KuduConfig(cfg, logger)
	kuduConfig.Hook = seen.KuduHook()
	client, err := kudu.New(kuduConfig)
	if err != nil {
		return nil, err
	}
	extsort.Sweep(cfg.SortDirectory) // what a killed process may have left
	return &instance{
		sorts: extsort.NewBudget(cfg.SortMemory), throttles: throttles{rate: cfg.SweepRate},
		cfg: cfg, worker: worker, kudu: client, catalog: newCatalog(client, cfg.KuduTable), board: board, seen: seen, logger: logger,
		kafka: KafkaOptions(worker, logger, seen.KafkaHooks()...),
	}, nil
}

// KafkaOptions is how the clients of a worker reach Kafka.
func KafkaOptions(worker WorkerConfig, logger hclog.Logger, hooks ...kgo.Hook) kafka.Options {
	return kafka.Options{
		BootstrapServers: worker.BootstrapServers, Security: worker.kafkaSecurity(), ClientID: worker.ClientID,
		Logger: logger.Named("kafka"), Hooks: hooks,
	}
}

// close gives up what newInstance made.
func (i *instance) close() {
	i.disconnect()
	i.seen.Close()
}

// disconnect gives up the connections alone.
func (i *instance) disconnect() { _ = i.kudu.Close() }

// run takes part in the connector's work until ctx ends. Failures of tasks stay
// with the tasks.
func (i *instance) run(ctx context.Context) error {
	if i.worker.StartsAlone() && i.awaitTable(ctx) != nil {
		return nil // stopped before anything was begun
	}
	if err := i.prepare(ctx); err != nil {
		return err
	}
	g, err := i.join()
	if err != nil {
		return err
	}
	var watching sync.WaitGroup
	farewell, forget := grace.Outlive(ctx, context.WithoutCancel(ctx), leftWithin)
	defer forget()
	watchCtx, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	denied := make(chan error, 1)
	i.board.set(Running, nil)
	watching.Go(func() {
		var told refusalLog
		g.watch(watchCtx, func(err error) {
			if errors.As(err, new(*kafka.DeniedError)) {
				select {
				case denied <- err:
				default:
				}
				return
			}
			var session *kgo.ErrGroupSession
			if errors.As(err, &session) || kafka.Refused(err) != nil {
				i.board.set(Restarting, err) // nothing runs until the group can be reached
			} else {
				i.board.note(err)
			}
			i.logger.Log(told.level(err, time.Now()), "group membership", "error", err)
		})
	})
	watching.Go(func() { i.catalog.watch(watchCtx, i.cfg.KuduRefresh) })
	watching.Go(func() { i.watchSize(watchCtx) })
	i.logger.Info("connector started", "table", i.cfg.KuduTable, "topic", i.cfg.TopicName(), "tasks", i.cfg.TasksMax)
	select {
	case <-ctx.Done():
	case err = <-denied: // the client would ask each second, and be denied
	}
	g.leave(farewell, i.forGood.Load())
	stopWatching()
	watching.Wait()
	i.board.set(Unassigned, nil)
	i.logger.Info("connector stopped")
	return err
}

// refusalLog keeps a refusal that comes again and again, each second from the group's
// client, from filling the log: it is told once a minute.
type refusalLog struct {
	what string
	at   time.Time
}

func (l *refusalLog) level(err error, now time.Time) hclog.Level {
	refused := kafka.Refused(err)
	if refused == nil {
		return hclog.Warn
	}
	if refused.What == l.what && now.Sub(l.at) < time.Minute {
		return hclog.Debug
	}
	l.what, l.at = refused.What, now
	return hclog.Warn
}

// join becomes a member of the connector's group; assigned tasks run under
// supervisors.
func (i *instance) join() (*group, error) {
	var g *group
	ready := make(chan struct{})
	opts := groupOptions{
		kafka: i.kafka, id: i.cfg.GroupID(i.worker.GroupID), topic: i.cfg.OffsetsTopic(i.worker.GroupID),
		tasks: int32(i.cfg.TasksMax), session: i.worker.SessionTimeout, heartbeat: i.worker.HeartbeatInterval, rebalance: i.worker.RebalanceTimeout,
		instance: i.worker.GroupInstanceID, logger: i.logger, rebalanced: i.seen.Rebalanced,
		joined: func() { i.board.set(Running, nil) }, // whatever the group had to report is over
		runTask: func(ctx context.Context, id int32) {
			<-ready
			seen := i.observe(id)
			defer i.unobserve(id, seen)
			i.board.claim(id, g.generation())
			s := &supervisor{
				task: id, delayMax: i.cfg.RetryDelayMax, board: i.board, logger: i.logger.With("task", id),
				confirm: g.confirm, steer: i.steer, mended: i.askAgain,
				bound: stallBound(i.cfg),
				seen:  seen,
				run:   func(ctx context.Context, alive func(), w *waits) error { return i.runTask(ctx, id, alive, w, seen) },
			}
			s.supervise(ctx)
		},
	}
	var err error
	g, err = joinGroup(opts)
	close(ready)
	return g, err
}

// askAgain ends the pauses after refusals: an operator has restarted a task.
func (i *instance) askAgain() {
	i.kudu.AskAgain()
	i.kafka.AskAgain()
}

// observe begins to tell of a task, from its assignment to this worker until
// unobserve.
func (i *instance) observe(id int32) observed {
	p := newProgress()
	seen := observed{to: bytesCounted{i.seen.Task(id, p.look), i.board, id}, progress: p}
	i.board.observe(id, seen)
	return seen
}

func (i *instance) unobserve(id int32, seen observed) {
	i.board.unobserve(id, seen)
	seen.to.Close()
}

// bytesCounted has the board count the bytes that are committed.
type bytesCounted struct {
	TaskObserver
	board *statusBoard
	task  int32
}

// Transaction has ended.
func (c bytesCounted) Transaction(e TransactionEnd) {
	if e.Outcome == OutcomeCommitted {
		c.board.addBytes(c.task, e.Bytes)
	}
	c.TaskObserver.Transaction(e)
}

// tablePause is the longest pause between two looks for a table that isn't there.
const tablePause = 5 * time.Second

// awaitTable waits until Kudu has the table. An error is that of ctx; any other that
// Kudu gives is left to the tasks, which tell those apart that may pass.
func (i *instance) awaitTable(ctx context.Context) error {
	longest := min(tablePause, i.cfg.RetryDelayMax)
	pace := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(min(firstRestartPause, longest)), backoff.WithMaxInterval(longest), backoff.WithMaxElapsedTime(0),
	)
	// The first attempt is short, so that the status soon tells what is waited for.
	for within := firstLook; ; within = checkTimeout {
		attempt, cancel := context.WithTimeout(ctx, within)
		_, err := i.kudu.OpenTable(attempt, i.cfg.KuduTable)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || refused(err) && !errors.Is(err, kudu.ErrTableNotFound) {
			return nil
		}
		i.board.set(Restarting, err)
		wait := pace.NextBackOff()
		i.logger.Warn("waiting for the table", "table", i.cfg.KuduTable, "again_in", wait.Round(time.Millisecond), "error", err)
		if pause(ctx, wait) != nil {
			return ctx.Err()
		}
	}
}

// prepare makes sure that both topics are there and that positions are where
// this configuration looks for them, waiting for Kafka if need be.
func (i *instance) prepare(ctx context.Context) error {
	pace := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(min(firstRestartPause, i.cfg.RetryDelayMax)),
		backoff.WithMaxInterval(i.cfg.RetryDelayMax), backoff.WithMaxElapsedTime(0),
	)
	for refusedTimes := 0; ; {
		err := i.ensureTopics(ctx)
		if err == nil {
			err = i.adoptPlan(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		refusedTimes++
		if !refused(err) {
			refusedTimes = 0
		}
		if fatal(err) || refusedTimes == refusals {
			return err
		}
		wait := pace.NextBackOff()
		i.board.set(Restarting, err)
		level := hclog.Warn
		if errors.Is(err, errOvertaken) {
			level = hclog.Info
		}
		i.logger.Log(level, "preparing the topics", "again_in", wait.Round(time.Millisecond), "error", err)
		if pause(ctx, wait) != nil {
			return ctx.Err()
		}
	}
}

func (i *instance) ensureTopics(ctx context.Context) error {
	client, err := kgo.NewClient(i.kafka.Within(ctx)...)
	if err != nil {
		return &FatalError{fmt.Errorf("connecting to Kafka: %w", err)}
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	positions := i.cfg.OffsetsTopic(i.worker.GroupID)
	sure, err := offsets.EnsureTopic(ctx, adm, positions, int32(i.cfg.TasksMax), i.worker.OffsetsReplicationFactor)
	if err != nil {
		return kafka.Classify(i.kafka.As(err))
	}
	if !sure {
		i.logger.Warn("not known whether the offsets topic is compacted, without which Kafka deletes positions in time: grant DESCRIBE_CONFIGS on it, or make sure", "topic", positions)
	}
	if !i.worker.TopicCreationEnable {
		return nil
	}
	_, err = kafka.EnsureTopic(ctx, adm, i.cfg.TopicName(), i.cfg.TopicPartitions, i.cfg.TopicReplicationFactor, i.cfg.TopicConfigs,
		kafka.TopicRights(i.cfg.TopicName(), "WRITE")...)
	return i.kafka.As(err)
}

// runTask is one run of a task: fence, restore, publish.
func (i *instance) runTask(ctx context.Context, id int32, alive func(), w *waits, seen observed) error {
	if int(id) >= i.cfg.TasksMax {
		// A partition that is left from a time of more tasks: it holds nothing.
		i.board.setTask(id, Unassigned, nil)
		<-ctx.Done()
		return nil
	}
	logger := i.logger.With("task", id)
	logger.Trace("task begins")
	waiting := w.begin("Kafka to fence the task's previous owner")
	p, err := openProducer(ctx, i.producerOptions(id)) // I3: before positions are read
	waiting.end()
	if err != nil {
		return err
	}
	defer p.close()
	logger.Trace("predecessor fenced")
	waiting = w.begin("the stored positions")
	stored, err := offsets.Load(ctx, i.kafka.Within(ctx), i.cfg.OffsetsTopic(i.worker.GroupID), id, i.cfg.Name)
	waiting.end()
	if err != nil {
		return kafka.Classify(i.kafka.As(err))
	}
	logger.Trace("positions restored", "tablets", len(stored.Positions))
	if err := i.checkNames(stored.Others); err != nil {
		return err
	}
	if err := i.checkPlan(ctx, id, stored); err != nil {
		return err
	}
	if i.cfg.Mode == modeSweep {
		return i.runSweep(ctx, id, p, stored, alive, logger, w, seen)
	}
	if err := noJournals(stored); err != nil {
		return err
	}
	t, closeSource, err := i.newTask(ctx, id, p, stored, logger, w, seen)
	if err != nil {
		return err
	}
	defer closeSource()
	t.committed = func(rows int64) {
		alive()
		i.board.addRows(id, rows)
	}
	t.completed = func() {
		i.board.setTask(id, Completed, nil)
		logger.Info("task completed: everything before offset.stop is published")
	}
	i.board.set(Running, nil) // whatever there was to report is over
	i.board.setTask(id, Running, nil)
	return t.loop(ctx)
}

// newTask opens the table and starts the source that reads the task's tablets.
func (i *instance) newTask(ctx context.Context, id int32, p *producer, stored *offsets.Loaded, logger hclog.Logger, w *waits, seen observed) (*task, func(), error) {
	waiting := w.begin("the table's tablets")
	state, err := i.catalog.since(ctx, stored.ReadAt)
	waiting.end()
	if err != nil {
		return nil, nil, err
	}
	table := state.table
	plan, err := planRead(i.cfg, table.Schema())
	if err != nil {
		return nil, nil, &FatalError{err}
	}
	tablets := state.tabletsOf(id, i.cfg)
	byTablet := make(map[string]offsets.Position)
	for key, pos := range stored.Positions {
		if key.Table != i.cfg.KuduTable {
			continue
		}
		if pos.TableID != "" && pos.TableID != table.ID() {
			return nil, nil, anotherTable(table, pos.TableID)
		}
		byTablet[key.Tablet] = pos
	}
	src, err := startOffsetSource(ctx, offsetOptions{
		reading: reading{
			table: table, client: i.kudu, plan: plan, batchBytes: int(i.cfg.KuduScanBatchBytes),
			settle: i.cfg.SettleDelay, leftOutRows: leftOutRows, logger: logger, waits: w, seen: seen,
			late: lateRows{repair: i.cfg.LateRows == lateRepair, interval: i.cfg.LateRowsInterval, guard: i.cfg.SnapshotGuard},
		},
		tablets: tablets, stored: byTablet, gone: state.gone, scope: i.cfg.OrderScope, order: i.cfg.Order,
		sorting: sorting{budget: i.sorts, directory: i.cfg.SortDirectory},
		pace:    pollPace{interval: i.cfg.PollInterval, max: i.cfg.PollMax},
	})
	if err != nil {
		return nil, nil, err
	}
	logger.Info("task runs", "tablets", len(tablets), "restored", len(byTablet))
	return &task{
		id: id, name: i.cfg.Name, table: i.cfg.KuduTable, topic: i.cfg.TopicName(),
		offsets: i.cfg.OffsetsTopic(i.worker.GroupID),
		limits: limits{
			rows: i.cfg.TransactionMaxRows, bytes: i.cfg.TransactionMaxBytes, age: i.cfg.TransactionBoundaryInterval,
		},
		encoder: plan.encoder, headers: i.cfg.HeadersEnable, tsColumn: plan.timestamp, logger: logger,
		producer: p, source: src, changed: state.changed, waits: w, seen: seen,
	}, src.Close, nil
}

func (i *instance) producerOptions(id int32) producerOptions {
	return producerOptions{
		Kafka:              i.kafka,
		TransactionalID:    i.cfg.TransactionalID(i.worker.GroupID, id),
		OffsetsTopic:       i.cfg.OffsetsTopic(i.worker.GroupID),
		TransactionTimeout: i.cfg.TransactionTimeout,
		StopTimeout:        max(i.worker.TaskShutdownTimeout, time.Millisecond), // 0 would mean the default
		Linger:             i.cfg.ProducerLinger,
		Compression:        i.cfg.ProducerCompression,
		BatchMaxBytes:      int32(i.cfg.ProducerBatchBytes),
		MaxRequestBytes:    int32(i.cfg.ProducerRequestBytes),
		MaxBufferedBytes:   max(leastBuffer, bufferBudgetOf(i.cfg.Mode)/i.cfg.TasksMax),
	}
}

// bufferBudget is what a connector's tasks together may have produced and not
// yet acknowledged, if all of them run in one worker. A broker that takes 200
// MB/s needs a few MiB of it to stay busy; the rest evens out its pauses.
const (
	bufferBudget = 32 << 20
	leastBuffer  = 2 << 20
)

// bufferBudgetOf leaves room for the journal in mode sweep.
func bufferBudgetOf(mode string) int {
	if mode == modeSweep {
		return bufferBudget / 2
	}
	return bufferBudget
}
