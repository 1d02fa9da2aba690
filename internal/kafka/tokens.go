package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

const (
	// tokenTimeout bounds one request to the token endpoint.
	tokenTimeout = 10 * time.Second
	// maxToken bounds what a file or an endpoint gives.
	maxToken = 1 << 20
	// mostTokenLife is what longer lives are taken for; there are providers that say
	// that tokens never expire by a number that no clock knows.
	mostTokenLife = 10 * 365 * 24 * time.Hour
	// mostTokenPause is the longest pause while the endpoint can't be reached.
	mostTokenPause = 5 * time.Second
)

// tokens gets tokens, and keeps one until four fifths of its life are over. Should
// its successor not be had by then it serves to its end. Safe for concurrent use.
type tokens struct {
	from   OAuth
	roots  func() *x509.CertPool
	logger hclog.Logger
	turn   chan struct{} // holds one: who has it asks

	mu     sync.Mutex
	token  secret.Text
	seen   secret.Text // the last one in the file
	got    time.Time
	ends   time.Time
	failed error // of the last attempt
	until  time.Time
	pause  time.Duration
}

func newTokens(from OAuth, roots func() *x509.CertPool, logger hclog.Logger) *tokens {
	return &tokens{from: from, roots: roots, logger: logger, turn: make(chan struct{}, 1)}
}

// file is the path of the file that has the token, or empty.
func (t *tokens) file() string {
	u, err := url.Parse(t.from.Endpoint)
	if err != nil || u.Scheme != "file" {
		return ""
	}
	return u.Path
}

// get gives a token.
func (t *tokens) get(ctx context.Context) (string, error) {
	if path := t.file(); path != "" {
		token, err := readToken(path)
		t.mu.Lock()
		defer t.mu.Unlock()
		if err == nil && token != t.token.Reveal() {
			t.token, t.got, t.ends = secret.New(token), time.Now(), expiryOf(token)
		}
		return token, err
	}
	if token, err := t.kept(); token != "" || err != nil {
		return token, err
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if token, err := t.kept(); token != "" || err != nil {
		return token, err
	}
	token, life, err := t.ask(ctx)
	if err != nil && ctx.Err() != nil {
		return "", ctx.Err()
	}
	return t.settle(token, life, err)
}

// fileChanged tells whether the file has another token than at the last look.
func (t *tokens) fileChanged() bool {
	path := t.file()
	if path == "" {
		return false
	}
	token, err := readToken(path)
	if err != nil {
		return false // it may be about to be written; a connection will tell
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := secret.New(token) != t.seen
	t.seen = secret.New(token)
	return changed
}

// kept gives the token that is there and no reason to look for another, or the
// error of the last attempt while its pause lasts.
func (t *tokens) kept() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	usable := !t.token.Empty() && now.Before(t.ends)
	switch {
	case usable && now.Before(t.got.Add(t.ends.Sub(t.got)*4/5)):
		return t.token.Reveal(), nil
	case t.failed != nil && now.Before(t.until):
		if usable {
			return t.token.Reveal(), nil
		}
		return "", t.failed
	}
	return "", nil
}

// askAgain ends the pause after a failure.
func (t *tokens) askAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until, t.pause = time.Time{}, 0
}

func (t *tokens) settle(token string, life time.Duration, err error) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if err == nil {
		if t.failed != nil {
			t.logger.Info("tokens for Kafka are got again", "url", t.where())
		}
		t.token, t.got, t.ends = secret.New(token), now, now.Add(life)
		t.failed, t.pause = nil, 0
		return token, nil
	}
	most := mostPause
	if refused := Refused(err); refused != nil && refused.Verdict == Unclear {
		most = mostTokenPause
	}
	if t.failed == nil {
		t.logger.Warn("getting a token for Kafka fails", "url", t.where(), "error", err)
	}
	t.pause = min(max(2*t.pause, firstPause), most)
	t.failed, t.until = err, now.Add(t.pause)
	if !t.token.Empty() && now.Before(t.ends) {
		return t.token.Reveal(), nil
	}
	return "", err
}

// ask has the endpoint give a token.
func (t *tokens) ask(ctx context.Context) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	form := url.Values{"grant_type": {"client_credentials"}}
	if t.from.Scope != "" {
		form.Set("scope", t.from.Scope)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.from.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, t.fault(Lasting, "is no URL", "write it as https://name.example/path")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.SetBasicAuth(t.from.ClientID, t.from.ClientSecret.Reveal())
	client := http.Client{
		// Without connections that are kept, nobody has to close them. What a proxy of the
		// environment is for goes through it.
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.roots()},
		},
		// The secret is for this address only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return "", 0, t.fault(Unclear, "cannot be reached: "+oneLine(err.Error()), "start the identity provider, or correct the URL").dialed()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxToken))
	if err != nil {
		return "", 0, t.fault(Unclear, "breaks off its answer: "+oneLine(err.Error()), "look at the identity provider").dialed()
	}
	return t.read(response.StatusCode, body)
}

