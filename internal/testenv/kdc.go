package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Realm is the realm of a KDC that is asked for no other.
const Realm = "KUDU.TEST"

// KDC is a running Kerberos key distribution center with a realm of its own.
// The embedded Server kills, pauses and restarts it.
type KDC struct {
	*Server
	realm    string
	services map[string]bool // of clusters
	trusted  []*KDC
	hosts    map[string]*KDC // whose services are in another realm
	programs *kerberosPrograms
	data     *dataDir
	ports    ports

	intolerant *Server // nil before StartIntolerant
}

// StartKDC makes the realm Realm and starts its KDC. Close must be called.
func StartKDC(ctx context.Context) (*KDC, error) { return startKDC(ctx, Realm) }

func startKDC(ctx context.Context, realm string) (*KDC, error) {
	programs, err := fetchKerberos(ctx)
	if err != nil {
		return nil, err
	}
	data, err := newDataDir(ctx)
	if err != nil {
		return nil, err
	}
	k := &KDC{Server: &Server{}, realm: realm, services: map[string]bool{}, hosts: map[string]*KDC{}, programs: programs, data: data}
	if err := k.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the KDC: %w", err), k.Close())
	}
	return k, nil
}

func (k *KDC) start(ctx context.Context) error {
	addr, err := k.ports.takeAddr()
	if err != nil {
		return err
	}
	k.addr = addr
	if err := k.writeClientConf(); err != nil {
		return err
	}
	if err := os.WriteFile(k.file("kdc.conf"), []byte(k.serverConf(addr)), 0o600); err != nil {
		return err
	}
	if _, err := k.run(ctx, "", "kdb5_util", "create", "-s", "-r", k.realm, "-P", "master"); err != nil {
		return err
	}
	k.Server = k.server("krb5kdc", addr, k.file("kdc.conf"))
	if err := k.Server.start(); err != nil {
		return err
	}
	return k.waitReady(ctx)
}

// server is a KDC on the realm's database, with the settings of that file.
func (k *KDC) server(name, addr, conf string) *Server {
	return &Server{
		addr:  addr,
		ready: func(ctx context.Context) error { return dial(ctx, addr) },
		command: Command{
			Name: name, Path: k.programs.path("krb5kdc"), Args: []string{"-n", "-r", k.realm, "-P", k.file(name + ".pid")},
			Env: append(k.env(), "KRB5_KDC_PROFILE="+conf), Log: k.file(name + ".log"),
		},
	}
}

// StartIntolerant starts a second KDC of the realm. It bears no difference between
// its clock and a client's, not even none, and so refuses whoever must prove the time
// (KRB_AP_ERR_SKEW), or shows a ticket of this second (KRB_AP_ERR_TKT_NYV). Close ends
// it.
func (k *KDC) StartIntolerant(ctx context.Context) (*Server, error) {
	if k.intolerant != nil {
		return nil, errors.New("starting a KDC that bears no clock: there is one")
	}
	addr, err := k.ports.takeAddr()
	if err != nil {
		return nil, err
	}
	// What kdc.conf says goes before krb5.conf, and is for KDCs only.
	conf := k.file("intolerant.conf")
	if err := os.WriteFile(conf, []byte(k.serverConf(addr)+"[libdefaults]\n  clockskew = -1\n"), 0o600); err != nil {
		return nil, err
	}
	s := k.server("krb5kdc-intolerant", addr, conf)
	if err := s.start(); err != nil {
		return nil, err
	}
	k.intolerant = s
	return s, s.waitReady(ctx)
}

func (k *KDC) file(name string) string { return filepath.Join(k.data.path, name) }

func (k *KDC) writeClientConf() error {
	return os.WriteFile(k.ClientConf(), []byte(k.clientConf()), 0o600)
}

func (k *KDC) clientConf() string {
	realms, hosts, modules := "", "", ""
	for _, r := range append([]*KDC{k}, k.trusted...) {
		realms += fmt.Sprintf("  %s = {\n    kdc = %s\n  }\n", r.realm, r.addr)
	}
	for host, r := range k.hosts {
		hosts += fmt.Sprintf("  %s = %s\n", host, r.realm)
	}
	if k.programs.kdb != "" {
		modules = "[dbmodules]\n  db_module_dir = " + k.programs.kdb + "\n"
	}
	return fmt.Sprintf(`[libdefaults]
  default_realm = %s
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
  ticket_lifetime = 24h
  renew_lifetime = 7d
[realms]
%s[domain_realm]
%s%s`, k.realm, realms, hosts, modules)
}

func (k *KDC) serverConf(addr string) string {
	return fmt.Sprintf(`[kdcdefaults]
  kdc_listen = %[2]s
  kdc_tcp_listen = %[2]s
[realms]
  %[1]s = {
    database_name = %[3]s/principal
    key_stash_file = %[3]s/stash
    acl_file = %[3]s/kadm5.acl
    supported_enctypes = aes256-cts:normal aes128-cts:normal aes256-sha2:normal
    max_life = 24h
    max_renewable_life = 7d
  }
[logging]
  kdc = STDERR
`, k.realm, addr, k.data.path)
}

func (k *KDC) env() []string {
	return append(k.programs.env(), "KRB5_CONFIG="+k.ClientConf(), "KRB5_KDC_PROFILE="+k.file("kdc.conf"))
}

// run runs one of the programs to its end, with the given standard input.
func (k *KDC) run(ctx context.Context, input, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, k.programs.path(program), args...)
	cmd.Env = append(os.Environ(), k.env()...)
	cmd.Stdin = strings.NewReader(input)
	cmd.SysProcAttr = childAttributes()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runQuietly(cmd); err != nil {
		return out.Bytes(), fmt.Errorf("running %s %s: %w\n%s", program, strings.Join(args, " "), err, out.Bytes())
	}
	return out.Bytes(), nil
}

