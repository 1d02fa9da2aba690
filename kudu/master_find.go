package kudu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

const opFind = "finding the leader master"

// search is a look for the leader master. It belongs to all callers that wait for
// it, so that one with little patience doesn't end it for the others, and ends
// with the last of them.
type search struct {
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when it has ended
	waiting int           // callers; the masters' lock guards it

	// Set before done is closed.
	leader string
	err    error
}

// leaderAddr gives the leader's address, searching for it when unknown.
func (m *masters) leaderAddr(ctx context.Context) (string, error) {
	m.mu.Lock()
	if m.leader != "" {
		defer m.mu.Unlock()
		return m.leader, nil
	}
	s := m.search
	if s == nil {
		searchCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		s = &search{cancel: cancel, done: make(chan struct{})}
		m.search = s
		go m.run(searchCtx, s)
	}
	s.waiting++
	m.mu.Unlock()

	var gaveUp error
	select {
	case <-s.done:
	case <-ctx.Done():
		gaveUp = ctx.Err()
	}

	m.mu.Lock()
	s.waiting--
	last := s.waiting == 0
	if last && m.search == s {
		m.search = nil
	}
	m.mu.Unlock()
	if last {
		s.cancel(gaveUp)
		<-s.done // nobody else is left to wait for its goroutine
	} else if gaveUp != nil {
		return "", fmt.Errorf("%s at %v: %w", opFind, m.addrs, gaveUp)
	}
	// After a search that was given up, its failure tells what each master said.
	return s.leader, s.err
}

func (m *masters) run(ctx context.Context, s *search) {
	// A connection that has died without a word must not hold it up for ever: within
	// its time a caller sees a second search.
	ctx, cancel := context.WithTimeout(ctx, m.c.cfg.OperationTimeout/2)
	defer cancel()
	leader, location, err := m.find(ctx)
	m.mu.Lock()
	if err == nil {
		m.leader, m.location = leader, location
	}
	if m.search == s {
		m.search = nil
	}
	m.mu.Unlock()
	s.leader, s.err = leader, err
	close(s.done)
}

// The pauses after which a master that has answered is asked again, while others
// have not.
const (
	findFirstWait = 100 * time.Millisecond
	findMostWait  = time.Second
)

// found is a master's answer to who leads. The master is asked again once that is
// said on again, which has room for it.
type found struct {
	addr  string
	resp  *pb.ConnectToMasterResponsePB
	err   error
	again chan<- struct{}
}

// find asks all masters at once who leads, until one says that it does, or all
// have answered and none does. One that hangs doesn't hold the others up: they are
// asked again, since one of them may have been elected meanwhile.
func (m *masters) find(ctx context.Context) (leader, location string, err error) {
	const op = opFind
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan found)
	var wg sync.WaitGroup
	for _, addr := range m.addrs {
		wg.Go(func() { m.ask(ctx, op, addr, answers) })
	}
	defer wg.Wait()
	defer cancel()

	latest := make(map[string]found)
	for len(latest) < len(m.addrs) && ctx.Err() == nil {
		select {
		case a := <-answers:
			if a.err == nil && a.resp.GetRole() == roleLeader {
				if err := m.c.guardian.take(a.resp); err != nil {
					return "", "", &Error{Op: op, Addr: a.addr, Sent: true, Err: err}
				}
				return a.addr, a.resp.GetClientLocation(), nil
			}
			latest[a.addr] = a
			if len(latest) < len(m.addrs) {
				a.again <- struct{}{}
			}
		case <-ctx.Done():
		}
	}
	cause := errors.New("none of the masters leads")
	var failures, silent []error
	unlisted := 0
	for _, addr := range m.addrs {
		switch a, answered := latest[addr]; {
		case !answered:
			silent = append(silent, fmt.Errorf("no answer from %s: %w", addr, context.Cause(ctx)))
		case a.err != nil:
			failures = append(failures, a.err)
		default:
			unlisted = max(unlisted, len(a.resp.GetMasterAddrs())-len(m.addrs))
		}
	}
	if unlisted > 0 {
		cause = fmt.Errorf("none of the masters leads; the cluster has %d more than are configured: list them all", unlisted)
	}
	if len(silent) > 0 {
		if trouble := m.c.guardian.trouble(); trouble != nil {
			silent = append(silent, trouble)
		}
	}
	cause = errors.Join(slices.Concat([]error{cause}, failures, silent)...)
	class := ClassRetry
	// Who isn't let in by one master isn't by the others.
	if errors.Is(cause, ErrNotAuthenticated) || errors.Is(cause, ErrNotAuthorized) || (len(failures) == len(m.addrs) && !slices.ContainsFunc(failures, Retriable)) {
		class, cause = ClassFatal, distinct(failures)
	}
	return "", "", &Error{Op: op, Addr: fmt.Sprint(m.addrs), Class: class, Err: cause}
}

// distinct joins failures, one of those that say the same of several servers.
func distinct(failures []error) error {
	said := make(map[string]bool)
	var left []error
	for _, failure := range failures {
		text := failure.Error()
		if e := (*Error)(nil); errors.As(failure, &e) {
			text = e.Err.Error()
		}
		if !said[text] {
			said[text] = true
			left = append(left, failure)
		}
	}
	return errors.Join(left...)
}

// ask tells what a master answers, and again when that is wanted, until ctx ends.
func (m *masters) ask(ctx context.Context, op, addr string, answers chan<- found) {
	again := make(chan struct{}, 1)
	for wait := findFirstWait; ctx.Err() == nil; wait = min(2*wait, findMostWait) {
		resp := &pb.ConnectToMasterResponsePB{}
		payload, err := m.c.call(ctx, addr, op, &krpc.Request{
			Service: krpc.MasterService, Method: "ConnectToMaster", Body: &pb.ConnectToMasterRequestPB{},
		}, resp)
		payload.Release()
		if err == nil && resp.Error != nil {
			err = m.c.told(masterError(op, addr, resp.Error))
		}
		select {
		case answers <- found{addr, resp, err, again}:
		case <-ctx.Done():
			return
		}
		select {
		case <-again:
		case <-ctx.Done():
			return
		}
		if sleep(ctx, wait) != nil {
			return
		}
	}
}
