package connector

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

func TestWorkerTellsWhenItsCertificateForKafkaEnds(t *testing.T) {
	authority, err := testenv.NewAuthority("test authority")
	if err != nil {
		t.Fatal(err)
	}
	ends := time.Now().Add(5 * time.Hour).Truncate(time.Second)
	pair, err := authority.Issue(testenv.CertificateSpec{Name: "worker", NotAfter: ends})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "own.pem")
	if err := pair.Write(path); err != nil {
		t.Fatal(err)
	}
	tell := func(change func(*WorkerConfig)) (CertificateFiles, bool) {
		cfg := goodWorker()
		change(&cfg)
		w, err := NewWorker(cfg, nil, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		return w.KafkaCertificate()
	}
	if got, is := tell(func(*WorkerConfig) {}); is {
		t.Errorf("without TLS: %+v", got)
	}
	got, is := tell(func(c *WorkerConfig) { c.SecurityProtocol, c.KeystoreLocation = kafka.SSL, path })
	if !is || got.Kind != CertificateOfKafka || !got.NotAfter.Equal(ends) || got.Failures != 0 || got.Faulty {
		t.Errorf("with a certificate: %+v, %v", got, is)
	}
	broken := filepath.Join(t.TempDir(), "own.pem")
	if err := os.WriteFile(broken, pair.Certificate[:50], 0o600); err != nil {
		t.Fatal(err)
	}
	got, is = tell(func(c *WorkerConfig) { c.SecurityProtocol, c.KeystoreLocation = kafka.SSL, broken })
	if !is || !got.NotAfter.IsZero() || got.Failures != 1 || !got.Faulty {
		t.Errorf("with a broken file: %+v, %v", got, is)
	}
}
