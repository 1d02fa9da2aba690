package kerberos

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// TestServicesOfOtherRealmsAreReachedByTrust has a user whose realm trusts the
// service's by way of a third one.
func TestServicesOfOtherRealmsAreReachedByTrust(t *testing.T) {
	ctx := t.Context()
	near, middle, far := testenv.NewRealm(t, "NEAR.KUDU.TEST"), testenv.NewRealm(t, testenv.Realm), testenv.NewRealm(t, "FAR.KUDU.TEST")
	// MIT's KDC knows realms of names with a dot, and of no addresses.
	const host = "server.far.test"
	err := errors.Join(
		far.AddService(ctx, "kudu/"+host, 0), near.AddUser(ctx, "alice", alicePassword, 0), far.AddUser(ctx, "eve", alicePassword, 0),
		near.Trust(ctx, middle), middle.Trust(ctx, far, host), near.Know(ctx, far, host), far.Know(ctx, near, "near.test"),
	)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(near.ClientConf())
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), "  "+host+" = FAR.KUDU.TEST\n")
	if !found {
		t.Fatalf("the host's realm isn't in krb5.conf:\n%s", text)
	}
	silent := write(t, filepath.Join(t.TempDir(), "krb5.conf"), []byte(before+after))
	for name, conf := range map[string]string{"krb5.conf names the realm": near.ClientConf(), "the KDC names it": silent} {
		l := newLogin(t, Config{Principal: "alice", Password: secret.New(alicePassword), Conf: conf}, nil)
		got, id, err := l.ticketFor(ctx, host)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Realm != "FAR.KUDU.TEST" || !slices.Equal(got.SName.NameString, []string{"kudu", host}) || id.String() != "alice@NEAR.KUDU.TEST" {
			t.Errorf("%s: a ticket of %s for %v, as %s", name, got.Realm, got.SName.NameString, id)
		}
	}
	// Trust goes one way.
	l := newLogin(t, Config{Principal: "eve", Password: secret.New(alicePassword), Conf: far.ClientConf()}, nil)
	_, _, err = l.ticketFor(ctx, "near.test")
	if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(),
		"the KDC of realm FAR.KUDU.TEST knows no way to realm NEAR.KUDU.TEST, which krb5.conf's [domain_realm] names for kudu/near.test") {
		t.Errorf("got %v", err)
	}
}
