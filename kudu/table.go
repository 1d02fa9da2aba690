package kudu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Table is a handle on one table as it was when opened: its schema doesn't
// change in the handle. A table that was dropped and made anew under the same
// name is another table: the handle's operations then fail with
// ErrTableNotFound. Safe for concurrent use.
type Table struct {
	c         *Client
	id        string
	name      string
	schema    *Schema
	layout    *rowLayout
	partition PartitionSchema
	replicas  int
	owner     string
	comment   string
	extra     map[string]string

	mu     sync.Mutex
	authz  *pb.SignedTokenPB // lets this user work with the table; renewed
	router *router           // where rows go; nil until needed
}

// OpenTable gets the table's schema from the master.
func (c *Client) OpenTable(ctx context.Context, name string) (*Table, error) {
	return c.openTable(ctx, &pb.TableIdentifierPB{TableName: &name}, name)
}

// openTable opens a table by its name or id; name stands in errors.
func (c *Client) openTable(ctx context.Context, id *pb.TableIdentifierPB, name string) (*Table, error) {
	const op = "opening"
	resp := &pb.GetTableSchemaResponsePB{}
	if err := c.masters.call(ctx, op, "GetTableSchema", nil, &pb.GetTableSchemaRequestPB{Table: id}, resp); err != nil {
		return nil, withTable(err, op, name)
	}
	if resp.GetTableName() != "" {
		name = resp.GetTableName()
	}
	return c.tableFromPB(op, resp, name)
}

// tableFromPB makes a handle of what a master told.
func (c *Client) tableFromPB(op string, resp *pb.GetTableSchemaResponsePB, name string) (*Table, error) {
	schema, err := schemaFromPB(resp.GetSchema())
	if err != nil {
		return nil, &Error{Op: op, Table: name, Err: errors.Join(ErrMalformed, err)}
	}
	part, err := partitionSchemaFromPB(resp.GetPartitionSchema(), schema)
	if err != nil {
		return nil, &Error{Op: op, Table: name, Err: errors.Join(ErrMalformed, err)}
	}
	return &Table{
		c: c, id: string(resp.GetTableId()), name: name, schema: schema, layout: newRowLayout(schema), partition: part,
		replicas: int(resp.GetNumReplicas()), owner: resp.GetOwner(), comment: resp.GetComment(),
		extra: resp.GetExtraConfigs(), authz: resp.GetAuthzToken(),
	}, nil
}

// ID is the table's id, unique for all time.
func (t *Table) ID() string { return t.id }

// Name is the table's name when it was opened.
func (t *Table) Name() string { return t.name }

// Schema is the table's schema when it was opened.
func (t *Table) Schema() *Schema { return t.schema }

// PartitionSchema tells how rows spread over tablets.
func (t *Table) PartitionSchema() PartitionSchema { return t.partition }

// Replicas is the replication factor.
func (t *Table) Replicas() int { return t.replicas }

// Owner is the user that owns the table.
func (t *Table) Owner() string { return t.owner }

// Comment is the table's comment.
func (t *Table) Comment() string { return t.comment }

// ExtraConfig gives one of the table's settings, such as
// kudu.table.history_max_age_sec.
func (t *Table) ExtraConfig(key string) (string, bool) {
	v, ok := t.extra[key]
	return v, ok
}

// Tablets asks the master for all tablets of the table, in the order of their
// partition keys. Call it again to see range partitions that were added or
// dropped: the list isn't kept.
func (t *Table) Tablets(ctx context.Context) ([]*Tablet, error) {
	return t.c.locations.table(ctx, t)
}

// Refresh asks for the table as it is now. It returns this handle when nothing
// about it has changed, else a new one: the schema, the name, or a setting is
// another. It fails with ErrTableNotFound when the table was dropped, and with
// ErrTableReplaced as well when another one has its name now.
//
// Range partitions that were added or dropped are no such change: Tablets tells
// them.
func (t *Table) Refresh(ctx context.Context) (*Table, error) {
	now, err := t.c.openTable(ctx, t.identifier(), t.name)
	if errors.Is(err, ErrTableNotFound) {
		if other, otherErr := t.c.OpenTable(ctx, t.name); otherErr == nil && other.id != t.id {
			return nil, &Error{Op: "refreshing", Table: t.name, Sent: true,
				Err: fmt.Errorf("%w (id %s, not %s): %w", ErrTableReplaced, other.id, t.id, ErrTableNotFound)}
		}
	}
	if err != nil {
		return nil, withTable(err, "refreshing", t.name)
	}
	if now.name == t.name && now.owner == t.owner && now.comment == t.comment && now.replicas == t.replicas &&
		maps.Equal(now.extra, t.extra) && reflect.DeepEqual(now.schema.cols, t.schema.cols) &&
		reflect.DeepEqual(now.partition, t.partition) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.authz = now.authz
		return t, nil
	}
	return now, nil
}

// SchemaVersion is the number of changes to the table so far, those of range
// partitions too, and whether all tablets know of the last one.
func (t *Table) SchemaVersion(ctx context.Context) (version uint32, settled bool, err error) {
	const op = "asking for the schema version of"
	resp := &pb.IsAlterTableDoneResponsePB{}
	err = t.c.masters.call(ctx, op, "IsAlterTableDone", nil, &pb.IsAlterTableDoneRequestPB{Table: t.identifier()}, resp)
	if err != nil {
		return 0, false, withTable(err, op, t.name)
	}
	return resp.GetSchemaVersion(), resp.GetDone(), nil
}

// identifier names the table by its id, so that a new table under an old name
// isn't mistaken for this one.
func (t *Table) identifier() *pb.TableIdentifierPB {
	return &pb.TableIdentifierPB{TableId: []byte(t.id)}
}

// authzToken is the token to attach to requests that read or write rows.
func (t *Table) authzToken() *pb.SignedTokenPB {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.authz
}

// renewAuthz gets a new authorization token from the master.
func (t *Table) renewAuthz(ctx context.Context) error {
	resp := &pb.GetTableSchemaResponsePB{}
	err := t.c.masters.call(ctx, "renewing the authorization for", "GetTableSchema", nil,
		&pb.GetTableSchemaRequestPB{Table: t.identifier()}, resp)
	if err != nil {
		return withTable(err, "renewing the authorization for", t.name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.authz = resp.GetAuthzToken()
	return nil
}

// withTable adds the table's name to an error of a call.
func withTable(err error, op, table string) error {
	var e *Error
	if errors.As(err, &e) {
		out := *e
		out.Op, out.Table = op, table
		return &out
	}
	return &Error{Op: op, Table: table, Err: err}
}
