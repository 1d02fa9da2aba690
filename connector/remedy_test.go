package connector

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func TestFailuresComeWithTheirRemedy(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string // a part of the remedy; empty: none
	}{
		{nil, ""},
		{errors.New("something else"), ""},
		{&FatalError{fmt.Errorf("opening: %w", &kudu.Error{Op: "opening", Err: kudu.ErrTableNotFound})}, "correct kudu.table"},
		{&kudu.Error{Op: "scanning", Code: "NOT_AUTHORIZED", Err: fmt.Errorf("%w: no", kudu.ErrNotAuthorized)}, "grant the worker's Kudu user"},
		{&kudu.Error{Op: "opening", Err: fmt.Errorf("%w: wrong password", kudu.ErrNotAuthenticated)}, "correct the credentials"},
		{&kudu.Error{Op: "opening", Class: kudu.ClassRetry, Err: kudu.ErrNoKDC}, "none is needed if the KDC comes back"},
		{&kudu.Error{Op: "scanning", Class: kudu.ClassReconnect, Err: errors.New("gone")}, "tries again by itself"},
		{kafka.Classify(fmt.Errorf("producing: %w", kerr.MessageTooLarge)), "max.message.bytes"},
		{kafka.Classify(kerr.TopicAuthorizationFailed), "grant the worker's Kafka user"},
		{kafka.Classify(kerr.InvalidConfig), "correct what Kafka refuses"},
		{kafka.Classify(kerr.ProducerFenced), "another worker has the task"},
		{&ConfigError{Faults: []Fault{{Key: "a", What: "is wrong", Remedy: "do this"}, {Key: "b", What: "is bad"}, {Key: "c", What: "is odd", Remedy: "do that"}}}, "do this\ndo that"},
	} {
		got := remedyOf(test.err)
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("remedy of %v: got %q, want %q in it", test.err, got, test.want)
		}
	}
}

func TestLastMishapOutlivesItsState(t *testing.T) {
	b := newStatusBoard()
	b.claim(0, 1)
	b.setTask(0, Restarting, &kudu.Error{Op: "scanning", Class: kudu.ClassReconnect, Err: errors.New("gone")})
	b.setTask(0, Running, nil)
	got := b.snapshot("c").Tasks[0]
	if got.State != Running || got.Cause != "" || got.Remedy != "" {
		t.Errorf("a task that runs again shows %+v", got)
	}
	if got.Last.Cause != "scanning: gone" || got.Last.Remedy == "" || got.Last.At.IsZero() {
		t.Errorf("its last mishap is %+v", got.Last)
	}
}
