package kudu_test

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// clusterAuthority writes the certificate of the cluster's own authority, as an
// operator gets it once and for all.
func clusterAuthority(t *testing.T, cluster *testenv.Kudu) (file string) {
	t.Helper()
	conn, err := krpc.Dial(t.Context(), cluster.Masters()[0], krpc.Options{TLS: krpc.TLSRequired})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var resp pb.ConnectToMasterResponsePB
	payload, err := conn.Call(t.Context(), &krpc.Request{
		Service: krpc.MasterService, Method: "ConnectToMaster", Body: &pb.ConnectToMasterRequestPB{},
	}, &resp)
	payload.Release()
	if err != nil || len(resp.GetCaCertDer()) == 0 {
		t.Fatalf("no authority: %v, %v", &resp, err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: resp.GetCaCertDer()[0]})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestJSONWebTokensAreRenewedWhileRowsFlow has tokens of some seconds, and
// servers that close idle connections after one.
func TestJSONWebTokensAreRenewedWhileRowsFlow(t *testing.T) {
	t.Parallel()
	issuer, err := testenv.NewTokenIssuer()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jwks.json"), issuer.KeySet(), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster := testenv.NewKudu(t, testenv.KuduConfig{Flags: []string{
		"--enable_jwt_token_auth=true", "--jwks_file_path=" + filepath.Join(dir, "jwks.json"),
		"--rpc_encryption=required", "--rpc_encrypt_loopback_connections=true", "--user_acl=alice",
		"--rpc_default_keepalive_time_ms=1000",
	}, TabletServerFlags: []string{"--tserver_enforce_access_control=true"}})
	file := filepath.Join(dir, "token")
	renew := func(user string, life time.Duration) {
		t.Helper()
		next := file + ".next"
		token, err := issuer.Token(user, time.Now(), life)
		if err := errors.Join(err, os.WriteFile(next, []byte(token), 0o600), os.Rename(next, file)); err != nil {
			t.Fatal(err)
		}
	}
	// Longer than a round takes on a slow machine, and shorter than all of them.
	const life = 8 * time.Second
	renew("alice", life)
	c, err := kudu.New(kudu.Config{Masters: cluster.Masters(), Security: kudu.Security{
		JWT: kudu.TokenFile(file), CAFile: clusterAuthority(t, cluster),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() }) // after the table's end
	renew("alice", life)
	table := createTable(t, c, simpleTable("jwt"))
	if table.Owner() != "alice" {
		t.Errorf("the table's owner is %q", table.Owner())
	}
	for round := range 5 {
		renew("alice", life)
		write(t, table, kudu.OpInsert, []any{round, "a"})
		if rows := readAll(t, table, kudu.ScanOptions{}); len(rows) != round+1 {
			t.Errorf("%d rows, want %d", len(rows), round+1)
		}
		<-time.After(2500 * time.Millisecond)
	}
	// untilReconnected opens the table when the servers have closed the connections,
	// which they do after a second or, on a slow machine, later.
	untilReconnected := func(user string, life time.Duration, as func(error) bool) (err error) {
		for deadline := time.Now().Add(time.Minute); ; {
			renew(user, life)
			<-time.After(2500 * time.Millisecond)
			if _, err = c.OpenTable(t.Context(), table.Name()); as(err) || time.Now().After(deadline) {
				return err
			}
		}
	}
	for name, tc := range map[string]struct {
		user string
		life time.Duration
		says string
	}{
		"an expired token":        {"alice", -time.Minute, "token expired"},
		"a token of another user": {"mallory", life, "Not authorized"},
	} {
		says := func(err error) bool { return err != nil && strings.Contains(err.Error(), tc.says) }
		if err := untilReconnected(tc.user, tc.life, says); !says(err) || kudu.Retriable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// For the table's end.
	if err := untilReconnected("alice", time.Hour, func(err error) bool { return err == nil }); err != nil {
		t.Error(err)
	}
}
