package herder

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

const (
	// tellPause is the least time between two tellings of changed states.
	tellPause = 200 * time.Millisecond
	// countPause is that between two of counters only.
	countPause = 5 * time.Second
	// farewellTimeout bounds the deletion of what a worker has told, which only
	// saves the others a wait.
	farewellTimeout = time.Second
	// endedWithin is when a worker has said all in any case, counted from the stop, also
	// if its connectors took their time: the process is to end within 10 s.
	endedWithin = 8500 * time.Millisecond
	// silence is how long a worker must be gone before the others delete what it
	// has told.
	silence = time.Hour
)

// heartbeat is the time between two signs of life.
func (h *Herder) heartbeat() time.Duration {
	return min(h.config.HeartbeatInterval, h.config.SessionTimeout/3)
}

// tell has the report goroutine look for what is new.
func (h *Herder) tell() {
	select {
	case h.dirty <- struct{}{}:
	default:
	}
}

func (h *Herder) statusRecord(key string, value []byte) *kgo.Record {
	return &kgo.Record{Topic: h.config.StatusTopic(), Key: []byte(key), Value: value}
}

func (h *Herder) signOfLife() (*kgo.Record, error) {
	value, err := encodeJSON(workerV1{recordVersion, h.id})
	if err != nil {
		return nil, fmt.Errorf("encoding a sign of life: %w", err)
	}
	return h.statusRecord(workerKey+h.uid, value), nil
}

