package kudu

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeThatIsUpComesWithWhatHeldItUp has a master that never takes a connection.
func TestTimeThatIsUpComesWithWhatHeldItUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{
			Masters: []string{"silent:7051"}, OperationTimeout: 4 * time.Second,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err = c.OpenTable(ctx, "t")
		if took := time.Since(began); took != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) || !Retriable(err) ||
			!strings.Contains(err.Error(), "no answer from silent:7051") {
			t.Errorf("after %s: %v", took, err)
		}
	})
}
