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

// checkKafkaRights asks Kafka for what this user may do, where Kafka tells. Without
// an authorizer everything is allowed.
func checkKafkaRights(ctx context.Context, s *subject) ([]Finding, error) {
	guarded, err := s.guarded(ctx)
	if err != nil || !guarded {
		return nil, err
	}
	have, err := s.granted(ctx)
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, r := range connector.KafkaRights(s.worker, s.cfg, len(s.positions.partitions)) {
		if s.needless(r) {
			continue
		}
		allowed, told := have.allows(r)
		if r.Instead != nil && !allowed {
			instead, toldInstead := have.allows(*r.Instead)
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
	ids, err := s.transactionalIDs(ctx)
	return append(out, ids...), err
}

// needless are rights for what is there already, and those that another check has
// tried.
func (s *subject) needless(r connector.KafkaRight) bool {
	switch r.Resource {
	case connector.ResourceTopic:
	case connector.ResourceCluster, connector.ResourceTransactionalID:
		return true // kafka.limits, and below
	default:
		return false
	}
	t := s.rows
	if r.Name == s.positions.name {
		t = s.positions
	}
	switch r.Operation {
	case "CREATE":
		return t.exists
	case "ALTER":
		return !t.exists || len(t.partitions) >= s.cfg.TasksMax
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

// granted asks for what may be done with the topics, the group and the cluster.
func (s *subject) granted(ctx context.Context) (grants, error) {
	have := make(grants)
	for _, t := range []topic{s.rows, s.positions} {
		switch {
		case t.hidden:
			have[resourceOf(connector.ResourceTopic, t.name)] = nil
		case t.told:
			have[resourceOf(connector.ResourceTopic, t.name)] = t.operations
		}
	}
	cluster := kmsg.NewPtrDescribeClusterRequest()
	cluster.IncludeClusterAuthorizedOperations = true
	told, err := cluster.RequestWith(ctx, s.look.client)
	if err == nil {
		err = kerr.ErrorForCode(told.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the rights on the cluster: %w", err)
	}
	if told.ClusterAuthorizedOperations != untold {
		have[resourceOf(connector.ResourceCluster, connector.ClusterResource)] = kadm.DecodeACLOperations(told.ClusterAuthorizedOperations)
	}
	group := s.cfg.GroupID(s.worker.GroupID)
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	groups, err := req.RequestWith(ctx, s.look.client)
	if err != nil {
		if errors.Is(err, kerr.GroupAuthorizationFailed) {
			have[resourceOf(connector.ResourceGroup, group)] = nil
			return have, nil
		}
		return nil, fmt.Errorf("asking for the rights on group %q: %w", group, err)
	}
	for _, g := range groups.Groups {
		switch {
		case errors.Is(kerr.ErrorForCode(g.ErrorCode), kerr.GroupAuthorizationFailed):
			have[resourceOf(connector.ResourceGroup, g.Group)] = nil
		case g.AuthorizedOperations != untold:
			have[resourceOf(connector.ResourceGroup, g.Group)] = kadm.DecodeACLOperations(g.AuthorizedOperations)
		}
	}
	return have, nil
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
	described, err := s.adm.DescribeTransactions(ctx, ids...)
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
	case err != nil && !errors.Is(err, kerr.TransactionalIDNotFound):
		return nil, fmt.Errorf("asking for the transactional ids: %w", err)
	}
	return nil, nil
}
