package kudu

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// This file looks at servers and rights without using them, for checks that run
// before anything else does.

// MasterState is what one of the configured masters answered.
type MasterState struct {
	Addr  string // host:port, as configured
	Leads bool
	Err   error // why it gave no answer
}

// MastersState is what the masters tell of themselves.
type MastersState struct {
	Masters []MasterState // those that are configured, in that order
	// Cluster lists all masters that the cluster has, as host:port and in the
	// cluster's own spelling; empty when none answered.
	Cluster []string
	// ClusterID is the cluster's id; empty when none answered, and before Kudu 1.16.
	ClusterID string
}

// Masters asks each configured master by itself, all at once, one call each
// without a second try.
func (c *Client) Masters(ctx context.Context) MastersState {
	const op = "asking the master"
	out := MastersState{Masters: make([]MasterState, len(c.masters.addrs))}
	answers := make([]*pb.ConnectToMasterResponsePB, len(c.masters.addrs))
	var wg sync.WaitGroup
	for i, addr := range c.masters.addrs {
		wg.Go(func() {
			resp := &pb.ConnectToMasterResponsePB{}
			payload, err := c.call(ctx, addr, op, &krpc.Request{
				Service: krpc.MasterService, Method: "ConnectToMaster", Body: &pb.ConnectToMasterRequestPB{},
			}, resp)
			payload.Release()
			if err == nil && resp.Error != nil {
				err = c.told(masterError(op, addr, resp.Error))
			}
			out.Masters[i] = MasterState{Addr: addr, Leads: err == nil && resp.GetRole() == roleLeader, Err: err}
			if err == nil {
				answers[i] = resp
			}
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a == nil || len(a.GetMasterAddrs()) <= len(out.Cluster) {
			continue
		}
		out.Cluster, out.ClusterID = nil, a.GetClusterId()
		for _, hp := range a.GetMasterAddrs() {
			out.Cluster = append(out.Cluster, hostPort(hp))
		}
	}
	return out
}

// PingServer asks a tablet server for a sign of life: one call, no second try.
func (c *Client) PingServer(ctx context.Context, addr string) error {
	payload, err := c.call(ctx, addr, "pinging the tablet server", &krpc.Request{
		Service: krpc.TabletServerService, Method: "Ping", Body: &pb.PingRequestPB{},
	}, &pb.PingResponsePB{})
	payload.Release()
	return err
}

// Privileges are the rights to a table's rows that the master has granted this
// user, as its authorization token says.
type Privileges struct {
	// Scan is the right to read all columns. Without it Columns are those that
	// may be read, by name.
	Scan                   bool
	Columns                []string
	Insert, Update, Delete bool
}

// CanScan reports whether the column may be read, and named in predicates.
func (p Privileges) CanScan(column string) bool {
	if p.Scan {
		return true
	}
	for _, c := range p.Columns {
		if c == column {
			return true
		}
	}
	return false
}

// Fields of TokenPB, AuthzTokenPB, TablePrivilegePB and ColumnPrivilegePB in
// kudu-1.18.1 src/kudu/security/token.proto.
const (
	tokenFieldAuthz          protowire.Number = 4
	authzFieldTablePrivilege protowire.Number = 2
	privilegeFieldScan       protowire.Number = 2
	privilegeFieldInsert     protowire.Number = 3
	privilegeFieldUpdate     protowire.Number = 4
	privilegeFieldDelete     protowire.Number = 5
	privilegeFieldColumns    protowire.Number = 6
	mapFieldKey              protowire.Number = 1
	mapFieldValue            protowire.Number = 2
	columnFieldScan          protowire.Number = 1
)

// Privileges tells what this user may do with the table's rows. Tablet servers
// that enforce access control go by the token that it reads, and others by
// nothing. known is false when the master gave none.
func (t *Table) Privileges() (p Privileges, known bool) {
	token := t.authzToken()
	if token == nil {
		return p, false
	}
	// A token is the servers' own business and its layout may grow: what can't be
	// read is not known.
	body, ok := fieldBytes(token.GetTokenData(), tokenFieldAuthz)
	if ok {
		body, ok = fieldBytes(body, authzFieldTablePrivilege)
	}
	if !ok {
		return p, false
	}
	err := eachField(body, func(n protowire.Number, value uint64, bytes []byte) error {
		switch n {
		case privilegeFieldScan:
			p.Scan = value != 0
		case privilegeFieldInsert:
			p.Insert = value != 0
		case privilegeFieldUpdate:
			p.Update = value != 0
		case privilegeFieldDelete:
			p.Delete = value != 0
		case privilegeFieldColumns:
			return p.addColumn(t.schema, bytes)
		}
		return nil
	})
	return p, err == nil
}

// addColumn reads an entry of the map of columns that may be read.
func (p *Privileges) addColumn(s *Schema, entry []byte) error {
	var id int32
	var granted []byte
	err := eachField(entry, func(n protowire.Number, value uint64, bytes []byte) error {
		switch n {
		case mapFieldKey:
			id = int32(value)
		case mapFieldValue:
			granted = bytes
		}
		return nil
	})
	if err != nil {
		return err
	}
	may := false
	err = eachField(granted, func(n protowire.Number, value uint64, _ []byte) error {
		may = may || n == columnFieldScan && value != 0
		return nil
	})
	if i := s.indexByID(id); may && i >= 0 {
		p.Columns = append(p.Columns, s.cols[i].Name)
	}
	return err
}

// fieldBytes gives the last field of the number that holds bytes.
func fieldBytes(message []byte, number protowire.Number) (out []byte, found bool) {
	err := eachField(message, func(n protowire.Number, _ uint64, bytes []byte) error {
		if n == number && bytes != nil {
			out, found = bytes, true
		}
		return nil
	})
	return out, found && err == nil
}

// eachField goes through a message: numbers come in value, and what has a length
// in bytes, which is not nil then.
func eachField(message []byte, do func(n protowire.Number, value uint64, bytes []byte) error) error {
	for len(message) > 0 {
		n, typ, size := protowire.ConsumeTag(message)
		if size < 0 {
			return fmt.Errorf("reading a token: %w", protowire.ParseError(size))
		}
		message = message[size:]
		var value uint64
		var bytes []byte
		switch typ {
		case protowire.VarintType:
			value, size = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			if bytes, size = protowire.ConsumeBytes(message); bytes == nil {
				bytes = []byte{}
			}
		default:
			size = protowire.ConsumeFieldValue(n, typ, message)
		}
		if size < 0 {
			return fmt.Errorf("reading a token: %w", protowire.ParseError(size))
		}
		message = message[size:]
		if err := do(n, value, bytes); err != nil {
			return err
		}
	}
	return nil
}
