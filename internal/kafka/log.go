package kafka

import (
	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// NewLogger returns a franz-go logger that writes to l one level lower than
// the client asks for: what the client calls information (each transaction,
// each flush) is debugging for us, since house rule is that info marks a state
// change of a task. Warnings and errors keep their level.
func NewLogger(l hclog.Logger) kgo.Logger { return logger{l} }

type logger struct{ to hclog.Logger }

// Level is asked before each line, so it must stay cheap.
func (l logger) Level() kgo.LogLevel {
	switch {
	case l.to.IsTrace():
		return kgo.LogLevelDebug
	case l.to.IsDebug():
		return kgo.LogLevelInfo
	case l.to.IsWarn():
		return kgo.LogLevelWarn
	case l.to.IsError():
		return kgo.LogLevelError
	default:
		return kgo.LogLevelNone
	}
}

func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if level < kgo.LogLevelInfo && tellsOfRefusal(keyvals) {
		level = kgo.LogLevelInfo // told once, see access.note, and by whoever asked
	}
	switch level {
	case kgo.LogLevelError:
		l.to.Error(msg, keyvals...)
	case kgo.LogLevelWarn:
		l.to.Warn(msg, keyvals...)
	case kgo.LogLevelInfo:
		l.to.Debug(msg, keyvals...)
	case kgo.LogLevelDebug:
		l.to.Trace(msg, keyvals...)
	}
}

func tellsOfRefusal(keyvals []any) bool {
	for _, v := range keyvals {
		if err, ok := v.(error); ok && Refused(err) != nil {
			return true
		}
	}
	return false
}
