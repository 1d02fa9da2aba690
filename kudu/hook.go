package kudu

import "time"

// Hook is told what a client does, for metrics. Its methods are called on the way
// of calls, from many goroutines at a time: they must be quick and must not block.
type Hook interface {
	// Call has ended, with or without success.
	Call(CallInfo)
	// Retry: an operation has failed and is tried again. Class is what the failure
	// asks for, never ClassFatal.
	Retry(class Class)
}

// CallInfo tells of one call of a server's method.
type CallInfo struct {
	// Method is the protocol's name, such as Scan, Write or GetTableLocations:
	// one of about twenty.
	Method string
	// Addr is the server's host:port.
	Addr string
	// Took is the time from the caller's wish to the answer; a connection that had
	// to be made first is part of it.
	Took time.Duration
	// Err is nil when the server has answered the call, even if the answer is that
	// it won't do what was asked; those answers show in Retry.
	Err error
}

// noHook is the hook of a client that has none.
type noHook struct{}

func (noHook) Call(CallInfo) {}
func (noHook) Retry(Class)   {}
