package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
)

// healthCommand is for supervisors of containers without a shell, and for people.
func (a *app) healthCommand() *cobra.Command {
	var address string
	var live bool
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "health [WORKER.yaml]",
		Short: "Ask a running worker whether it is ready",
		Long: `Ask a running worker, by its REST interface, whether it is ready: Kafka is
reached, and the worker follows its group. With --live, ask only whether the
process answers. No password is needed.

The address is that of the first listener in WORKER.yaml, seen from this
machine, or ` + connector.DefaultListener + `; --url gives another one.

Exit codes: 0 yes, 1 no, or no answer, 2 wrong arguments or configuration.`,
		Example: `  kudu2kafka health
  kudu2kafka health --url http://worker-2:8083 --live`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if address != "" && len(args) > 0 {
				return errors.New("give a file or --url, not both")
			}
			if timeout <= 0 {
				return errors.New("--timeout must be above 0")
			}
			if address == "" {
				found, err := a.ownListener(args)
				if err != nil {
					return &exitError{code: exitUsage, err: err}
				}
				address = found
			}
			base, err := url.Parse(address)
			if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
				return fmt.Errorf("--url %s is no address: write it as %s", address, connector.DefaultListener)
			}
			path := "health/ready"
			if live {
				path = "health/live"
			}
			return a.health(base.JoinPath(path), timeout)
		},
	}
	command.Flags().StringVar(&address, "url", "", "address of the worker's REST interface")
	command.Flags().BoolVar(&live, "live", false, "ask only whether the process answers")
	command.Flags().DurationVar(&timeout, "timeout", 4*time.Second, "how long the answer may take")
	return command
}

// ownListener is the address at which a worker of this machine is reached.
func (a *app) ownListener(files []string) (string, error) {
	if len(files) == 0 {
		return connector.DefaultListener, nil
	}
	worker, _, err := config.Load(files[0], nil, a.env)
	if err != nil {
		return "", err
	}
	listeners, _ := worker.RESTListeners()
	if len(listeners) == 0 {
		return "", fmt.Errorf("%s: listeners: the worker has no REST interface to be asked by", files[0])
	}
	l := listeners[0]
	if l.Port == 0 {
		return "", fmt.Errorf("%s: listeners: %s takes any free port: give the one it has as --url", files[0], l)
	}
	if ip := net.ParseIP(l.Host); l.Host == "" || ip != nil && ip.IsUnspecified() {
		l.Host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			l.Host = "::1"
		}
	}
	return l.String(), nil
}

// health prints what the worker says, and ends with 1 unless it is well.
func (a *app) health(address *url.URL, timeout time.Duration) error {
	ctx, done := a.untilSignal()
	defer done()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, body, err := ask(ctx, address)
	if err != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("asking %s: %w", address, err)}
	}
	var said struct{ Status, Message string }
	if json.Unmarshal(body, &said) != nil || said.Status == "" {
		return &exitError{code: exitFailed, err: fmt.Errorf("asking %s: it answers %d, and not as a worker does", address, status)}
	}
	line := said.Status + ": " + said.Message
	if status != http.StatusOK {
		return &exitError{code: exitFailed, err: errors.New(line)}
	}
	_, _ = fmt.Fprintln(a.stdout, line) // the exit code tells it, too
	return nil
}

// ask gets an answer of at most 64 KiB.
func ask(ctx context.Context, address *url.URL) (status int, body []byte, err error) {
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The certificate names the machine, not its loopback address.
		InsecureSkipVerify: loopback(address.Hostname()), //nolint:gosec // nobody stands between a machine and itself
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		var told *url.Error
		if errors.As(err, &told) {
			err = told.Err // the address is named already
		}
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 64<<10))
	return response.StatusCode, body, err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
