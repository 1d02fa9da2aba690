package kerberos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	krb5 "github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Pauses after a KDC refused, or couldn't be reached: until they are over, the
// same error is given without asking. They double from the first to the most.
const (
	firstPause           = 500 * time.Millisecond
	mostPauseRefused     = time.Minute
	mostPauseUnreachable = 5 * time.Second
)

// Login gets and keeps the tickets of one principal. It is safe for concurrent
// use.
type Login struct {
	cfg    Config
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	logger hclog.Logger
	turn   chan struct{} // holds one: who has it talks to the KDC
	woken  chan struct{} // tells Run that there are tickets to keep

	mu       sync.Mutex
	identity *identity
	services map[string]*ticket // by host
	pauses   map[string]*pause  // by host; "" is the login itself
	warned   bool               // that a renewal failed
}

// identity is who the client is, by its ticket-granting ticket.
type identity struct {
	conf  *krb5.Config
	name  types.PrincipalName
	realm string
	tgt   *ticket
}

func (i *identity) String() string { return i.name.PrincipalNameString() + "@" + i.realm }

type pause struct {
	err   error
	until time.Time
	next  time.Duration
	// files are those of the credentials at the time of the attempt: with others the
	// outcome may be another.
	files []os.FileInfo
}

// Format keeps the keys of tickets from being printed.
func (l *Login) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "login of %s", l.Name()) }

// NewLogin checks the configuration; it reads no files and asks nobody. dial
// may be nil.
func NewLogin(cfg Config, dial func(ctx context.Context, network, addr string) (net.Conn, error), logger hclog.Logger) (*Login, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &Login{
		cfg: cfg, dial: dial, logger: logger, turn: make(chan struct{}, 1), woken: make(chan struct{}, 1),
		services: make(map[string]*ticket), pauses: make(map[string]*pause),
	}, nil
}

// Name is the principal, as far as it is known.
func (l *Login) Name() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.identity != nil:
		return l.identity.String()
	case l.cfg.Principal != "":
		return l.cfg.Principal
	}
	return "the user of the ticket cache " + l.cfg.Cache
}

// ticketFor gives a ticket for the service on the host, and the client's
// identity.
func (l *Login) ticketFor(ctx context.Context, host string) (*ticket, *identity, error) {
	if t, id := l.kept(host); t != nil {
		return t, id, nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%w: waiting for a ticket for %s: %w", ErrUnreachable, host, ctx.Err())
	}
	if t, id := l.kept(host); t != nil {
		return t, id, nil
	}
	return l.obtain(ctx, host)
}

func (l *Login) kept(host string) (*ticket, *identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.services[host]; t.usable(time.Now()) {
		// The login may have forgotten who it was, while this still serves.
		return t, t.of
	}
	return nil, nil
}

// obtain gets a new ticket for the service. The caller has the turn.
func (l *Login) obtain(ctx context.Context, host string) (*ticket, *identity, error) {
	if err := l.paused(host); err != nil {
		return nil, nil, err
	}
	id, err := l.loggedIn(ctx)
	if err != nil {
		return nil, nil, err
	}
	files := l.files()
	t, err := (&kdcs{id.conf, l.dial}).service(ctx, id, l.cfg.Service, host)
	l.settle(host, files, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		t.of = id
		l.services[host] = t
		select {
		case l.woken <- struct{}{}:
		default:
		}
	case errors.Is(err, ErrCredentials) && !errors.Is(err, errUnknownService) && l.identity == id:
		// It may be due to the ticket-granting ticket: keys of a realm change.
		l.identity = nil
	}
	return t, id, err
}

