package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestHeedReturnsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		answer := make(chan int)
		_, err := Heed(ctx, func() (int, error) { return <-answer, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		answer <- 1 // what goes on ends once it has its answer, or the bubble wouldn't
	})
}

func TestHeedGivesTheAnswer(t *testing.T) {
	refused := errors.New("refused")
	if n, err := Heed(t.Context(), func() (int, error) { return 7, refused }); n != 7 || !errors.Is(err, refused) {
		t.Errorf("%d, %v", n, err)
	}
}
