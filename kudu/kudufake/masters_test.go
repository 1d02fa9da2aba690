package kudufake_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

func TestCallersShareOneSearchForTheLeaderWhoeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, kudufake.Options{Masters: 3})
		pairs(t, c, "one")
		k := client(t, c)
		c.Control("ConnectToMaster", func(*kudufake.Call) kudufake.Decision { return kudufake.Decision{DelayAnswer: 2 * time.Second} })
		// No caller but the last has the patience that an answer takes, but there is
		// always one that waits.
		var callers sync.WaitGroup
		for n := range 6 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := k.OpenTable(ctx, "one")
				if early := n < 3; (err != nil) != early {
					t.Errorf("caller %d: %v", n, err)
				} else if early && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("caller %d gave up with %v", n, err)
				}
			})
			time.Sleep(400 * time.Millisecond)
		}
		callers.Wait()
		if n := c.Calls("ConnectToMaster"); n != 3 {
			t.Errorf("the 3 masters were asked %d times", n)
		}
	})
}

func TestMasterThatHangsDoesNotHideAnElectionFromCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, kudufake.Options{Masters: 3})
		pairs(t, c, "one")
		k := client(t, c)
		for range 2 {
			c.LeadMaster(-1)
			hang := make(chan struct{})
			remove := c.Control("ConnectToMaster", func(call *kudufake.Call) kudufake.Decision {
				if call.Server == c.Master(0) {
					return kudufake.Decision{Wait: hang}
				}
				return kudufake.Decision{}
			})
			time.AfterFunc(3*time.Second, func() { c.LeadMaster(2) })
			began := time.Now()
			if _, err := k.OpenTable(t.Context(), "one"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < 3*time.Second || took > 5*time.Second {
				t.Errorf("it took %v to find the master that was elected after 3 s", took)
			}
			close(hang)
			remove()
			c.LeadMaster(0)
		}
	})
}

func TestSearchAmongMastersThatAllHangEndsWithItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, kudufake.Options{Masters: 2})
		pairs(t, c, "one")
		config := c.Config()
		config.OperationTimeout = 10 * time.Second
		k, err := kudu.New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		hang := make(chan struct{})
		remove := c.Control("ConnectToMaster", func(*kudufake.Call) kudufake.Decision { return kudufake.Decision{Wait: hang} })
		began := time.Now()
		_, err = k.OpenTable(t.Context(), "one")
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		if n := c.Calls("ConnectToMaster"); n != 4 {
			t.Errorf("the masters were asked %d times, want twice each", n)
		}
		close(hang)
		remove()
		if _, err := k.OpenTable(t.Context(), "one"); err != nil {
			t.Error(err)
		}
	})
}