// loggedIn gives the identity with a ticket-granting ticket that has time left,
// getting a new one when it is due. The caller has the turn.
func (l *Login) loggedIn(ctx context.Context) (*identity, error) {
	l.mu.Lock()
	old := l.identity
	l.mu.Unlock()
	if old != nil && time.Now().Before(old.tgt.renewAt()) {
		return old, nil
	}
	err := l.paused("")
	if err == nil {
		var id *identity
		files := l.files()
		id, err = l.login(ctx)
		l.settle("", files, err)
		if err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			if old == nil {
				l.logger.Debug("got a Kerberos ticket", "principal", id, "by", l.cfg.how(), "until", id.tgt.ends)
			}
			l.identity = id
			return id, nil
		}
	}
	if old != nil && old.tgt.usable(time.Now()) {
		return old, nil
	}
	return nil, err
}

// login reads the credentials, as they are now, and gets a ticket-granting
// ticket by them.
func (l *Login) login(ctx context.Context) (*identity, error) {
	conf, err := loadConf(l.cfg.Conf)
	if err != nil {
		return nil, err
	}
	if l.cfg.Cache != "" {
		return l.fromCache(conf)
	}
	name, realm, err := principal(l.cfg.Principal, conf.LibDefaults.DefaultRealm)
	if err != nil {
		return nil, err
	}
	creds := credentials.NewFromPrincipalName(name, realm)
	if l.cfg.Keytab == "" {
		creds.WithPassword(l.cfg.Password.Reveal())
	} else {
		kt, err := loadKeytab(l.cfg.Keytab, name, realm)
		if err != nil {
			return nil, err
		}
		creds.WithKeytab(kt)
	}
	tgt, err := (&kdcs{conf, l.dial}).login(ctx, creds)
	if err != nil {
		return nil, err
	}
	return &identity{conf: conf, name: name, realm: realm, tgt: tgt}, nil
}

// fromCache takes the ticket-granting ticket from the ticket cache.
func (l *Login) fromCache(conf *krb5.Config) (*identity, error) {
	cache, err := loadCache(l.cfg.Cache)
	if err != nil {
		return nil, err
	}
	id := &identity{conf: conf, name: cache.DefaultPrincipal.PrincipalName, realm: cache.DefaultPrincipal.Realm}
	if l.cfg.Principal != "" {
		name, realm, err := principal(l.cfg.Principal, conf.LibDefaults.DefaultRealm)
		if err != nil {
			return nil, err
		}
		if realm != id.realm || !slices.Equal(name.NameString, id.name.NameString) {
			return nil, fmt.Errorf("%w: the ticket cache %s is of %s, not of %s", ErrCredentials, l.cfg.Cache, id, l.cfg.Principal)
		}
	}
	for _, entry := range cache.Credentials {
		if !slices.Equal(entry.Server.PrincipalName.NameString, []string{"krbtgt", id.realm}) || entry.Server.Realm != id.realm {
			continue
		}
		var raw messages.Ticket
		if err := guard(func() error { return raw.Unmarshal(entry.Ticket) }); err != nil {
			return nil, fmt.Errorf("%w: reading the ticket cache %s: %w", ErrCredentials, l.cfg.Cache, err)
		}
		began := entry.StartTime
		if began.Unix() <= 0 {
			began = entry.AuthTime
		}
		id.tgt = &ticket{Ticket: raw, key: entry.Key, got: began, ends: entry.EndTime}
		if id.tgt.usable(time.Now()) {
			return id, nil
		}
	}
	if id.tgt == nil {
		return nil, fmt.Errorf("%w: the ticket cache %s has no ticket-granting ticket: run kinit", ErrCredentials, l.cfg.Cache)
	}
	return nil, fmt.Errorf("%w: the ticket in the ticket cache %s has expired at %s: run kinit", ErrCredentials, l.cfg.Cache, id.tgt.ends.UTC().Format(time.RFC3339))
}

// paused gives the error of the last attempt while its pause lasts.
func (l *Login) paused(what string) error {
	l.mu.Lock()
	p := l.pauses[what]
	if p == nil || !time.Now().Before(p.until) {
		l.mu.Unlock()
		return nil
	}
	err, files := p.err, p.files
	l.mu.Unlock()
	if !slices.EqualFunc(files, l.files(), sameFile) {
		return nil
	}
	return err
}

