package kafka

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func refusal() *RefusedError {
	return &RefusedError{Key: "sasl.password", What: "wrong", Verdict: Lasting, Err: errors.New("wrong")}
}

// Connections that were known to be good may all be refused at once, when a password
// was changed.
func TestRefusalsThatComeTogetherArePausedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.accept("b:1")
		for range 8 {
			g.refuse(ofCredentials, refusal())
		}
		for pause := firstPause; pause <= 4*firstPause; pause *= 2 {
			time.Sleep(pause - time.Millisecond)
			if g.closed("b:2") == nil {
				t.Fatalf("asked again before the pause of %v is over", pause)
			}
			time.Sleep(2 * time.Millisecond)
			if g.closed("b:2") != nil {
				t.Fatalf("not asked again after the pause of %v", pause)
			}
			g.refuse(ofCredentials, refusal())
		}
	})
}

func TestOneAtATimeShowsCredentialsThoughNoAnswerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		var in atomic.Int64
		var all sync.WaitGroup
		end := make(chan struct{})
		for range 20 {
			all.Go(func() {
				leave, err := g.enter(t.Context(), "b:1")
				if err != nil {
					return
				}
				in.Add(1)
				<-end
				leave()
			})
		}
		for n := range int64(4) {
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if got := in.Load(); got != n+1 {
				t.Errorf("after %v %d have shown their credentials, want %d", time.Duration(n)*turnWait, got, n+1)
			}
			time.Sleep(turnWait - time.Millisecond)
		}
		g.refuse(ofCredentials, refusal())
		close(end)
		all.Wait()
	})
}

func TestQueryOfATokenEndpointIsNotTold(t *testing.T) {
	from := newTokens(OAuth{Endpoint: "https://id.example/token?code=hidden"}, nil, nil)
	for _, refused := range []*RefusedError{from.refused(), from.fault(Lasting, "is away", "look")} {
		if text := refused.Error(); !strings.Contains(text, "https://id.example/token") || strings.Contains(text, "hidden") {
			t.Errorf("the error is %q", text)
		}
	}
}
