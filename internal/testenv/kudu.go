package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// KuduConfig says what StartKudu starts. The zero value is one master and one
// tablet server.
type KuduConfig struct {
	Masters       int // default 1
	TabletServers int // default 1

	// Flags are added to each server's command line, MasterFlags and
	// TabletServerFlags to those of one kind. They override the defaults.
	Flags             []string
	MasterFlags       []string
	TabletServerFlags []string

	// Proxy, if set, is given the address of each tablet server, and returns
	// the one that it advertises: all clients, and the other replicas of its
	// tablets, go through the caller's proxy.
	Proxy func(addr string) (string, error)

	// Kerberos, if set, has the servers demand authentication by this KDC, and
	// encryption. Their service is kudu/127.0.0.1; KuduAdmin, who needs no
	// further principal, is the superuser.
	Kerberos *KDC
}

// KuduAdmin is the principal of the superuser of a cluster with Kerberos, which
// CLI works as.
const KuduAdmin = "kuduadmin"

// Kudu is a running Kudu cluster.
type Kudu struct {
	home     string   // of the programs
	kerberos []string // environment of the programs of a cluster with Kerberos
	data     *dataDir
	ports    ports
	masters  []*Server
	tservers []*Server
}

// StartKudu starts a cluster and returns when all its tablet servers have
// registered with the leader of the masters. Close must be called.
func StartKudu(ctx context.Context, config KuduConfig) (*Kudu, error) {
	config.Masters = max(1, config.Masters)
	config.TabletServers = max(1, config.TabletServers)
	home, err := fetchKudu(ctx)
	if err != nil {
		return nil, err
	}
	data, err := newDataDir(ctx)
	if err != nil {
		return nil, err
	}
	k := &Kudu{home: home, data: data}
	err = k.secure(ctx, &config)
	if err == nil {
		err = k.start(ctx, config)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting Kudu: %w", err), k.Close())
	}
	return k, nil
}

func (k *Kudu) start(ctx context.Context, config KuduConfig) error {
	var addrs []string
	for range config.Masters {
		addr, err := k.ports.takeAddr()
		if err != nil {
			return err
		}
		addrs = append(addrs, addr)
	}
	for i, addr := range addrs {
		flags := append([]string{}, config.Flags...)
		if len(addrs) > 1 {
			flags = append(flags, "--master_addresses="+strings.Join(addrs, ","))
		}
		k.masters = append(k.masters, k.server("kudu-master", i, addr, append(flags, config.MasterFlags...)))
	}
	for i := range config.TabletServers {
		addr, err := k.ports.takeAddr()
		if err != nil {
			return err
		}
		flags := append([]string{"--tserver_master_addrs=" + strings.Join(addrs, ",")}, config.Flags...)
		if config.Proxy != nil {
			advertised, err := config.Proxy(addr)
			if err != nil {
				return fmt.Errorf("placing a tablet server behind a proxy: %w", err)
			}
			flags = append(flags, "--rpc_advertised_addresses="+advertised)
		}
		k.tservers = append(k.tservers, k.server("kudu-tserver", i, addr, append(flags, config.TabletServerFlags...)))
	}
	for _, s := range k.Servers() {
		if err := s.start(); err != nil {
			return err
		}
	}
	for _, s := range k.Servers() {
		if err := s.waitReady(ctx); err != nil {
			return err
		}
	}
	return k.waitRegistered(ctx)
}

// secure adds what the servers of a cluster with Kerberos need. They go by the
// address that everybody reaches them at, whatever this machine is called.
func (k *Kudu) secure(ctx context.Context, config *KuduConfig) error {
	kdc := config.Kerberos
	if kdc == nil {
		return nil
	}
	const service = "kudu/127.0.0.1"
	keytabs := map[string]string{service: "", KuduAdmin: ""}
	for name := range keytabs {
		if err := kdc.addOnce(ctx, name); err != nil {
			return err
		}
		var err error
		if keytabs[name], err = kdc.Keytab(ctx, name); err != nil {
			return err
		}
	}
	cache, err := kdc.KinitKeytab(ctx, KuduAdmin, keytabs[KuduAdmin])
	if err != nil {
		return err
	}
	k.kerberos = []string{"KRB5_CONFIG=" + kdc.ClientConf(), "KRB5CCNAME=FILE:" + cache}
	config.Flags = append([]string{
		"--keytab_file=" + keytabs[service], "--principal=" + service, "--host_for_tests=127.0.0.1",
		"--rpc_authentication=required", "--rpc_encryption=required", "--superuser_acl=" + KuduAdmin,
	}, config.Flags...)
	config.MasterFlags = append([]string{"--ipki_ca_key_size=2048"}, config.MasterFlags...) // starts sooner
	return nil
}

