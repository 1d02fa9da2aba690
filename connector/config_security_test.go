package connector

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func TestKeysOfKuduAuthenticationThatContradictEachOtherAreFaults(t *testing.T) {
	for _, tc := range []struct {
		set  func(*Config)
		want string // the faults' keys
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.KuduCAFile = "/ca" }, ""},
		{func(c *Config) { c.KuduAuthentication = kuduKerberos }, ""},
		{func(c *Config) { c.KuduAuthentication, c.KuduKerberosCache = kuduKerberos, "/cc" }, ""},
		{func(c *Config) {
			c.KuduAuthentication, c.KuduKerberosPrincipal, c.KuduKerberosKeytab = kuduKerberos, "alice", "/k"
		}, ""},
		{func(c *Config) { c.KuduAuthentication, c.KuduKerberosKeytab = kuduKerberos, "/k" }, "kudu.kerberos.principal"},
		{func(c *Config) { c.KuduAuthentication, c.KuduKerberosPassword = kuduKerberos, secret.New("geheim") }, "kudu.kerberos.principal"},
		{func(c *Config) {
			c.KuduAuthentication, c.KuduKerberosPrincipal = kuduKerberos, "alice"
			c.KuduKerberosKeytab, c.KuduKerberosPassword, c.KuduKerberosCache = "/k", secret.New("geheim"), "/cc"
		}, "kudu.kerberos.password kudu.kerberos.ccache"},
		{func(c *Config) { c.KuduKerberosPrincipal, c.KuduKerberosPassword = "alice", secret.New("geheim") }, "kudu.kerberos.principal kudu.kerberos.password"},
		{func(c *Config) { c.KuduJWT = secret.New("geheim") }, "kudu.jwt"},
		{func(c *Config) { c.KuduAuthentication = kuduJWT }, "kudu.jwt.file kudu.tls.ca.file"},
		{func(c *Config) { c.KuduAuthentication, c.KuduJWT, c.KuduCAFile = kuduJWT, secret.New("geheim"), "/ca" }, ""},
		{func(c *Config) {
			c.KuduAuthentication, c.KuduJWT, c.KuduJWTFile, c.KuduCAFile = kuduJWT, secret.New("geheim"), "/f", "/ca"
		}, "kudu.jwt.file"},
		{func(c *Config) { c.KuduAuthentication, c.KuduKerberosConf = "burn", "" }, "kudu.authentication"},
	} {
		c := DefaultConfig()
		c.Name, c.KuduMasters, c.KuduTable, c.Topic = "n", []string{"m:7051"}, "t", "t"
		tc.set(&c)
		var keys []string
		for _, f := range c.Validate() {
			keys = append(keys, f.Key)
			if text := f.String(); strings.Contains(text, "geheim") || f.Remedy == "" {
				t.Errorf("fault %q", text)
			}
		}
		if got := strings.Join(keys, " "); got != tc.want {
			t.Errorf("faults about %q, want %q", got, tc.want)
		}
		if text := fmt.Sprintf("%+v %#v", c, c); strings.Contains(text, "geheim") {
			t.Errorf("a secret is printed: %s", text)
		}
	}
}

func TestKuduClientGetsTheCredentialsOfTheConfiguration(t *testing.T) {
	c := DefaultConfig()
	if s := c.kuduSecurity(); s.Kerberos != nil || s.JWT != nil {
		t.Errorf("%+v", s)
	}
	c.KuduAuthentication, c.KuduKerberosPrincipal, c.KuduKerberosPassword, c.KuduKerberosConf, c.KuduCAFile = kuduKerberos, "alice", secret.New("geheim"), "/conf", "/ca"
	if s := c.kuduSecurity(); s.JWT != nil || s.CAFile != "/ca" ||
		*s.Kerberos != (kudu.Kerberos{Principal: "alice", Password: secret.New("geheim"), Service: "kudu", Conf: "/conf"}) {
		t.Errorf("%+v", s)
	}
	c.KuduAuthentication, c.KuduJWTFile = kuduJWT, filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(c.KuduJWTFile, []byte(" token of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := c.kuduSecurity().JWT(); err != nil || token != "token of the file" {
		t.Errorf("%q, %v", token, err)
	}
	c.KuduJWT = secret.New("token itself")
	if token, err := c.kuduSecurity().JWT(); err != nil || token != "token itself" {
		t.Errorf("%q, %v", token, err)
	}
}

func TestFaultsOfAuthenticationNameTheKeyToCorrect(t *testing.T) {
	refusedErr := &kudu.Error{Op: "x", Err: fmt.Errorf("%w: no", kudu.ErrNotAuthenticated)}
	for _, tc := range []struct {
		way string
		err error
		key string
		is  bool
	}{
		{kuduNone, refusedErr, "kudu.authentication", true},
		{kuduKerberos, refusedErr, "kudu.authentication", true},
		{kuduKerberos, fmt.Errorf("x: %w", kudu.ErrNoKDC), "kudu.kerberos.krb5.conf", true},
		{kuduKerberos, errors.New("else"), "", false},
		{kuduNone, nil, "", false},
	} {
		key, remedy, is := notAuthenticated(Config{KuduAuthentication: tc.way}, tc.err)
		if key != tc.key || is != tc.is || is == (remedy == "") {
			t.Errorf("%s, %v: %s, %q, %t", tc.way, tc.err, key, remedy, is)
		}
	}
}
