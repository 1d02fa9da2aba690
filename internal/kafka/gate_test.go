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

// A broker that was away may know another password when it is back, and then all wait
// for it.
func TestBrokerThatWasAwayIsShownCredentialsByOneAtATime(t *testing.T) {
	for name, taken := range map[string]bool{"taken": true, "refused": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				g.accept("b:1")
				g.accept("b:2")
				g.lost("b:1")
				var shown atomic.Int64
				var all sync.WaitGroup
				for range 20 {
					all.Go(func() {
						leave, err := g.enter(t.Context(), "b:1")
						if err != nil {
							return
						}
						defer leave()
						first := shown.Add(1) == 1
						time.Sleep(300 * time.Millisecond) // the broker's answer takes it
						if taken {
							g.accept("b:1")
						} else {
							g.refuse(ofCredentials, refusal())
						}
						if !first && !taken {
							t.Error("credentials are shown again after they were refused")
						}
					})
				}
				time.Sleep(time.Millisecond)
				if n := shown.Load(); n != 1 {
					t.Errorf("%d connections show their credentials at once", n)
				}
				// The other broker is none of that.
				if leave, err := g.enter(t.Context(), "b:2"); err != nil {
					t.Error(err)
				} else {
					leave()
				}
				time.Sleep(300 * time.Millisecond)
				if n := shown.Load(); taken && n != 20 {
					t.Errorf("%d of 20 connections were opened once the credentials were known to be good", n)
				}
				all.Wait()
			})
		})
	}
}
