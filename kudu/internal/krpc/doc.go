// Package krpc speaks Kudu's RPC protocol: frames, negotiation, calls. It
// knows no tables and no retries. The protocol is that of Apache Kudu 1.18.1
// (docs/design-docs/rpc.md and src/kudu/rpc there); servers since 1.12 speak
// it alike.
//
// # Both sides
//
// The client is [Dial], [Conn] and [Pool]; the server is [Server]. They share
// one codec (frame.go), so that fakes, proxies and fuzzers run on the frames
// that the real servers get.
//
// # Goroutines
//
// A Conn owns two goroutines, a reader and a writer, and no goroutine per
// call. They end when the connection fails or is closed; Close waits for them.
// A Pool owns its connections and its dials; its Close waits for all of them.
// A Server owns one goroutine per connection and one per call that is being
// handled; its Close waits for them, so handlers must watch their context.
//
// # Memory
//
// Frames are read into pooled buffers. What a [Payload] hands out are views
// into such a buffer: they are valid until Release and must not be used after.
// Response messages are copies and live as long as the caller likes. The
// memory that is set aside for a frame follows the bytes that have arrived,
// not the length that the peer claims.
//
// # Errors
//
// A call ends with a [CallError] when the server answered with an error frame,
// and with a [TransportError] when no answer came: its Sent field tells
// whether the server may have seen the call. A call whose context ends gives
// a TransportError that wraps the context's error, and leaves the connection
// up for the others.
package krpc
