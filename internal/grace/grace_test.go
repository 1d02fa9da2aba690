package grace

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestStepsAfterAStopShareOneTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		longer, cancel := Outlive(ctx, t.Context(), 5*time.Second)
		defer cancel()
		time.Sleep(time.Hour)
		if longer.Err() != nil {
			t.Fatal("it has ended before the stop")
		}
		stop()
		stopped := time.Now()
		for step := range 3 {
			time.Sleep(time.Second)
			if longer.Err() != nil {
				t.Fatalf("it has ended in step %d", step)
			}
		}
		<-longer.Done()
		if took := time.Since(stopped); took != 5*time.Second {
			t.Errorf("it ended %v after the stop", took)
		}
	})
}

func TestItEndsWithItsParentAndWhenItIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, end := context.WithCancel(t.Context())
		longer, cancel := Outlive(t.Context(), parent, time.Second)
		defer cancel()
		end()
		if !errors.Is(longer.Err(), context.Canceled) {
			t.Errorf("its parent has ended, it hasn't: %v", longer.Err())
		}

		longer, cancel = Outlive(t.Context(), t.Context(), time.Second)
		cancel()
		if longer.Err() == nil {
			t.Error("it was given up, and goes on")
		}
	})
}

func TestMadeAfterTheStopItLastsAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		made := time.Now()
		longer, cancel := Outlive(ctx, t.Context(), time.Second)
		defer cancel()
		<-longer.Done()
		if took := time.Since(made); took != time.Second {
			t.Errorf("it lasted %v", took)
		}
	})
}