// files looks at those that credentials come from, without reading them.
func (l *Login) files() []os.FileInfo {
	paths := append(filepath.SplitList(l.cfg.Conf), l.cfg.Keytab, l.cfg.Cache)
	all := make([]os.FileInfo, len(paths))
	for n, path := range paths {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			all[n] = info
		}
	}
	return all
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// troubled is how long after an attempt that reached no KDC, and the pause that
// followed it, the same is to be expected.
const troubled = 3 * kdcPatience

// Trouble is the last failure to reach a KDC, unless one has answered since, or
// that was long ago.
func (l *Login) Trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pauses {
		if errors.Is(p.err, ErrUnreachable) && time.Since(p.until) < troubled {
			return p.err
		}
	}
	return nil
}

// AskAgain ends the pauses.
func (l *Login) AskAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.pauses)
}

// settle takes note of how an attempt by such files ended. That a caller gave up says
// nothing.
func (l *Login) settle(what string, files []os.FileInfo, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		delete(l.pauses, what)
	case !errors.Is(err, context.Canceled):
		p := l.pauses[what]
		if p == nil {
			p = &pause{next: firstPause}
			l.pauses[what] = p
		}
		most := mostPauseRefused
		if errors.Is(err, ErrUnreachable) {
			most = mostPauseUnreachable
		}
		if !slices.EqualFunc(p.files, files, sameFile) {
			p.next = firstPause // these were not refused before
		}
		p.err, p.until, p.files = err, time.Now().Add(p.next), files
		p.next = min(2*p.next, most)
	}
}

// Forget drops the ticket for a server: it may not have the key any more that
// the ticket is for.
func (l *Login) Forget(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.services, strings.ToLower(host))
}

// Run renews the tickets that were asked for, each before it expires, until ctx
// ends.
func (l *Login) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(l.untilRenewal())
		select {
		case <-ctx.Done():
			return
		case <-l.woken:
		case <-timer.C:
			l.renew(ctx)
		}
	}
}

// Renewals that fail are tried again after a share of the time that is left.
const (
	leastRenewalWait = 500 * time.Millisecond
	mostRenewalWait  = time.Minute
)

// untilRenewal is the time until the next ticket is due.
func (l *Login) untilRenewal() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.services) == 0 {
		return time.Hour
	}
	now := time.Now()
	wait := time.Hour
	due := func(t *ticket) {
		until := t.renewAt().Sub(now)
		if until <= 0 { // an attempt was made and failed
			until = max(min(t.ends.Sub(now)/10, mostRenewalWait), leastRenewalWait)
		}
		wait = min(wait, until)
	}
	for _, t := range l.services {
		due(t)
	}
	return wait
}

// renew gets successors of the tickets that are due. Those of services end with
// the ticket-granting ticket, so that they are due together.
func (l *Login) renew(ctx context.Context) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return
	}
	now := time.Now()
	var due []string
	l.mu.Lock()
	for host, t := range l.services {
		if !now.Before(t.renewAt()) {
			due = append(due, host)
		}
	}
	l.mu.Unlock()
	var failure error
	for _, host := range due {
		_, _, err := l.obtain(ctx, host)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failure = err
			l.forgetExpired(host)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case failure != nil && !l.warned:
		l.warned = true
		l.logger.Warn("renewing Kerberos tickets fails, connections can be made until they expire", "error", failure)
	case failure == nil && l.warned && len(due) > 0:
		l.warned = false
		l.logger.Info("Kerberos tickets are renewed again")
	}
}

// forgetExpired ends the renewals of a ticket that could not be renewed in
// time; it is got anew when somebody asks for it.
func (l *Login) forgetExpired(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.services[host]; !t.usable(time.Now()) {
		delete(l.services, host)
	}
}
