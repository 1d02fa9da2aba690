package preflight

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// checkWorkerRights asks Kafka for what this user may do with the topics of the
// group, where Kafka tells. Without an authorizer everything is allowed.
func checkWorkerRights(ctx context.Context, l *look) ([]Finding, error) {
	guarded, err := l.guarded(ctx)
	if err != nil || !guarded {
		return nil, err
	}
	have := make(grants)
	if err := l.ofCluster(ctx, have); err != nil {
		return nil, err
	}
	topics := []topic{l.configs, l.status}
	have.ofTopics(topics)
	return have.lacking(connector.WorkerRights(l.worker), topics, 1), nil
}

// checkKafkaRights does so for what the connector needs.
func checkKafkaRights(ctx context.Context, s *subject) ([]Finding, error) {
	guarded, err := s.guarded(ctx)
	if err != nil || !guarded {
		return nil, err
	}
	have := make(grants)
	if err := s.ofCluster(ctx, have); err != nil {
		return nil, err
	}
	if err := s.ofGroup(ctx, have); err != nil {
		return nil, err
	}
	topics := []topic{s.rows, s.positions}
	have.ofTopics(topics)
	out := have.lacking(connector.KafkaRights(s.worker, s.cfg, len(s.positions.partitions)), topics, s.cfg.TasksMax)
	ids, err := s.transactionalIDs(ctx)
	return append(out, ids...), err
}

// lacking are the rights that Kafka doesn't grant. Tasks is how many partitions the
// topics need.
func (g grants) lacking(rights []connector.KafkaRight, topics []topic, tasks int) []Finding {
	var out []Finding
	for _, r := range rights {
		if needless(r, topics, tasks) {
			continue
		}
		allowed, told := g.allows(r)
		if r.Instead != nil && !allowed {
			instead, toldInstead := g.allows(*r.Instead)
			allowed, told = instead, told || toldInstead
		}
		if allowed || !told {
			continue
		}
		severity := Error
		if r.Optional {
			severity = Warning
		}
		out = append(out, Finding{Severity: severity, Problem: fmt.Sprintf("this user lacks %s, for %s", r, r.For), Remedy: "have it granted: kafka-acls --add"})
	}
	return out
}

// needless are rights for what is there already, and those that another check has
// tried.
func needless(r connector.KafkaRight, topics []topic, tasks int) bool {
	switch r.Resource {
	case connector.ResourceTopic:
	case connector.ResourceCluster, connector.ResourceTransactionalID:
		return true // kafka.limits, and transactionalIDs
	default:
		return false
	}
	at := slices.IndexFunc(topics, func(t topic) bool { return t.name == r.Name })
	if at < 0 {
		return false
	}
	switch t := topics[at]; r.Operation {
	case "CREATE":
		return t.exists
	case "ALTER":
		return !t.exists || len(t.partitions) >= tasks
	}
	return false
}

