// Package rest serves herder.API over HTTP as Kafka Connect's REST interface does,
// so that its clients work unchanged: the same paths, status codes, bodies and
// texts. Where Kafka Connect answers 500 to a request that is wrong, 400 is given.
//
// Listen binds the addresses of the configuration, before anything else of the
// worker is begun: the addresses are known then, and whoever asks for its health is
// answered while it starts. Server.Run serves until its context ends, and returns
// when every goroutine has ended.
//
// The way of a request: conns.go takes the connection or closes an idle one for
// it; server.go bounds its time and asks auth.go who it is; route.go finds its
// endpoint in the table of routes.go; connectors.go, actions.go, offsets.go,
// plugins.go and health.go ask the herder; answer.go writes what comes of it.
//
// What a request may take is bounded: header, body, time, and the number of
// connections, so that memory stays flat whoever calls.
package rest