// read takes the endpoint's answer (RFC 6749 5).
func (t *tokens) read(status int, body []byte) (string, time.Duration, error) {
	var answer struct {
		Token  string  `json:"access_token"`
		Life   float64 `json:"expires_in"`
		Error  string  `json:"error"`
		Reason string  `json:"error_description"`
	}
	err := json.Unmarshal(body, &answer)
	said := oneLine(strings.TrimSpace(answer.Error + " " + answer.Reason))
	if said == "" {
		said = "status " + strconv.Itoa(status)
	}
	switch {
	case status >= 500 || status == http.StatusTooManyRequests:
		return "", 0, t.fault(Unclear, "can't answer now ("+said+")", "look at the identity provider").dialed()
	case status >= 300:
		refused := t.fault(Lasting, "doesn't take the client "+strconv.Quote(t.from.ClientID)+" ("+said+")",
			"correct the client's id, secret or scope and start the worker anew, or have the client admitted")
		refused.Key = "sasl.oauthbearer.client.credentials.client.secret"
		return "", 0, refused
	case err != nil || !tokenForm.MatchString(answer.Token):
		return "", 0, t.fault(Passing, "answers something else than a token", "name the token endpoint of the identity provider, not one of its pages")
	}
	life := time.Duration(min(max(answer.Life, 0), mostTokenLife.Seconds()) * float64(time.Second))
	if ends := expiryOf(answer.Token); life <= 0 && !ends.IsZero() {
		life = min(time.Until(ends), mostTokenLife)
	}
	const unknownLife = 5 * time.Minute
	if life <= 0 {
		life = unknownLife
	}
	return answer.Token, life, nil
}

// where is what messages tell of the endpoint: not its query, where secrets may be.
func (t *tokens) where() string {
	u, err := url.Parse(t.from.Endpoint)
	if err != nil {
		return "the address"
	}
	u.RawQuery, u.User = "", nil
	return u.String()
}

func (t *tokens) fault(verdict Verdict, what, remedy string) *RefusedError {
	const key = "sasl.oauthbearer.token.endpoint.url"
	return &RefusedError{Key: key, What: key + ": " + t.where() + " " + what, Remedy: remedy, Verdict: verdict}
}

// refused is about a token that a broker doesn't take. The next attempt is made with
// another.
func (t *tokens) refused() *RefusedError {
	t.mu.Lock()
	defer t.mu.Unlock()
	ends := t.ends
	t.token = secret.Text{}
	refused := &RefusedError{
		Key: "sasl.oauthbearer.token.endpoint.url", Verdict: Passing,
		What:   "it doesn't take the token of " + t.where(),
		Remedy: "look at what the brokers expect of tokens (issuer, audience, scope), and at the clocks of brokers and identity provider",
	}
	if t.file() != "" {
		refused.Remedy = "have the file renewed before its token expires; it is read again by itself"
		if now := time.Now(); !ends.IsZero() && now.After(ends) {
			refused.What += fmt.Sprintf(", which has expired at %s by this machine's clock", ends.UTC().Format(time.RFC3339))
		}
	}
	return refused
}

// tokenForm is what a token may consist of (RFC 6750 2.1).
var tokenForm = regexp.MustCompile(`^[A-Za-z0-9\-._~+/]+=*$`)

func readToken(path string) (string, error) {
	const key = "sasl.oauthbearer.token.endpoint.url"
	text, err := os.ReadFile(path)
	if err != nil {
		if cause, ok := errors.AsType[*fs.PathError](err); ok {
			err = cause.Err
		}
		return "", fileFault(key, fmt.Sprintf("the file %s cannot be read (%v)", path, err), "check the path, and the rights of this process's user")
	}
	token := string(bytes.TrimSpace(text))
	if len(text) > maxToken || !tokenForm.MatchString(token) {
		return "", fileFault(key, fmt.Sprintf("the file %s has no token", path), "have a JSON Web Token written there, and nothing else")
	}
	return token, nil
}

// expiryOf is when a JSON Web Token says that it expires, unverified, and so for
// messages and pauses only; zero when it doesn't say.
func expiryOf(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}
	}
	var read struct {
		Expires float64 `json:"exp"`
	}
	if json.Unmarshal(claims, &read) != nil || read.Expires <= 0 || read.Expires > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(read.Expires), 0)
}
