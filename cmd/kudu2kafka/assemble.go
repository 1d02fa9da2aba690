package main

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
	"github.com/kudu2kafka/kudu2kafka/internal/herder"
	"github.com/kudu2kafka/kudu2kafka/internal/logs"
	"github.com/kudu2kafka/kudu2kafka/internal/metrics"
	"github.com/kudu2kafka/kudu2kafka/internal/rest"
	"github.com/kudu2kafka/kudu2kafka/internal/status"
)

// setup is what a process runs.
type setup struct {
	config     connector.WorkerConfig
	connectors []connector.Config // of files
	sources    []*config.Source   // theirs, in the same order
	env        func(name string) (value string, set bool)
	levels     *logs.Levels
	logger     hclog.Logger
	bar        *status.Bar // nil: standard error is no terminal
}

// process is a worker with what steers and shows it.
type process struct {
	setup
	worker    *connector.Worker
	files     []herder.File
	metrics   *metrics.Registry
	listeners *rest.Listeners
}

// newProcess makes a worker and binds its listeners; nothing is connected yet.
func newProcess(ctx context.Context, p setup) (worker, error) {
	v := currentVersion()
	made := &process{setup: p}
	made.metrics = metrics.New(metrics.Options{
		Version: v.Version, Commit: v.Commit, GoVersion: v.Go, TabletsMax: p.config.MetricsTabletsMax, Logger: p.logger,
		Certificates: made.certificates,
	})
	for i, source := range p.sources {
		made.files = append(made.files, herder.File{Config: p.connectors[i], Source: source})
	}
	var err error
	if made.worker, err = connector.NewWorker(p.config, p.connectors, p.logger, connector.WithObserver(made.metrics)); err != nil {
		return nil, err
	}
	if made.listeners, err = rest.Listen(ctx, p.config, p.logger.Named("rest")); err != nil {
		return nil, err
	}
	if len(p.connectors) == 0 {
		// Connectors may come by REST, through this worker or another one.
		made.worker.KeepRunning()
	}
	return made, nil
}

// certificates tells of those that there are.
func (p *process) certificates() []connector.CertificateFiles {
	var all []connector.CertificateFiles
	for _, ask := range []func() (connector.CertificateFiles, bool){p.listeners.Certificate, p.worker.KafkaCertificate} {
		if c, is := ask(); is {
			all = append(all, c)
		}
	}
	return all
}

// Check looks whether the configuration fits Kafka and Kudu.
func (p *process) Check(ctx context.Context) error {
	err := p.worker.Check(ctx)
	if err != nil {
		p.listeners.Close()
	}
	return err
}

// Run works until ctx ends, or one part of the process can't go on.
func (p *process) Run(ctx context.Context) error {
	v := currentVersion()
	steering, err := herder.New(herder.Options{
		Config: p.config, Worker: p.worker, Files: p.files, Env: p.env, WorkerID: p.listeners.Advertised(),
		Version: v.Version, Commit: v.Commit, Levels: loggers{p.levels}, Logger: p.logger,
	})
	if err != nil {
		p.listeners.Close()
		return err
	}
	recorder := status.NewRecorder(steering)
	handlers := recorder.Handlers()
	handlers["GET /metrics"] = p.metrics.Handler()
	server := rest.New(p.listeners, steering, rest.Options{
		Users: p.config.BasicAuthUsers(), Handlers: handlers, Page: status.Page(), Logger: p.logger.Named("rest"),
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var serving sync.WaitGroup
	var serveErr error
	serving.Go(func() {
		serveErr = server.Run(ctx)
		stop()
	})
	if len(p.listeners.Addresses()) > 0 {
		serving.Go(func() { recorder.Run(ctx) })
	}
	if p.bar != nil && len(p.connectors) > 0 {
		serving.Go(func() { p.bar.Run(ctx, steering) })
	}
	err = steering.Run(ctx)
	stop()
	serving.Wait()
	return errors.Join(err, serveErr)
}

// loggers shows levels in the words of REST.
type loggers struct{ *logs.Levels }

// All gives the level of each logger.
func (l loggers) All() map[string]herder.LoggerLevel {
	all := make(map[string]herder.LoggerLevel)
	for name, level := range l.Levels.All() {
		shown := herder.LoggerLevel{Level: level.Level}
		if !level.Modified.IsZero() {
			ms := level.Modified.UnixMilli()
			shown.LastModified = &ms
		}
		all[name] = shown
	}
	return all
}

// Set sets the level of a logger and of those below it.
func (l loggers) Set(name, level string) ([]string, error) {
	touched, err := l.Levels.Set(name, level)
	if errors.Is(err, logs.ErrLevel) {
		err = herder.ErrNoLevel
	}
	return touched, err
}
