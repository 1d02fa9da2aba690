package herder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// status merges what the workers say. The caller holds the lock.
func (h *Herder) status(name string) (ConnectorStatus, error) {
	if properties, _ := h.settings(name); properties == nil {
		return ConnectorStatus{}, notFound("No status found for connector %s", name)
	}
	s := merge(name, h.tasksMax(name), h.workersOf(name))
	s.Connector.Version = h.version.Version
	for n := range s.Tasks {
		s.Tasks[n].Version = h.version.Version
	}
	return s, nil
}

// Status is the state of a connector and its tasks over all workers.
func (h *Herder) Status(_ context.Context, name string) (ConnectorStatus, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.ready(); err != nil {
		return ConnectorStatus{}, err
	}
	return h.status(name)
}

// TaskStatus is the state of one task.
func (h *Herder) TaskStatus(ctx context.Context, name string, task int) (TaskStatus, error) {
	s, err := h.Status(ctx, name)
	var refused *Error
	if err != nil && !(errors.As(err, &refused) && refused.Kind == NotFound) {
		return TaskStatus{}, err
	}
	if task < 0 || task >= len(s.Tasks) {
		return TaskStatus{}, notFound("No status found for task %s-%d", name, task)
	}
	return s.Tasks[task], nil
}

// SetTarget says what a connector is to be, now and after restarts of workers.
func (h *Herder) SetTarget(ctx context.Context, name string, target TargetState) error {
	if err := h.refresh(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	properties, _ := h.settings(name)
	h.mu.Unlock()
	if properties == nil {
		return notFound("Unknown connector %s", name)
	}
	switch target {
	case TargetRunning, TargetPaused, TargetStopped:
	default:
		return &Error{Kind: Invalid, Message: fmt.Sprintf("There is no target state %q", target)}
	}
	return h.write(ctx, change{kind: targetKey, name: name, target: connector.Target(target)})
}

// Restart restarts a connector that has failed, and with includeTasks its tasks,
// on whichever workers they are.
func (h *Herder) Restart(ctx context.Context, name string, includeTasks, onlyFailed bool) (ConnectorStatus, error) {
	h.kafka.AskAgain() // or this could be kept from being written by what was just mended
	if err := h.refresh(ctx); err != nil {
		return ConnectorStatus{}, err
	}
	h.mu.Lock()
	properties, _ := h.settings(name)
	s, err := h.status(name)
	h.mu.Unlock()
	switch {
	case properties == nil:
		return ConnectorStatus{}, notFound("Unknown connector: %s", name)
	case err != nil:
		return ConnectorStatus{}, err
	}
	if err := h.write(ctx, change{kind: restartKey, name: name, withTasks: includeTasks, onlyFailed: onlyFailed}); err != nil {
		return ConnectorStatus{}, err
	}
	failed, restarting := State(connector.Failed), State(connector.Restarting)
	if s.Connector.State != State(connector.Stopped) && (!onlyFailed || s.Connector.State == failed) {
		s.Connector.State, s.Connector.Trace = restarting, ""
	}
	for n, t := range s.Tasks {
		if includeTasks && (!onlyFailed || t.State == failed) {
			s.Tasks[n].State, s.Tasks[n].Trace = restarting, ""
		}
	}
	return s, nil
}

// RestartTask restarts one task, on whichever worker it is.
func (h *Herder) RestartTask(ctx context.Context, name string, task int) error {
	h.kafka.AskAgain()
	if err := h.refresh(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	properties, _ := h.settings(name)
	tasks := h.tasks(name)
	h.mu.Unlock()
	switch {
	case properties == nil:
		return notFound("Unknown connector: %s", name)
	case task < 0 || task >= tasks:
		return notFound("Unknown task: %s-%d", name, task)
	}
	return h.write(ctx, change{kind: restartTaskKey, name: name, task: task})
}

// Topics that the connector has written to since they were last reset.
func (h *Herder) Topics(_ context.Context, name string) ([]string, error) {
	if !h.config.TopicTrackingEnable {
		return nil, &Error{Kind: Forbidden, Message: "Topic tracking is disabled: set topic.tracking.enable"}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.ready(); err != nil {
		return nil, err
	}
	return append([]string{}, slices.Sorted(maps.Keys(h.peers.topics[name]))...), nil
}

// ResetTopics forgets them.
func (h *Herder) ResetTopics(ctx context.Context, name string) error {
	if !h.config.TopicTrackingAllowReset {
		return &Error{Kind: Forbidden, Message: "Topic tracking reset is disabled: set topic.tracking.allow.reset"}
	}
	if err := h.refreshStatus(ctx); err != nil {
		return err
	}
	topics, err := h.Topics(ctx, name)
	if err != nil || len(topics) == 0 {
		return err
	}
	var records []*kgo.Record
	for _, topic := range topics {
		records = append(records, h.statusRecord(statusTopicKey+topic+ofConnector+name, nil))
	}
	if err := h.bus.write(ctx, records...); err != nil {
		return unavailable("The topics could not be reset", err)
	}
	return nil
}
