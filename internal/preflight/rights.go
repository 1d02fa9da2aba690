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
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
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
	if err := l.ofTopics(ctx, have, topics); err != nil {
		return nil, err
	}
	return l.lacking(have, connector.WorkerRights(l.worker), topics, 1), nil
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
	if err := s.ofTopics(ctx, have, topics); err != nil {
		return nil, err
	}
	out := s.lacking(have, connector.KafkaRights(s.worker, s.cfg, len(s.positions.partitions)), topics, s.cfg.TasksMax)
	ids, err := s.transactionalIDs(ctx)
	return append(out, ids...), err
}

// lacking are the rights that Kafka doesn't grant. Tasks is how many partitions the
// topics need.
func (l *look) lacking(have grants, rights []connector.KafkaRight, topics []topic, tasks int) []Finding {
	var out []Finding
	for _, r := range rights {
		if needless(r, topics, tasks) {
			continue
		}
		allowed, told := have.allows(r.Right)
		if r.Instead != nil && !allowed {
			instead, toldInstead := have.allows(*r.Instead)
			allowed, told = instead, told || toldInstead
		}
		if allowed || !told {
			continue
		}
		severity := Error
		if r.Optional || r.Operation == "CREATE" && hidden(r.Name, topics) {
			severity = Warning
		}
		out = append(out, Finding{
			Severity: severity, Problem: fmt.Sprintf("%s lacks %s, for %s", l.who(), r, r.For), Remedy: "have it granted: " + l.grant(r.Right),
		})
	}
	return out
}

// who is the user as findings have it.
func (l *look) who() string {
	if p := connector.KafkaPrincipal(l.worker); p != "" {
		return p
	}
	return "this user"
}

// grant are the commands that grant rights.
func (l *look) grant(rights ...kafka.Right) string {
	return strings.Join(kafka.Grants(strings.Join(l.worker.BootstrapServers, ","), principalOr(connector.KafkaPrincipal(l.worker)), rights), "; ")
}

// principalOr has a name for people to replace stand for one that isn't known.
func principalOr(principal string) string {
	if principal == "" {
		return "User:NAME"
	}
	return principal
}

// needless are rights for what is there already, and those that another check has
// tried.
func needless(r connector.KafkaRight, topics []topic, tasks int) bool {
	switch r.Resource {
	case kafka.ResourceTopic:
	case kafka.ResourceCluster, kafka.ResourceTransactionalID:
		return true // kafka.limits, and transactionalIDs
	default:
		return false
	}
	t := lookedAt(r.Name, topics)
	switch r.Operation {
	case "CREATE":
		return t.exists
	case "ALTER":
		return !t.exists || t.hidden || len(t.partitions) >= tasks
	}
	return false
}

// hidden reports that nobody knows whether the topic is there.
func hidden(name string, topics []topic) bool { return lookedAt(name, topics).hidden }

// lookedAt is the topic of that name; none of an unknown one.
func lookedAt(name string, topics []topic) topic {
	for _, t := range topics {
		if t.name == name {
			return t
		}
	}
	return topic{}
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

func resourceOf(t kafka.ResourceType, name string) string { return string(t) + " " + name }

func (g grants) allows(r kafka.Right) (allowed, told bool) {
	operations, told := g[resourceOf(r.Resource, r.Name)]
	return slices.ContainsFunc(operations, func(o kadm.ACLOperation) bool {
		return strings.ReplaceAll(strings.ToUpper(o.String()), "_", "") == strings.ReplaceAll(r.Operation, "_", "")
	}), told
}

// ofTopics takes what Kafka told of topics. Of one that it doesn't show, it isn't
// known whether it is there: asked to make it, and to do nothing, Kafka tells.
func (l *look) ofTopics(ctx context.Context, have grants, topics []topic) error {
	for n := range topics {
		t := &topics[n]
		at := resourceOf(kafka.ResourceTopic, t.name)
		switch {
		case t.hidden:
			have[at] = nil
			resp, err := l.adm.ValidateCreateTopics(ctx, 1, -1, nil, t.name)
			if err == nil {
				err = resp[t.name].Err
			}
			switch {
			case errors.Is(err, kerr.TopicAlreadyExists):
				t.exists = true
			case err == nil:
				have[at] = []kadm.ACLOperation{kmsg.ACLOperationCreate}
			case !errors.Is(err, kerr.TopicAuthorizationFailed) && !errors.Is(err, kerr.ClusterAuthorizationFailed):
				return fmt.Errorf("asking whether topic %q may be made: %w", t.name, err)
			}
		case t.told:
			have[at] = t.operations
		}
	}
	return nil
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
		have[resourceOf(kafka.ResourceCluster, kafka.ClusterName)] = kadm.DecodeACLOperations(told.ClusterAuthorizedOperations)
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
		have[resourceOf(kafka.ResourceGroup, group)] = nil
		return nil
	case errors.Is(err, kerr.CoordinatorNotAvailable):
		return nil // not told; kafka.group says so
	case err != nil:
		return fmt.Errorf("asking for the rights on group %q: %w", group, err)
	}
	for _, g := range groups.Groups {
		switch {
		case errors.Is(kerr.ErrorForCode(g.ErrorCode), kerr.GroupAuthorizationFailed):
			have[resourceOf(kafka.ResourceGroup, g.Group)] = nil
		case g.AuthorizedOperations != untold:
			have[resourceOf(kafka.ResourceGroup, g.Group)] = kadm.DecodeACLOperations(g.AuthorizedOperations)
		}
	}
	return nil
}

// transactionalIDs looks whether the transactional ids may be described. Kafka
// doesn't tell whether they may be written without a write.
func (s *subject) transactionalIDs(ctx context.Context) ([]Finding, error) {
	var ids []string
	for _, r := range connector.KafkaRights(s.worker, s.cfg, len(s.positions.partitions)) {
		if r.Resource == kafka.ResourceTransactionalID {
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
	var missing []kafka.Right
	for _, id := range denied {
		missing = append(missing, kafka.Right{Operation: "WRITE", Resource: kafka.ResourceTransactionalID, Name: id})
	}
	switch {
	case len(denied) > 0:
		return []Finding{{
			Severity: Error, Key: "group.id", Problem: fmt.Sprintf("%s lacks WRITE on %s %s", s.who(), plural(len(denied), "transactional id:", "transactional ids:"), some(denied)),
			Remedy: "have it granted: " + s.grant(missing...),
		}}, nil
	case errors.Is(err, kerr.CoordinatorNotAvailable):
		return found(Warning, "", "Kafka has no coordinator for transactions: its topic __transaction_state isn't there, or has no leader",
			"wait a moment if the cluster is new; else compare the brokers' transaction.state.log.replication.factor with the number of brokers"), nil
	case err != nil && !errors.Is(err, kerr.TransactionalIDNotFound):
		return nil, fmt.Errorf("asking for the transactional ids: %w", err)
	}
	return nil, nil
}
