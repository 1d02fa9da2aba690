package testenv

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// connectClients are two clients of Kafka Connect's REST interface that others
// wrote, and all they need.
var connectClients = []string{
	"kafkaconnect==1.3.1", "kafka-connect-py==1.0.0",
	"requests==2.34.2", "click==8.5.1", "urllib3==2.8.0", "certifi==2026.10.18", "charset-normalizer==3.5.2", "idna==3.20",
}

// fetchConnectClients returns a folder for PYTHONPATH.
func fetchConnectClients(ctx context.Context) (string, error) {
	python, err := findPython(ctx)
	if err != nil {
		return "", err
	}
	version, err := exec.CommandContext(ctx, python, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", python, err)
	}
	// Some of it is compiled for one version of Python.
	key := sha256.Sum256([]byte(strings.Join(connectClients, " ") + string(version)))
	return install(ctx, fmt.Sprintf("connect-clients-%x", key[:6]), func(ctx context.Context, dir string) error {
		args := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps", "--target", filepath.Clean(dir)}
		cmd := exec.CommandContext(ctx, python, append(args, connectClients...)...)
		cmd.SysProcAttr = childAttributes()
		return runLocked(cmd)
	})
}

// findPython returns a Python that can install packages.
func findPython(ctx context.Context) (string, error) {
	const remedy = "Get it by: apt-get install python3-pip"
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("%w: Python (python3) is not in PATH. %s", ErrMissing, remedy)
	}
	if out, err := exec.CommandContext(ctx, python, "-m", "pip", "--version").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: Python's pip cannot be run: %w\n%s\n%s", ErrMissing, err, out, remedy)
	}
	return python, nil
}

// ConnectClientsCommand is a Python program, by its path and arguments, that may
// import kafkaconnect and kafka_connect, third-party clients of Kafka Connect's
// REST interface.
func ConnectClientsCommand(ctx context.Context, program string, args ...string) (*exec.Cmd, error) {
	python, err := findPython(ctx)
	if err != nil {
		return nil, err
	}
	packages, err := fetchConnectClients(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, python, append([]string{"-s", program}, args...)...)
	// No bytecode: the folder in the cache is as it was installed.
	cmd.Env = append(os.Environ(), "PYTHONPATH="+packages, "PYTHONDONTWRITEBYTECODE=1")
	return cmd, nil
}

// NewConnect starts a worker of Kafka Connect for this test and closes it at the
// test's end. If the test failed, the end of its log is shown.
func NewConnect(t TB, config ConnectConfig) *Connect {
	t.Helper()
	Require(t)
	c, err := StartConnect(t.Context(), config)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		showLogs(t, c.Server)
		closeOrFail(t, "Kafka Connect", c.Close)
	})
	return c
}

// RequireConnect is Require for tests that also need Kafka Connect and its clients.
func RequireConnect(t TB) {
	t.Helper()
	Require(t)
	ctx := t.Context()
	_, connectErr := fetchConnect(ctx)
	_, clientsErr := fetchConnectClients(ctx)
	if err := errors.Join(connectErr, clientsErr); err != nil {
		lacking(t, err)
	}
}