// admin gives one command to the realm's database.
func (k *KDC) admin(ctx context.Context, command string) error {
	name, _, _ := strings.Cut(command, " ")
	out, err := k.run(ctx, "", "kadmin.local", "-r", k.realm, "-q", command)
	if err != nil {
		return fmt.Errorf("administering the realm by %q: %w", name, err)
	}
	// Its exit code doesn't tell of a command that failed, other than that all
	// of them tell of what they did.
	for _, done := range []string{" created.", " changed.", " modified.", "Entry for principal "} {
		if bytes.Contains(out, []byte(done)) {
			return nil
		}
	}
	return fmt.Errorf("administering the realm by %q: %s", name, bytes.TrimSpace(out))
}

// ClientConf is the path of the krb5.conf for this realm.
func (k *KDC) ClientConf() string { return k.file("krb5.conf") }

// AddUser makes a principal with a password. life bounds its tickets; zero is
// the realm's day. Its clients must prove that they know the password before
// they are given a ticket, as is usual.
func (k *KDC) AddUser(ctx context.Context, name, password string, life time.Duration) error {
	return k.admin(ctx, "addprinc +requires_preauth "+maxLife(life)+"-pw "+password+" "+name)
}

// AddService makes a principal with a random key.
func (k *KDC) AddService(ctx context.Context, name string, life time.Duration) error {
	return k.admin(ctx, "addprinc "+maxLife(life)+"-randkey "+name)
}

// addOnce is AddService for what clusters of one KDC share.
func (k *KDC) addOnce(ctx context.Context, name string) error {
	if k.services[name] {
		return nil
	}
	k.services[name] = true
	return k.AddService(ctx, name, 0)
}

// SetLife bounds the tickets that the principal is given from then on.
func (k *KDC) SetLife(ctx context.Context, name string, life time.Duration) error {
	return k.admin(ctx, "modprinc "+maxLife(life)+name)
}

// ChangePassword gives a principal another password; its keytabs stop working.
func (k *KDC) ChangePassword(ctx context.Context, name, password string) error {
	return k.admin(ctx, "cpw -pw "+password+" "+name)
}

// Lock has the KDC refuse the principal tickets, until Unlock.
func (k *KDC) Lock(ctx context.Context, name string) error {
	return k.admin(ctx, "modprinc -allow_tix "+name)
}

// Unlock ends what Lock began.
func (k *KDC) Unlock(ctx context.Context, name string) error {
	return k.admin(ctx, "modprinc +allow_tix "+name)
}

// Trust lets this realm's users use the services of the other, and tells clients
// and the KDC itself, which is restarted for it, that those of the hosts are there.
func (k *KDC) Trust(ctx context.Context, other *KDC, hosts ...string) error {
	name := "krbtgt/" + other.realm + "@" + k.realm
	for _, r := range []*KDC{k, other} {
		if err := r.admin(ctx, "addprinc -pw between "+name); err != nil {
			return err
		}
	}
	return k.Know(ctx, other, hosts...)
}

// Know tells this realm's clients and its KDC where another realm's KDC is, and
// that the hosts' services are in that realm.
func (k *KDC) Know(ctx context.Context, other *KDC, hosts ...string) error {
	k.trusted = append(k.trusted, other)
	for _, host := range hosts {
		k.hosts[host] = other
	}
	if err := k.writeClientConf(); err != nil {
		return err
	}
	return k.Restart(ctx)
}

func maxLife(life time.Duration) string {
	if life == 0 {
		return ""
	}
	return fmt.Sprintf("-maxlife \"%d seconds\" ", int(life.Seconds()))
}

// Keytab writes the principal's keys into a keytab and returns its path. The
// keys, and so a password, stay what they are.
func (k *KDC) Keytab(ctx context.Context, name string) (string, error) {
	path := k.file(strings.ReplaceAll(name, "/", "_") + ".keytab")
	return path, k.admin(ctx, "ktadd -norandkey -k "+path+" "+name)
}

// Kinit gets a ticket by a password into a new ticket cache and returns its
// path.
func (k *KDC) Kinit(ctx context.Context, name, password string) (string, error) {
	path := k.file(strings.ReplaceAll(name, "/", "_") + ".ccache")
	_, err := k.run(ctx, password+"\n", "kinit", "-c", "FILE:"+path, name)
	return path, err
}

// KinitKeytab is Kinit by a keytab.
func (k *KDC) KinitKeytab(ctx context.Context, name, keytab string) (string, error) {
	path := k.file(strings.ReplaceAll(name, "/", "_") + ".ccache")
	_, err := k.run(ctx, "", "kinit", "-c", "FILE:"+path, "-k", "-t", keytab, name)
	return path, err
}

// Logins is how many ticket-granting tickets the user has been given, by all of the
// user's processes, since the KDC began.
func (k *KDC) Logins(name string) (int, error) {
	text, err := os.ReadFile(k.Log())
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " AS_REQ ") && strings.Contains(line, " ISSUE: ") && strings.Contains(line, " "+name+"@") {
			n++
		}
	}
	return n, nil
}

// Dir returns the KDC's folder: database, keytabs, ticket caches, logs. Close
// removes it.
func (k *KDC) Dir() string { return k.data.path }

// Close kills the KDC and removes its data. It may be called more than once.
func (k *KDC) Close() error {
	servers := []*Server{k.Server}
	if k.intolerant != nil {
		servers = append(servers, k.intolerant)
	}
	return errors.Join(killAll(servers), k.data.remove(), k.ports.close())
}
