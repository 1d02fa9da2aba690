package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// mount lays a folder out as Kubernetes mounts a secret: each key a link into
// ..data, which is a link to the current version.
func mount(t *testing.T, folder, version, password string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(folder, version), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, version, "password"), password+"\n")
	put(t, filepath.Join(folder, version, "kudu.properties"), "user=ann\npassword="+password+"\n")
	next := filepath.Join(folder, "..next")
	link(t, version, next)
	if err := os.Rename(next, filepath.Join(folder, "..data")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"password", "kudu.properties"} {
		if _, err := os.Lstat(filepath.Join(folder, name)); err != nil {
			link(t, "..data/"+name, filepath.Join(folder, name))
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// limited is the access of REST on a worker that allows these paths and variables.
func limited(pattern string, env map[string]string, paths ...string) Access {
	w := connector.DefaultWorkerConfig()
	w.ProvidersAllowedPaths, w.ProvidersEnvPattern = paths, pattern
	return Limited(w, variables(env))
}

// orders is a connector whose password is what is given.
func orders(password string) map[string]string {
	return map[string]string{
		"name": "orders", "kudu.masters": "m:7051", "kudu.table": "t", "topic": "t",
		"kudu.authentication": "kerberos", "kudu.kerberos.principal": "p", "kudu.kerberos.password": password,
	}
}

func TestConfigurationsOfRESTReadNothingByDefault(t *testing.T) {
	folder := t.TempDir()
	mount(t, folder, "..1", "hunter2")
	env := map[string]string{"PASSWORD": "hunter2"}
	for reference, want := range map[string]string{
		"${env:PASSWORD}":                           "config.providers.env.allowlist.pattern",
		"${env:NONE:-hunter2}":                      "config.providers.env.allowlist.pattern",
		"${env:NONE}":                               "config.providers.env.allowlist.pattern",
		"${dir:" + folder + ":password}":            "config.providers.allowed.paths",
		"${dir:" + folder + ":none}":                "config.providers.allowed.paths",
		"${file:" + folder + "/password}":           "config.providers.allowed.paths",
		"${file:" + folder + "/kudu.properties:pw}": "config.providers.allowed.paths",
		"${file:password}":                          "write it from / on",
		"${file:" + folder + "/none}":               "config.providers.allowed.paths",
	} {
		for _, access := range []Access{limited("", env), limited("PASS|WORD|NONE2", env, folder+"/other", filepath.Dir(folder)+"/x", folder+"-more")} {
			_, faults := FromMap(orders(reference), access)
			if len(faults) != 1 || faults[0].Key != "kudu.kerberos.password" || !strings.Contains(faults[0].Remedy, want) {
				t.Errorf("%s has the faults %v, want one with the remedy %s", reference, faults, want)
			}
			for _, f := range faults {
				if strings.Contains(f.String(), "hunter2") || strings.Contains(f.String(), "no such file") || strings.Contains(f.String(), "is not set") {
					t.Errorf("%s: tells more than that it isn't allowed: %s", reference, f)
				}
			}
		}
		for name, plain := range map[string]string{"topic": "a", "kudu.table": "b"} {
			values := orders(plain)
			values[name] = reference
			if _, faults := FromMap(values, limited("", env)); len(faults) != 1 || strings.Contains(faults[0].String(), "hunter2") {
				t.Errorf("%s as %s has the faults %v", reference, name, faults)
			}
		}
	}
}

func TestConfigurationsOfRESTReadWhatIsAllowed(t *testing.T) {
	folder := t.TempDir()
	mount(t, folder, "..1", "hunter2")
	elsewhere := filepath.Join(t.TempDir(), "link")
	link(t, folder, elsewhere)
	env := map[string]string{"KUDU_PASSWORD": "hunter2"}
	for reference, access := range map[string]Access{
		"${env:KUDU_PASSWORD}":                                             limited("KUDU_.*|X", env),
		"${env:KUDU_NONE:-hunter2}":                                        limited("KUDU_.*|X", env),
		"${dir:" + folder + ":password}":                                   limited("", env, "/nowhere", folder),
		"${directory:" + folder + "/:password}":                            limited("", env, folder+"/"),
		"${file:" + folder + "/password}":                                  limited("", env, folder),
		"${file:" + folder + "/kudu.properties:password}":                  limited("", env, folder+"/kudu.properties"),
		"${file:" + folder + "/../" + filepath.Base(folder) + "/password}": limited("", env, folder),
		"${dir:" + elsewhere + ":password}":                                limited("", env, elsewhere),
		"${file:" + elsewhere + "/password}":                               limited("", env, elsewhere, "/"),
	} {
		c, faults := FromMap(orders(reference), access)
		if len(faults) > 0 || c.KuduKerberosPassword.Reveal() != "hunter2" {
			t.Errorf("%s gives %q, %v", reference, c.KuduKerberosPassword.Reveal(), faults)
		}
	}
}

func TestLinksAndDotsDoNotLeadOutOfWhatIsAllowed(t *testing.T) {
	base := t.TempDir()
	allowed, secret := filepath.Join(base, "allowed"), filepath.Join(base, "secret")
	if err := os.MkdirAll(filepath.Join(allowed, "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, secret, "hunter2")
	put(t, allowed+"-not", "hunter2")
	link(t, secret, filepath.Join(allowed, "absolute"))
	link(t, "../secret", filepath.Join(allowed, "relative"))
	link(t, "..", filepath.Join(allowed, "up"))
	link(t, "absolute", filepath.Join(allowed, "chain"))
	link(t, "loop", filepath.Join(allowed, "loop"))
	if err := syscall.Mkfifo(filepath.Join(allowed, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	access := limited("", nil, allowed)
	for reference, want := range map[string]string{
		"${file:" + allowed + "/absolute}":          "may not read what it is a link to",
		"${file:" + allowed + "/relative}":          "may not read what it is a link to",
		"${file:" + allowed + "/chain}":             "may not read what it is a link to",
		"${file:" + allowed + "/up/secret}":         "may not read what it is a link to",
		"${dir:" + allowed + "/up:secret}":          "may not read what it is a link to",
		"${dir:" + allowed + ":relative}":           "may not read what it is a link to",
		"${file:" + allowed + "/../secret}":         "may not read it",
		"${file:" + allowed + "/deep/../../secret}": "may not read it",
		"${dir:" + allowed + "/..:secret}":          "may not read it",
		"${dir:" + allowed + ":../secret}":          "the name is not that of a file",
		"${file:" + allowed + "-not}":               "may not read it",
		"${file:" + allowed + "/loop}":              "cannot be read",
		"${file:" + allowed + "/pipe}":              "is not a regular file",
		"${file:" + allowed + "/deep}":              "is a folder",
		"${file:" + allowed + "}":                   "is a folder",
		"${file:" + allowed + "/none}":              "there is no such file",
	} {
		_, faults := FromMap(orders(reference), access)
		if len(faults) != 1 || !strings.Contains(faults[0].What, want) || !strings.HasPrefix(faults[0].What, reference+": ") || faults[0].Remedy == "" {
			t.Errorf("%s has the faults %v, want %q", reference, faults, want)
		}
	}
}

func TestKeysThatNameFilesNeedThemAllowedOverREST(t *testing.T) {
	folder := t.TempDir()
	put(t, filepath.Join(folder, "ca.pem"), "x")
	link(t, "/etc/passwd", filepath.Join(folder, "out"))
	for _, key := range connector.ConnectorKeys() {
		if !key.ReadsFile {
			continue
		}
		for path, allowed := range map[string]bool{
			folder + "/ca.pem": true, folder + "/to-come": true, folder + "/out": false, "/etc/passwd": false, "ca.pem": false, folder + "/../x": false,
		} {
			values := map[string]string{"name": "orders", "kudu.masters": "m", "kudu.table": "t", "topic": "t", key.Name: path}
			_, faults := FromMap(values, limited("", nil, folder))
			refused := false
			for _, f := range faults {
				refused = refused || f.Key == key.Name && strings.HasPrefix(f.What, path+": ")
			}
			if refused == allowed {
				t.Errorf("%s: %s has the faults %v", key.Name, path, faults)
			}
		}
	}
}

func TestSourceFollowsWhatItsReferencesLeadTo(t *testing.T) {
	folder := t.TempDir()
	mount(t, folder, "..1", "old")
	file := filepath.Join(folder, "c.yaml")
	put(t, file, plainOrders+"kudu.authentication: kerberos\nkudu.kerberos.principal: p\nkudu.kerberos.password: ${dir:.:password}\n")
	files, err := LoadFiles(filepath.Join(write(t, map[string]string{"w.yaml": plainWorker}), "w.yaml"), []string{file}, variables(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := files.Connectors[0].KuduKerberosPassword.Reveal(); got != "old" {
		t.Fatalf("the password is %q", got)
	}
	mount(t, folder, "..2", "new")
	put(t, file, "not read again")
	got, faults := files.Sources[0].Config()
	if len(faults) > 0 || got.KuduKerberosPassword.Reveal() != "new" {
		t.Errorf("after the change the password is %q, %v", got.KuduKerberosPassword.Reveal(), faults)
	}
	if err := os.Remove(filepath.Join(folder, "..data")); err != nil {
		t.Fatal(err)
	}
	if _, faults = files.Sources[0].Config(); len(faults) != 1 || !strings.Contains(faults[0].String(), file+":7: kudu.kerberos.password: ${dir:.:password}: "+folder+"/password: there is no such file") {
		t.Errorf("without the file the faults are %v", faults)
	}
}

func TestSourceRemembersWhatCanBeReadOnce(t *testing.T) {
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, "c.yaml"), plainOrders+"timestamp.column: ${file:pipe}\n")
	wrote := make(chan error, 1)
	go func() {
		out, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if err == nil {
			_, err = out.WriteString("ts\n")
			_ = out.Close()
		}
		wrote <- err
	}()
	source, err := ReadSource(filepath.Join(folder, "c.yaml"), Full(variables(nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second read would block
		if got, faults := source.Config(); len(faults) > 0 || got.TimestampColumn != "ts" {
			t.Errorf("got %q, %v", got.TimestampColumn, faults)
		}
	}
	select {
	case err := <-wrote:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("nobody read the pipe")
	}
}

// Whatever is wrong with a secret or with the file that it is in, nothing of it is told.
func TestFaultsNeverShowASecret(t *testing.T) {
	folder := t.TempDir()
	const secret = "hunter2"
	for name, text := range map[string]string{
		"broken.yaml": "a: b: " + secret, "list.yaml": "[" + secret + "]", "odd.properties": secret, "tab.yaml": "\t" + secret, "anchor.yaml": "k: *" + secret,
		"large": strings.Repeat(secret, 1<<18), "binary": secret + "\x00\xff",
	} {
		put(t, filepath.Join(folder, name), text)
	}
	values := []string{
		"${file:broken.yaml:k}", "${file:list.yaml:k}", "${file:odd.properties:k}", "${file:tab.yaml:k}", "${file:anchor.yaml:k}", "${file:large}",
		"${env:NONE:-" + secret + "}${env:NONE}", "${env:" + "NONE}" + secret, "*" + secret, "&" + secret, "!" + secret, "%" + secret, "@" + secret, "`" + secret,
		"\"" + secret, "'" + secret, "[" + secret + "]", "{" + secret + ": " + secret + "}", "a: " + secret, "${" + secret, "${" + secret + "}", "x${" + secret + "}y", "${" + secret + ":a}",
	}
	for _, key := range []string{"kudu.jwt", "kudu.kerberos.password", "kudu.kerberos.pasword"} {
		for _, value := range values {
			put(t, filepath.Join(folder, "c.yaml"), plainOrders+key+": "+value+"\n")
			if _, _, err := Load(filepath.Join(write(t, map[string]string{"w.yaml": plainWorker}), "w.yaml"), []string{filepath.Join(folder, "c.yaml")}, variables(nil)); err == nil || strings.Contains(err.Error(), secret) && !strings.Contains(value, "{"+secret+": ") {
				t.Errorf("%s: %s: %v", key, value, err)
			}
			_, faults := FromMap(map[string]string{"name": "orders", key: value}, Full(variables(nil)))
			if text := (&connector.ConfigError{Faults: faults}).Error(); strings.Contains(text, secret) {
				t.Errorf("%s: %s over REST: %s", key, value, text)
			}
		}
	}
}