// guarded reports whether Kafka has an authorizer.
func (l *look) guarded(ctx context.Context) (bool, error) {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeCluster, kmsg.ACLResourcePatternTypeLiteral
	req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	resp, err := req.RequestWith(ctx, l.client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	switch {
	case errors.Is(err, kerr.SecurityDisabled):
		return false, nil
	case err == nil, errors.Is(err, kerr.ClusterAuthorizationFailed):
		return true, nil
	}
	return false, fmt.Errorf("asking whether Kafka has access control: %w", err)
}

// untold is the bit field of operations that Kafka doesn't tell.
const untold = math.MinInt32

// grants are the operations that Kafka allows this user, by resource; a resource
// that isn't there wasn't told.
type grants map[string][]kadm.ACLOperation

func resourceOf(t connector.ResourceType, name string) string { return string(t) + " " + name }

func (g grants) allows(r connector.KafkaRight) (allowed, told bool) {
	operations, told := g[resourceOf(r.Resource, r.Name)]
	return slices.ContainsFunc(operations, func(o kadm.ACLOperation) bool {
		return strings.ReplaceAll(strings.ToUpper(o.String()), "_", "") == strings.ReplaceAll(r.Operation, "_", "")
	}), told
}

// ofTopics takes what Kafka told of topics.
func (g grants) ofTopics(topics []topic) {
	for _, t := range topics {
		switch {
		case t.hidden:
			g[resourceOf(connector.ResourceTopic, t.name)] = nil
		case t.told:
			g[resourceOf(connector.ResourceTopic, t.name)] = t.operations
		}
	}
}

// ofCluster asks for what may be done with the cluster.
func (l *look) ofCluster(ctx context.Context, have grants) error {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeClusterAuthorizedOperations = true
	told, err := req.RequestWith(ctx, l.client)
	if err == nil {
		err = kerr.ErrorForCode(told.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("asking for the rights on the cluster: %w", err)
	}
	if told.ClusterAuthorizedOperations != untold {
		have[resourceOf(connector.ResourceCluster, connector.ClusterResource)] = kadm.DecodeACLOperations(told.ClusterAuthorizedOperations)
	}
	return nil
}

// ofGroup asks for what may be done with the connector's group.
func (s *subject) ofGroup(ctx context.Context, have grants) error {
	group := s.cfg.GroupID(s.worker.GroupID)
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	var groups *kmsg.DescribeGroupsResponse
	err := s.withCoordinator(ctx, func() (err error) {
		groups, err = req.RequestWith(ctx, s.look.client)
		return err
	})
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		have[resourceOf(connector.ResourceGroup, group)] = nil
		return nil
	case errors.Is(err, kerr.CoordinatorNotAvailable):
		return nil // not told; kafka.group says so
	case err != nil:
		return fmt.Errorf("asking for the rights on group %q: %w", group, err)
	}
	for _, g := range groups.Groups {
		switch {
		case errors.Is(kerr.ErrorForCode(g.ErrorCode), kerr.GroupAuthorizationFailed):
			have[resourceOf(connector.ResourceGroup, g.Group)] = nil
		case g.AuthorizedOperations != untold:
			have[resourceOf(connector.ResourceGroup, g.Group)] = kadm.DecodeACLOperations(g.AuthorizedOperations)
		}
	}
	return nil
}

// transactionalIDs looks whether the transactional ids may be described. Kafka
// doesn't tell whether they may be written without a write.
func (s *subject) transactionalIDs(ctx context.Context) ([]Finding, error) {
	var ids []string
	for _, r := range connector.KafkaRights(s.worker, s.cfg, len(s.positions.partitions)) {
		if r.Resource == connector.ResourceTransactionalID {
			ids = append(ids, r.Name)
		}
	}
	var described kadm.DescribedTransactions
	err := s.withCoordinator(ctx, func() (err error) {
		if described, err = s.adm.DescribeTransactions(ctx, ids...); err != nil {
			return err
		}
		for _, d := range described {
			if errors.Is(d.Err, kerr.CoordinatorNotAvailable) || errors.Is(d.Err, kerr.CoordinatorLoadInProgress) {
				return d.Err
			}
		}
		return nil
	})
	var denied []string
	for _, id := range ids {
		if errors.Is(described[id].Err, kerr.TransactionalIDAuthorizationFailed) {
			denied = append(denied, id)
		}
	}
	// Kafka may refuse to tell even who the coordinator is.
	var parts *kadm.ShardErrors
	if errors.As(err, &parts) {
		for _, part := range parts.Errs {
			req, is := part.Req.(*kmsg.DescribeTransactionsRequest)
			if is && errors.Is(part.Err, kerr.TransactionalIDAuthorizationFailed) {
				denied = append(denied, req.TransactionalIDs...)
			}
		}
		slices.Sort(denied)
	}
	switch {
	case len(denied) > 0:
		return []Finding{{
			Severity: Error, Key: "group.id", Problem: fmt.Sprintf("this user lacks WRITE on %s %s", plural(len(denied), "transactional id:", "transactional ids:"), some(denied)),
			Remedy: fmt.Sprintf("have WRITE granted on all transactional ids that begin with %q: kafka-acls --add --resource-pattern-type prefixed", s.cfg.GroupID(s.worker.GroupID)+"-"),
		}}, nil
	case errors.Is(err, kerr.CoordinatorNotAvailable):
		return found(Warning, "", "Kafka has no coordinator for transactions: its topic __transaction_state isn't there, or has no leader",
			"wait a moment if the cluster is new; else compare the brokers' transaction.state.log.replication.factor with the number of brokers"), nil
	case err != nil && !errors.Is(err, kerr.TransactionalIDNotFound):
		return nil, fmt.Errorf("asking for the transactional ids: %w", err)
	}
	return nil, nil
}