// server describes one server; it does not start it.
func (k *Kudu) server(program string, i int, addr string, flags []string) *Server {
	name := program + "-" + strconv.Itoa(i)
	args := append([]string{
		"--fs_wal_dir=" + filepath.Join(k.data.path, name),
		"--rpc_bind_addresses=" + addr,
		"--webserver_interface=127.0.0.1",
		"--webserver_port=0",
		"--time_source=system_unsync", // no NTP daemon needed
		"--unlock_unsafe_flags",
		"--unlock_experimental_flags",
		"--logtostderr",
		"--minloglevel=1",
		// Data must outlive the server's process, not the machine.
		"--never_fsync",
		// The default of 80 % of the machine's memory, times the servers of all
		// test binaries that run at once, is too much.
		"--memory_limit_hard_bytes=" + strconv.Itoa(4<<30),
	}, flags...)
	if program == "kudu-tserver" {
		// A tablet server learns of the master only at its next heartbeat.
		args = append([]string{"--heartbeat_interval_ms=100"}, args...)
	}
	return &Server{
		addr:  addr,
		ready: func(ctx context.Context) error { return dial(ctx, addr) },
		command: Command{
			Name: name,
			Path: filepath.Join(k.home, "bin", program),
			Args: args,
			Env:  k.env(),
			Log:  filepath.Join(k.data.path, name+".log"),
		},
	}
}

// env is for Kudu's own programs only: the archive's libraries would break
// others.
func (k *Kudu) env() []string {
	return append([]string{
		"LD_LIBRARY_PATH=" + filepath.Join(k.home, "lib"),
		"SASL_PATH=" + filepath.Join(k.home, "lib", "sasl2"),
	}, k.kerberos...)
}

// waitRegistered waits until the leader of the masters knows all tablet servers.
func (k *Kudu) waitRegistered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := poll(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		for _, s := range k.Servers() {
			if !s.Process().Running() {
				return permanent(fmt.Errorf("%s: %w", s.Name(), s.Process().exitError()))
			}
		}
		uuids, err := k.ListTabletServers(ctx)
		if err == nil && len(uuids) != len(k.tservers) {
			err = fmt.Errorf("%d of %d tablet servers are registered", len(uuids), len(k.tservers))
		}
		return err
	})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("waiting for the tablet servers to register: %w", err)
	for _, s := range k.Servers() {
		err = fmt.Errorf("%w\n--- %s\n%s", err, s.Name(), Tail(s.Log(), tailLines))
	}
	return err
}

// Masters returns the addresses of the masters.
func (k *Kudu) Masters() []string {
	var addrs []string
	for _, s := range k.masters {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// MasterServers returns the masters.
func (k *Kudu) MasterServers() []*Server { return k.masters }

// TabletServers returns the tablet servers.
func (k *Kudu) TabletServers() []*Server { return k.tservers }

// Servers returns all servers, masters first.
func (k *Kudu) Servers() []*Server {
	return append(append([]*Server{}, k.masters...), k.tservers...)
}

// Dir returns the cluster's folder: data and logs. Close removes it.
func (k *Kudu) Dir() string { return k.data.path }

// CLI runs the kudu program and returns its standard output. The masters'
// addresses are an argument that the caller gives, see MasterArg.
func (k *Kudu) CLI(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(k.home, "bin", "kudu"), args...)
	cmd.Env = append(os.Environ(), k.env()...)
	cmd.SysProcAttr = childAttributes()
	cmd.WaitDelay = 30 * time.Second // more than this machine stands still
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// See Process.run for why the thread is locked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return stdout.Bytes(), fmt.Errorf("running kudu %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// MasterArg returns the masters' addresses as the kudu program takes them.
func (k *Kudu) MasterArg() string { return strings.Join(k.Masters(), ",") }

// ListTabletServers returns the ids of the tablet servers that the leader of
// the masters knows, including those that died lately.
func (k *Kudu) ListTabletServers(ctx context.Context) ([]string, error) {
	out, err := k.CLI(ctx, "tserver", "list", k.MasterArg(), "-columns=uuid", "-format=csv")
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(out)), nil
}

// WaitHealthy waits until Kudu's own check of the cluster finds all servers up
// and all tablets with a leader and enough replicas.
func (k *Kudu) WaitHealthy(ctx context.Context) error {
	err := poll(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		out, err := k.CLI(ctx, "cluster", "ksck", k.MasterArg())
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for Kudu to be healthy: %w", err)
	}
	return nil
}

// Close kills the servers, paused or not, and removes their data. It may be
// called more than once.
func (k *Kudu) Close() error {
	return errors.Join(killAll(k.Servers()), k.data.remove(), k.ports.close())
}
