package herder

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
)

// rereadPause is the time between two looks at what references of connectors that
// have failed lead to.
const rereadPause = 10 * time.Second

// resolved makes a connector's configuration of what is stored, or of its file, with
// what its references lead to now. The caller holds the lock.
func (h *Herder) resolved(name string) (connector.Config, []connector.Fault) {
	if f, is := h.files[name]; is {
		cfg, faults := f.Source.Config()
		return h.among(name, cfg, faults)
	}
	return h.configOf(name, h.known[name])
}

// configOf makes a configuration of properties and compares it with those of the
// other connectors. The caller holds the lock.
func (h *Herder) configOf(name string, properties map[string]string) (connector.Config, []connector.Fault) {
	cfg, faults := config.FromMap(properties, h.access)
	return h.among(name, cfg, faults)
}

// among adds the faults that a configuration without any has with its name, and
// beside the other connectors. The caller holds the lock.
func (h *Herder) among(name string, cfg connector.Config, faults []connector.Fault) (connector.Config, []connector.Fault) {
	if len(faults) > 0 {
		return cfg, faults
	}
	if cfg.Name != name {
		return cfg, []connector.Fault{{Key: "name", What: fmt.Sprintf("is %q in the configuration of connector %q", cfg.Name, name), Remedy: "write the same name"}}
	}
	var all []connector.Config
	for _, other := range slices.Sorted(maps.Keys(h.configs)) {
		if other != name {
			all = append(all, h.configs[other])
		}
	}
	all = append(all, cfg)
	return cfg, connector.ValidateTogether(h.config, all)[len(all)-1]
}

// take has the worker run a configuration, or show why it can't. The caller holds the
// lock.
func (h *Herder) take(name string, cfg connector.Config, faults []connector.Fault) {
	delete(h.configs, name)
	delete(h.unfit, name)
	if len(faults) > 0 {
		why := &connector.ConfigError{Faults: faults}
		h.unfit[name] = why.Error()
		h.worker.PutUnfit(name, h.target(name), why)
		return
	}
	h.configs[name] = cfg
	h.worker.Put(cfg, h.target(name))
}

// reread looks again at what the references of a connector's configuration lead to,
// and has it begin anew if that is something else. What can't be resolved any more
// makes the connector FAILED if insist is set; without, one that can be run goes on
// with what it has. The caller holds the lock.
func (h *Herder) reread(name string, insist bool) {
	if !h.refers(name) {
		return
	}
	before, fit := h.configs[name]
	cfg, faults := h.resolved(name)
	switch {
	case len(faults) == 0 && fit && reflect.DeepEqual(cfg, before):
		return
	case len(faults) == 0:
		h.logger.Info("references of the configuration lead to other values than before: the connector begins anew", "connector", name)
	case fit && !insist, (&connector.ConfigError{Faults: faults}).Error() == h.unfit[name]:
		return
	}
	h.take(name, cfg, faults)
}

// refers tells whether the configuration of a connector that this worker runs has
// references. The caller holds the lock.
func (h *Herder) refers(name string) bool {
	properties := h.known[name]
	if f, is := h.files[name]; is {
		properties = f.Source.Settings()
	}
	for _, value := range properties {
		if strings.Contains(value, "${") {
			return true
		}
	}
	return false
}

// watchReferences looks again, until ctx ends, at the references of connectors that
// don't run as they should: a password may have been replaced.
func (h *Herder) watchReferences(ctx context.Context) {
	every := time.NewTicker(rereadPause)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		h.rereadAiling()
	}
}

func (h *Herder) rereadAiling() {
	for _, s := range h.worker.Status() {
		if ails(s) {
			h.mu.Lock()
			h.reread(s.Connector, false)
			h.mu.Unlock()
		}
	}
}

// ails tells whether a connector, or a task of it, waits for another try or has given
// up.
func ails(s connector.Status) bool {
	bad := func(state connector.State) bool { return state == connector.Failed || state == connector.Restarting }
	return bad(s.State) || slices.ContainsFunc(s.Tasks, func(t connector.TaskStatus) bool { return bad(t.State) })
}
