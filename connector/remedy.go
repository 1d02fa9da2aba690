package connector

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// remedies are what can be done about failures, the more special ones first. What
// passes by itself says so, so that nobody looks for a button.
var remedies = []struct {
	is     func(error) bool
	remedy string
}{
	{isAny(kudu.ErrTableNotFound), "create the table, or correct kudu.table; what has FAILED must be restarted then"},
	{isAny(kudu.ErrTableReplaced), "stop the connector, delete its offsets to publish the new table from its start, and resume it"},
	{isAny(kudu.ErrNoKDC), "none is needed if the KDC comes back: the task tries again by itself; else correct its address in krb5.conf"},
	{isAny(kudu.ErrNotAuthenticated), "correct the credentials, or what kudu.tls.ca.file trusts, as the message says; what has FAILED must be restarted then"},
	{isAny(kudu.ErrNotAuthorized), "grant the worker's Kudu user the rights that \"kudu2kafka rights\" prints, then restart the task"},
	{isAny(kudu.ErrSnapshotTooOld), "the task begins anew at a newer snapshot by itself; if this comes again, raise the table's " + historyKey},
	{isAny(kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.GroupAuthorizationFailed),
		"grant the worker's Kafka user that right (\"kudu2kafka rights\" prints the commands), then restart what has FAILED"},
	{isAny(kerr.MessageTooLarge, kerr.RecordListTooLarge), "raise max.message.bytes of the topic and producer.override.batch.size, or leave wide columns out; then restart the task"},
	{isAny(kerr.UnknownTopicOrPartition, kerr.UnknownTopicID), "create the topic, or allow it to be created with topic.creation.enable; then restart the connector with its tasks"},
	{isAny(kerr.InvalidTransactionTimeout), "lower transaction.timeout.ms, or raise the brokers' transaction.max.timeout.ms"},
	{isAny(kafka.ErrFenced, errLost), "none is needed if another worker has the task now; else look whether two groups have the same group.id and connector name"},
	{isAny(kafka.ErrPermanent), "correct what Kafka refuses; \"kudu2kafka check\" tells more. Then restart the task"},
	{func(err error) bool {
		var reload *errReload
		return errors.As(err, &reload)
	}, "none is needed: the task reads its positions anew and goes on"},
	{func(err error) bool {
		var stalled *stalledError
		return errors.As(err, &stalled)
	}, "the task is begun anew by itself; if this comes again, look whether the server it waits for is overloaded"},
	{func(err error) bool {
		var e *kudu.Error
		return errors.As(err, &e) && e.Class != kudu.ClassFatal
	}, "none is needed if Kudu comes back: the task tries again by itself"},
	{isAny(context.DeadlineExceeded, kerr.CoordinatorNotAvailable, kerr.NotEnoughReplicas), "none is needed if the servers come back: it is tried again by itself"},
}

// remedyOf is what can be done about a failure; empty when that isn't known, or
// its text says so already.
func remedyOf(err error) string {
	if err == nil {
		return ""
	}
	var config *ConfigError
	if errors.As(err, &config) {
		var all []string
		for _, f := range config.Faults {
			if f.Remedy != "" {
				all = append(all, f.Remedy)
			}
		}
		return strings.Join(all, "\n")
	}
	var unreadable *offsets.UnreadableError
	var unfit *offsets.UnfitTopicError
	if errors.As(err, &unreadable) || errors.As(err, &unfit) || kafka.Refused(err) != nil {
		return ""
	}
	for _, r := range remedies {
		if r.is(err) {
			return r.remedy
		}
	}
	return ""
}

func isAny(targets ...error) func(error) bool {
	return func(err error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
}
