// Package herder steers the connectors of a group of workers, as Kafka Connect's
// herder does, though without a leader: each worker follows the group's config
// topic (`<group.id>-configs`, compacted), which holds the connectors that came by
// REST, the target state of every connector, restarts and log levels; and each
// tells what its connectors and tasks do in the status topic
// (`<group.id>-status`, compacted), so that any worker answers for all.
//
// A connector comes from a file of the worker or from the config topic. One from a
// file can be paused, stopped, restarted and have its offsets changed, but not be
// edited.
//
// The answers are in the words of Kafka Connect's REST contract (the types of
// model.go marshal to its JSON); internal/rest only carries them over HTTP. Errors
// that a caller can do something about are of type *Error.
package herder
