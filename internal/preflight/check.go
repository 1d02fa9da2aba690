package preflight

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// Severity says what a finding means for the start.
type Severity string

// The severities. With an Error the connector can't run, or loses or repeats what
// it must not. A Warning is worth a change. A Note is good to know.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is a problem with its remedy.
type Finding struct {
	Severity  Severity `json:"severity"`
	Check     string   `json:"check"`
	Connector string   `json:"connector,omitempty"` // empty: about the worker
	Key       string   `json:"key,omitempty"`       // configuration key it is about
	Problem   string   `json:"problem"`
	Remedy    string   `json:"remedy,omitempty"`
}

// State is how a check ended.
type State string

// The states. Failed: it couldn't run. Skipped: a finding of an earlier check
// leaves it nothing to look at.
const (
	Done    State = "done"
	Failed  State = "failed"
	Skipped State = "skipped"
)

// Outcome is how one check ended.
type Outcome struct {
	Check     string `json:"check"`
	Connector string `json:"connector,omitempty"`
	State     State  `json:"state"`
	Why       string `json:"why,omitempty"` // of Failed and Skipped
}

// Report is what all checks found.
type Report struct {
	Findings []Finding `json:"findings"`
	Checks   []Outcome `json:"checks"`
}

// Count is the number of findings of a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Failed is the number of checks that couldn't run.
func (r *Report) Failed() int {
	n := 0
	for _, o := range r.Checks {
		if o.State == Failed {
			n++
		}
	}
	return n
}

// need is what a check can't do without.
type need int

const (
	needNothing need = iota
	needKafka        // a broker answers
	needTable        // the table is there and fits the configuration
	needBoth
)

// check is one look. It is about the worker or about a connector.
type check struct {
	name      string
	needs     need
	worker    func(ctx context.Context, l *look) ([]Finding, error)
	connector func(ctx context.Context, s *subject) ([]Finding, error)
}

// checks are run in this order, those of the worker first.
var checks = []check{
	{name: "worker.secrets", worker: checkSecrets},
	{name: "kafka.brokers", worker: checkBrokers},
	{name: "kafka.limits", needs: needKafka, worker: checkLimits},
	{name: "kafka.group-topics", needs: needKafka, worker: checkGroupTopics},
	{name: "kafka.group-rights", needs: needKafka, worker: checkWorkerRights},
	{name: "kudu.masters", connector: checkMasters},
	{name: "kudu.table", connector: checkTable},
	{name: "kudu.tablets", needs: needTable, connector: checkTablets},
	{name: "kudu.servers", needs: needTable, connector: checkServers},
	{name: "kudu.rights", needs: needTable, connector: checkKuduRights},
	{name: "mode.key", needs: needTable, connector: checkKey},
	{name: "mode.where", needs: needTable, connector: checkWhere},
	{name: "mode.tasks", needs: needTable, connector: checkTasks},
	{name: "mode.history", needs: needTable, connector: checkHistory},
	{name: "serde.columns", needs: needTable, connector: checkColumns},
	{name: "kafka.timeouts", needs: needKafka, connector: checkTimeouts},
	{name: "kafka.topic", needs: needKafka, connector: checkTopic},
	{name: "kafka.offsets", needs: needKafka, connector: checkOffsetsTopic},
	{name: "kafka.rights", needs: needKafka, connector: checkKafkaRights},
	{name: "kafka.group", needs: needKafka, connector: checkGroup},
	{name: "kafka.positions", needs: needBoth, connector: checkPositions},
	{name: "serde.rows", needs: needBoth, connector: checkRows},
}

// patience bounds one check.
const patience = 30 * time.Second

// look is what is known of the worker's surroundings.
type look struct {
	worker connector.WorkerConfig
	logger hclog.Logger
	client *kgo.Client
	adm    *kadm.Client
	kafka  bool // a broker answered

	patience time.Duration // with coordinators

	brokers  kadm.BrokerDetails
	limits   connector.BrokerLimits
	defaults map[string]string // settings of a broker; nil when they can't be read

	configs, status topic // of the group, looked up by kafka.group-topics
}

// subject is what is known of one connector.
type subject struct {
	*look
	cfg     connector.Config
	client  *kudu.Client
	outlook *connector.Outlook // nil until kudu.table has found nothing
	tablets []*kudu.Tablet
	now     time.Time // the cluster's, as far as it is known

	rows, positions topic // looked up by kafka.topic and kafka.offsets
	stored          map[string]offsets.Position
}

