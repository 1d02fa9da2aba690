package logs

import (
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Root is the name that stands for all loggers.
const Root = "root"

// ErrLevel says that there is no such level.
var ErrLevel = errors.New("no such level")

// maxNames bounds the loggers that are made by setting their levels.
const maxNames = 1000

// Level is the level of one logger.
type Level struct {
	Level    string    // TRACE, DEBUG, INFO, WARN, ERROR or OFF
	Modified time.Time // zero: never
}

// Levels knows the loggers of a process by name.
type Levels struct {
	mu    sync.Mutex
	top   string // the name that all others stand below
	nodes map[string]*node
}

// node is what all loggers of one name share.
type node struct {
	level    atomic.Int32
	modified time.Time // guarded by Levels.mu
}

// New makes Levels of the logger, whose name and level it takes, and the wrapper
// that its level counts for.
func New(logger hclog.Logger) (*Levels, hclog.Logger) {
	l := &Levels{top: logger.Name(), nodes: make(map[string]*node)}
	root := &node{}
	root.level.Store(int32(logger.GetLevel()))
	l.nodes[logger.Name()] = root
	logger.SetLevel(hclog.Trace) // what is let through is decided here
	return l, &wrapper{Logger: logger, levels: l, node: root}
}

// parent is the name that a logger stands below.
func parent(name string) string {
	return name[:max(strings.LastIndexByte(name, '.'), 0)]
}

// get gives the node of a name. A new one takes the level of the nearest above it.
// The caller holds the lock.
func (l *Levels) get(name string) *node {
	if n := l.nodes[name]; n != nil {
		return n
	}
	n := &node{}
	above := name
	for above != "" && l.nodes[above] == nil {
		above = parent(above)
	}
	if from := l.nodes[above]; from != nil {
		n.level.Store(from.level.Load())
		n.modified = from.modified
	} else {
		n.level.Store(int32(hclog.Info))
	}
	l.nodes[name] = n
	return n
}

// All gives the level of each logger that was named so far. Root has that of the
// logger which all others stand below.
func (l *Levels) All() map[string]Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]Level)
	for name, n := range l.nodes {
		all[name] = Level{text(hclog.Level(n.level.Load())), n.modified}
	}
	all[Root] = all[l.top]
	return all
}

func text(level hclog.Level) string {
	return strings.ToUpper(level.String())
}

// Set sets the level of a logger and of those below it, and returns the names of
// those that had another, sorted. A logger that isn't there yet will begin with the
// level.
func (l *Levels) Set(name, level string) ([]string, error) {
	to := hclog.LevelFromString(level)
	if strings.EqualFold(strings.TrimSpace(level), "OFF") {
		to = hclog.Off
	}
	if to == hclog.NoLevel {
		return nil, fmt.Errorf("%w: %q", ErrLevel, level)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.EqualFold(name, Root) {
		name = l.top
	}
	if l.nodes[name] == nil {
		if len(l.nodes) >= maxNames {
			return nil, fmt.Errorf("making logger %q: there are %d already", name, len(l.nodes))
		}
		l.get(name)
	}
	var touched []string
	now := time.Now()
	for _, other := range slices.Sorted(maps.Keys(l.nodes)) {
		below := other == name || strings.HasPrefix(other, name+".") || name == l.top
		if below && hclog.Level(l.nodes[other].level.Load()) != to {
			l.nodes[other].level.Store(int32(to))
			l.nodes[other].modified = now
			touched = append(touched, other)
		}
	}
	return touched, nil
}

// wrapper lets through what the level of its name allows.
type wrapper struct {
	hclog.Logger

	levels *Levels
	node   *node
}

func (w *wrapper) lets(level hclog.Level) bool {
	at := hclog.Level(w.node.level.Load())
	return level >= at && at != hclog.Off
}

func (w *wrapper) Log(level hclog.Level, msg string, args ...any) {
	if w.lets(level) {
		w.Logger.Log(level, msg, args...)
	}
}

func (w *wrapper) Trace(msg string, args ...any) { w.Log(hclog.Trace, msg, args...) }
func (w *wrapper) Debug(msg string, args ...any) { w.Log(hclog.Debug, msg, args...) }
func (w *wrapper) Info(msg string, args ...any)  { w.Log(hclog.Info, msg, args...) }
func (w *wrapper) Warn(msg string, args ...any)  { w.Log(hclog.Warn, msg, args...) }
func (w *wrapper) Error(msg string, args ...any) { w.Log(hclog.Error, msg, args...) }

func (w *wrapper) IsTrace() bool { return w.lets(hclog.Trace) }
func (w *wrapper) IsDebug() bool { return w.lets(hclog.Debug) }
func (w *wrapper) IsInfo() bool  { return w.lets(hclog.Info) }
func (w *wrapper) IsWarn() bool  { return w.lets(hclog.Warn) }
func (w *wrapper) IsError() bool { return w.lets(hclog.Error) }

func (w *wrapper) With(args ...any) hclog.Logger {
	return &wrapper{w.Logger.With(args...), w.levels, w.node}
}

func (w *wrapper) Named(name string) hclog.Logger      { return w.under(w.Logger.Named(name)) }
func (w *wrapper) ResetNamed(name string) hclog.Logger { return w.under(w.Logger.ResetNamed(name)) }

func (w *wrapper) under(logger hclog.Logger) hclog.Logger {
	w.levels.mu.Lock()
	defer w.levels.mu.Unlock()
	return &wrapper{logger, w.levels, w.levels.get(logger.Name())}
}

// SetLevel sets the level of the name, as [Levels.Set] does for all below it too.
func (w *wrapper) SetLevel(level hclog.Level) { w.node.level.Store(int32(level)) }

func (w *wrapper) GetLevel() hclog.Level { return hclog.Level(w.node.level.Load()) }

func (w *wrapper) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return w.Logger.StandardLogger(opts)
}

func (w *wrapper) StandardWriter(opts *hclog.StandardLoggerOptions) io.Writer {
	return w.Logger.StandardWriter(opts)
}
