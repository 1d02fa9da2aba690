package herder

import (
	"context"
	"errors"
	"fmt"
)

// Levels are the levels of this process's loggers. Safe for concurrent use.
type Levels interface {
	// All gives each logger that was named so far.
	All() map[string]LoggerLevel
	// Set sets the level of a logger and of those below it, and returns their names.
	// A level that there isn't is ErrNoLevel.
	Set(name, level string) (touched []string, err error)
}

// ErrNoLevel says that a level isn't one of TRACE, DEBUG, INFO, WARN, ERROR and OFF.
var ErrNoLevel = errors.New("no level of that name")

// Loggers are all loggers of this worker.
func (h *Herder) Loggers(context.Context) map[string]LoggerLevel {
	if h.levels == nil {
		return map[string]LoggerLevel{}
	}
	return h.levels.All()
}

// Logger is one of them.
func (h *Herder) Logger(ctx context.Context, name string) (LoggerLevel, error) {
	level, is := h.Loggers(ctx)[name]
	if !is {
		return LoggerLevel{}, notFound("Logger %s not found.", name)
	}
	return level, nil
}

// SetLogger sets levels, on this worker or on all.
func (h *Herder) SetLogger(ctx context.Context, name, level string, cluster bool) ([]string, error) {
	if h.levels == nil {
		return nil, notFound("Logger %s not found.", name)
	}
	touched, err := h.levels.Set(name, level)
	if errors.Is(err, ErrNoLevel) {
		return nil, notFound("invalid log level '%s'.", level)
	}
	if err != nil {
		return nil, fmt.Errorf("setting the level of logger %s: %w", name, err)
	}
	if !cluster {
		return touched, nil
	}
	return nil, h.write(ctx, change{kind: loggerKey, name: name, loggerLevel: level})
}