// Options says what to look at.
type Options struct {
	Worker     connector.WorkerConfig
	Connectors []connector.Config
	Logger     hclog.Logger // nil: none
	// CoordinatorPatience is how long Kafka's coordinators may take to come. Default
	// 10 s.
	CoordinatorPatience time.Duration
}

// Check runs all checks. It comes back with an error only when ctx ends.
func Check(ctx context.Context, o Options) (*Report, error) {
	l, subjects, err := begin(ctx, o)
	if err != nil {
		return nil, err
	}
	defer finish(l, subjects)
	r := &Report{Findings: []Finding{}, Checks: []Outcome{}}
	for _, c := range checks {
		if c.worker != nil {
			r.run(ctx, c, l, nil)
		}
	}
	for _, s := range subjects {
		for _, c := range checks {
			if c.connector != nil {
				r.run(ctx, c, l, s)
			}
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("checking: %w", ctx.Err())
	}
	return r, nil
}

// begin makes the clients, which connect to nothing yet.
func begin(ctx context.Context, o Options) (*look, []*subject, error) {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	l := &look{worker: o.Worker, logger: o.Logger, patience: o.CoordinatorPatience}
	if l.patience <= 0 {
		l.patience = coordinatorPatience
	}
	var err error
	// A check is to say what is the matter within seconds; where it pays to wait, it
	// does so by itself.
	if l.client, err = kgo.NewClient(append(connector.KafkaClientOpts(ctx, o.Worker, o.Logger), kgo.RequestRetries(3))...); err != nil {
		return nil, nil, fmt.Errorf("making a client of Kafka: %w", err)
	}
	l.adm = kadm.NewClient(l.client)
	var subjects []*subject
	for _, cfg := range o.Connectors {
		client, err := kudu.New(connector.KuduConfig(cfg, o.Logger))
		if err != nil {
			finish(l, subjects)
			return nil, nil, fmt.Errorf("connector %q: %w", cfg.Name, err)
		}
		subjects = append(subjects, &subject{look: l, cfg: cfg, client: client, now: time.Now()})
	}
	return l, subjects, nil
}

func finish(l *look, subjects []*subject) {
	l.client.Close()
	for _, s := range subjects {
		_ = s.client.Close()
	}
}

// run runs one check, if it can be.
func (r *Report) run(ctx context.Context, c check, l *look, s *subject) {
	o := Outcome{Check: c.name, State: Done}
	if s != nil {
		o.Connector = s.cfg.Name
	}
	if o.Why = lacks(c.needs, l, s); o.Why != "" {
		o.State = Skipped
		r.Checks = append(r.Checks, o)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found []Finding
	var err error
	if s == nil {
		found, err = c.worker(ctx, l)
	} else {
		found, err = c.connector(ctx, s)
	}
	if err != nil {
		o.State, o.Why = Failed, oneLine(err.Error())
	}
	for _, f := range found {
		f.Check, f.Connector, f.Problem = o.Check, o.Connector, oneLine(f.Problem)
		r.Findings = append(r.Findings, f)
	}
	r.Checks = append(r.Checks, o)
}

// lacks says what a check would need and doesn't have.
func lacks(n need, l *look, s *subject) string {
	switch {
	case (n == needKafka || n == needBoth) && !l.kafka:
		return "Kafka can't be reached"
	case (n == needTable || n == needBoth) && s.outlook == nil:
		return "the table can't be read as it is configured"
	}
	return ""
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// found makes a list of one finding.
func found(s Severity, key, problem, remedy string) []Finding {
	return []Finding{{Severity: s, Key: key, Problem: problem, Remedy: remedy}}
}

// faultFindings are the faults that keep a worker from starting.
func faultFindings(name string, faults []connector.Fault) []Finding {
	var out []Finding
	for _, f := range faults {
		out = append(out, Finding{
			Severity: Error, Key: f.Key, Remedy: f.Remedy,
			Problem: strings.TrimPrefix(f.What, fmt.Sprintf("connector %q: ", name)),
		})
	}
	return out
}

// checkSecrets looks for those that the configuration lets others read.
func checkSecrets(_ context.Context, l *look) ([]Finding, error) {
	var out []Finding
	for _, f := range l.worker.Exposed() {
		out = append(out, Finding{Severity: Warning, Key: f.Key, Problem: f.What, Remedy: f.Remedy})
	}
	return out, nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// some lists the first of many.
func some(items []string) string {
	const most = 5
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}
