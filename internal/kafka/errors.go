package kafka

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The classes of an error, asked for with errors.Is on what Classify returned.
// An error of neither class is worth another try.
var (
	// ErrFenced: the producer's epoch is no longer the current one. Either a
	// newer owner of the transactional id has taken over, or the coordinator
	// ended the transaction on its timeout. Who sees it must make sure that it
	// still owns the task before it opens another producer, which would fence
	// the newer owner in turn.
	ErrFenced = errors.New("producer fenced")
	// ErrPermanent: trying again gives the same error until somebody changes
	// the configuration, the permissions, the topic or the data.
	ErrPermanent = errors.New("permanent Kafka error")
)

var fencing = []*kerr.Error{
	kerr.ProducerFenced,
	kerr.InvalidProducerEpoch,
	kerr.InvalidProducerIDMapping,
}

var permanent = []*kerr.Error{
	kerr.TopicAuthorizationFailed,
	kerr.ClusterAuthorizationFailed,
	kerr.TransactionalIDAuthorizationFailed,
	kerr.GroupAuthorizationFailed,
	kerr.MessageTooLarge,
	kerr.RecordListTooLarge,
	kerr.InvalidRecord,
	// The client gives up on a missing topic only after several rounds of
	// metadata, so what comes out of it is not a topic still being created.
	kerr.UnknownTopicOrPartition,
	kerr.UnknownTopicID,
	kerr.InvalidTopicException,
	kerr.InvalidTransactionTimeout,
	kerr.InvalidReplicationFactor,
	kerr.InvalidPartitions,
	kerr.InvalidConfig,
	kerr.PolicyViolation,
	kerr.UnsupportedVersion,
	kerr.UnsupportedForMessageFormat,
}

// Classify returns err such that errors.Is finds its class. The text and what
// errors.Is and errors.As find otherwise stay the same.
func Classify(err error) error {
	if err == nil || errors.Is(err, ErrFenced) || errors.Is(err, ErrPermanent) {
		return err
	}
	is := func(e *kerr.Error) bool { return errors.Is(err, e) }
	switch {
	case slices.ContainsFunc(fencing, is):
		return classified{err, ErrFenced}
	case slices.ContainsFunc(permanent, is):
		return classified{err, ErrPermanent}
	}
	return err
}

// classified adds a class to an error without a word added to its text.
type classified struct {
	error
	class error
}

func (e classified) Unwrap() []error { return []error{e.error, e.class} }
