package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func noEnv(string) (string, bool) { return "", false }

func TestPrintedConfigurationIsReadAsTheSame(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	worker := write("w.yaml", "bootstrap.servers: [a:1, \"[::1]:2\"]\ngroup.id: 'yes'\nsession.timeout.ms: 7000\ntopic.creation.enable: false\n")
	conn := write("c.yaml", `name: "007"
kudu.masters: m1,m2:7052
kudu.table: "impala::db.t # 1"
topic: t
where: "note = 'a: $${b}' AND id > 5"
streaming.key: [id]
offset.start.id: "0005"
topic.creation.default.retention.ms: "-1"
topic.creation.default.cleanup.policy: [delete, compact]
`)
	w, cs, err := Load(worker, []string{conn}, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	var printedWorker, printedConnector strings.Builder
	if err := Print(&printedWorker, w.Settings()); err != nil {
		t.Fatal(err)
	}
	if err := Print(&printedConnector, cs[0].Settings()); err != nil {
		t.Fatal(err)
	}
	w2, cs2, err := Load(write("w2.yaml", printedWorker.String()), []string{write("c2.yaml", printedConnector.String())}, noEnv)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, printedWorker.String(), printedConnector.String())
	}
	if !reflect.DeepEqual(w, w2) {
		t.Errorf("the worker is read as\n%+v\nnot\n%+v\nfrom\n%s", w2, w, printedWorker.String())
	}
	if !reflect.DeepEqual(cs, cs2) {
		t.Errorf("the connector is read as\n%+v\nnot\n%+v\nfrom\n%s", cs2, cs, printedConnector.String())
	}
	for _, line := range []string{"session.timeout.ms: 7000\n", "topic.creation.enable: false\n", "client.id: kudu2kafka # default\n"} {
		if !strings.Contains(printedWorker.String(), line) {
			t.Errorf("no line %q in\n%s", line, printedWorker.String())
		}
	}
	for _, line := range []string{"tasks.max: 1 # default\n", "kudu.masters: ['m1:7051', 'm2:7052']\n", "offset.start.id: \"0005\"\n"} {
		if !strings.Contains(printedConnector.String(), line) {
			t.Errorf("no line %q in\n%s", line, printedConnector.String())
		}
	}
}

func TestPrintMasksSecrets(t *testing.T) {
	var out strings.Builder
	err := Print(&out, []connector.Setting{
		{Key: connector.Key{Name: "a.password", Type: connector.TypePassword}, Value: secret.New("hunter2")},
		{Key: connector.Key{Name: "b.password", Type: connector.TypePassword}, Value: secret.New("")},
	})
	if err != nil || out.String() != "a.password: '***'\n" {
		t.Errorf("printed %q (%v)", out.String(), err)
	}
}