// pulse gives signs of life until ctx ends, and looks whether the config topic is
// being read.
func (h *Herder) pulse(ctx context.Context) {
	every := time.NewTicker(h.heartbeat())
	defer every.Stop()
	for {
		h.beat(ctx)
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func (h *Herder) beat(ctx context.Context) {
	h.tidyTurn()
	ctx, cancel := context.WithTimeout(ctx, h.heartbeat())
	defer cancel()
	sign, err := h.signOfLife()
	records := []*kgo.Record{sign}
	h.mu.Lock()
	for _, p := range h.dead(time.Now()) {
		for name := range p.reports {
			records = append(records, h.statusRecord(statusConnectorKey+name+":"+p.uid, nil))
		}
		records = append(records, h.statusRecord(workerKey+p.uid, nil))
	}
	h.mu.Unlock()
	if err == nil {
		err = h.bus.send(ctx, records...)
	}
	if err != nil {
		h.logger.Debug("giving a sign of life", "error", err)
		return
	}
	reached, err := h.bus.reached(ctx, h.config.ConfigTopic())
	if err == nil && !reached {
		// Something has just been written, or the topic ends in a gap, or it isn't
		// being read: a mark tells.
		err = h.mark(ctx)
		reached = err == nil
	}
	if err != nil {
		err = h.kafka.As(kafka.Denied(err, kafka.TopicRights(h.config.ConfigTopic(), "READ")...))
		h.bus.judge("reading "+h.config.ConfigTopic(), err)
		h.logger.Debug("looking at the config topic", "error", err)
	}
	if reached {
		h.mu.Lock()
		h.current = time.Now()
		h.mu.Unlock()
	}
}

// gap is how long a worker may see no sign of life of its own until it is cut off from
// Kafka, or slept.
func (h *Herder) gap() time.Duration { return max(3*h.heartbeat(), h.config.SessionTimeout) }

// dead are the workers whose reports can go, none if this worker wasn't there itself to
// see that they are silent. The caller holds the lock.
func (h *Herder) dead(now time.Time) []*peer {
	if now.Sub(h.echoed) > h.gap() || now.Sub(h.hearing) <= silence {
		return nil
	}
	return h.peers.buried(now)
}

// ownReport is the connector that a record of the status topic tells of, if it is this
// worker's.
func (h *Herder) ownReport(key string) (name string, is bool) {
	rest, is := strings.CutPrefix(key, statusConnectorKey)
	if !is {
		return "", false
	}
	return strings.CutSuffix(rest, ":"+h.uid)
}

// forget takes out of what was told what others have deleted: they took this worker for
// dead.
func (h *Herder) forget(told map[string]report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.erased {
		delete(told, name)
	}
	clear(h.erased)
}

// report tells the other workers what the connectors do here, until ctx ends:
// changed states at once, counters from time to time, and nothing when nothing
// happens.
func (h *Herder) report(ctx context.Context) {
	counters := time.NewTicker(countPause)
	defer counters.Stop()
	told := make(map[string]report)
	for pause := tellPause; ; {
		counts := false
		select {
		case <-ctx.Done():
			return
		case <-h.dirty:
		case <-counters.C:
			counts = true
		}
		h.forget(told)
		attempt, cancel := context.WithTimeout(ctx, deliveryTimeout)
		err := h.tellNews(attempt, told, counts)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			h.logger.Debug("telling the group what is new", "error", err)
			h.tell()
			pause = min(2*pause, countPause)
		} else {
			pause = tellPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// tellNews writes what differs from what was told.
func (h *Herder) tellNews(ctx context.Context, told map[string]report, counts bool) error {
	news := make(map[string]report)
	var records []*kgo.Record
	gone := make(map[string]bool, len(told))
	for name := range told {
		gone[name] = true
	}
	for _, now := range h.ownReports() {
		name, now := now.connector, now.report
		delete(gone, name)
		before, is := told[name]
		if is && now.shows(before) && !(counts && now.counts(before)) {
			continue
		}
		value, err := encodeJSON(now)
		if err != nil {
			return fmt.Errorf("encoding a report: %w", err)
		}
		news[name] = now
		records = append(records, h.statusRecord(statusConnectorKey+name+":"+h.uid, value))
	}
	for name := range gone {
		records = append(records, h.statusRecord(statusConnectorKey+name+":"+h.uid, nil))
	}
	topics, err := h.newTopics()
	if err != nil {
		return err
	}
	if records = append(records, topics...); len(records) == 0 {
		return nil
	}
	if err := h.bus.send(ctx, records...); err != nil {
		return err
	}
	for name, r := range news {
		told[name] = r
	}
	for name := range gone {
		delete(told, name)
	}
	return nil
}

// shownFile is a connector's file as others may see it, nil if it has none.
func (h *Herder) shownFile(name string) map[string]string {
	f, is := h.files[name]
	if !is {
		return nil
	}
	return mask(f.Source.Settings())
}

// newTopics are the records of topics that connectors have begun to write to.
func (h *Herder) newTopics() ([]*kgo.Record, error) {
	if !h.config.TopicTrackingEnable {
		return nil, nil
	}
	rows := make(map[string]int64)
	for _, s := range h.worker.Status() {
		for _, t := range s.Tasks {
			rows[s.Connector] += t.Rows
		}
	}
	value, err := encodeJSON(topicV1{recordVersion, time.Now().UTC().Round(time.Millisecond)})
	if err != nil {
		return nil, fmt.Errorf("encoding a topic: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var records []*kgo.Record
	for name, cfg := range h.configs {
		if rows[name] == 0 {
			delete(h.counted, name) // it counts anew
		}
		if topic := cfg.TopicName(); rows[name] > h.counted[name] && !h.peers.topics[name][topic] {
			records = append(records, h.statusRecord(statusTopicKey+topic+ofConnector+name, value))
		}
	}
	return records, nil
}

// farewell deletes what this worker has told, once it has ended.
func (h *Herder) farewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	records := []*kgo.Record{h.statusRecord(workerKey+h.uid, nil)}
	h.mu.Lock()
	if own := h.peers.all[h.uid]; own != nil {
		for name := range own.reports {
			records = append(records, h.statusRecord(statusConnectorKey+name+":"+h.uid, nil))
		}
	}
	h.mu.Unlock()
	if err := h.bus.send(ctx, records...); err != nil {
		h.logger.Debug("taking leave of the group", "error", err)
	}
}

// Health says whether this worker can do its part.
func (h *Herder) Health(context.Context) Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := h.gap()
	// The config topic is written only when something is asked for.
	denied := h.bus.denial("reading "+h.config.ConfigTopic(), "reading "+h.config.StatusTopic(), "writing "+h.config.StatusTopic())
	switch now := time.Now(); {
	case !h.begun:
		return Health{"starting", "Worker is still starting up: " + h.step + "."}
	case denied != nil:
		return Health{"unhealthy", fmt.Sprintf("Kafka denies what this worker needs to follow its group: %v.", denied)}
	case now.Sub(h.echoed) > limit:
		return Health{"unhealthy", fmt.Sprintf("Kafka can't be reached: for %v this worker has not seen a sign of life that it wrote to topic %s.",
			now.Sub(h.echoed).Round(time.Second), h.config.StatusTopic())}
	case now.Sub(h.current) > limit:
		return Health{"unhealthy", fmt.Sprintf("The config topic %s could not be read to its end for %v.",
			h.config.ConfigTopic(), now.Sub(h.current).Round(time.Second))}
	}
	return Health{"healthy", "Worker has completed startup and is ready to handle requests."}
}

// workersOf are all live workers, this one by what it knows of itself, as they do a
// connector. The caller holds the lock.
func (h *Herder) workersOf(name string) []*peer {
	self := &peer{uid: h.uid, id: h.id, reports: make(map[string]report)}
	for _, s := range h.worker.Status() {
		if s.Connector == name {
			self.reports[name] = reportOf(s, nil)
		}
	}
	all := []*peer{self}
	for _, p := range h.peers.alive(time.Now()) {
		if p.uid != h.uid {
			all = append(all, p)
		}
	}
	return all
}
