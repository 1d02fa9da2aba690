package testenv

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TestSecuredBrokerKnowsItsUsersAndTheirRights asks the broker who it takes its
// clients for by what it lets them do: of the two topics each user may see one.
func TestSecuredBrokerKnowsItsUsersAndTheirRights(t *testing.T) {
	k := NewKafka(t, KafkaConfig{Security: &KafkaSecurity{Users: map[string]string{"alice": "alice-secret"}, Authorizer: true}})
	s := k.Secured()
	open, err := kgo.NewClient(kgo.SeedBrokers(k.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	adm := kadm.NewClient(open)
	if _, err := adm.CreateTopics(t.Context(), 1, 1, nil, "of-alice", "of-nobody"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateACLs(t.Context(), kadm.NewACLs().Allow("User:alice").AllowHosts().Topics("of-alice").
		ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpDescribe)); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.Authority.PEM()) {
		t.Fatal("the authority has no certificate")
	}
	pair, err := s.Authority.Issue(CertificateSpec{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Tokens.Token("alice", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := kgo.DialTLSConfig(&tls.Config{RootCAs: roots})
	for name, opts := range map[string][]kgo.Opt{
		"PLAIN":         {kgo.SeedBrokers(s.SASLSSL), encrypted, kgo.SASL(plain.Auth{User: "alice", Pass: "alice-secret"}.AsMechanism())},
		"SCRAM-SHA-256": {kgo.SeedBrokers(s.SASLSSL), encrypted, kgo.SASL(scram.Auth{User: "alice", Pass: "alice-secret"}.AsSha256Mechanism())},
		"SCRAM-SHA-512": {kgo.SeedBrokers(s.SASLSSL), encrypted, kgo.SASL(scram.Auth{User: "alice", Pass: "alice-secret"}.AsSha512Mechanism())},
		"OAUTHBEARER":   {kgo.SeedBrokers(s.SASLSSL), encrypted, kgo.SASL(oauth.Auth{Token: token}.AsMechanism())},
		"certificate":   {kgo.SeedBrokers(s.SSL), kgo.DialTLSConfig(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}})},
		"without TLS":   {kgo.SeedBrokers(s.SASLPlaintext), kgo.SASL(scram.Auth{User: "alice", Pass: "alice-secret"}.AsSha512Mechanism())},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := kgo.NewClient(opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for topic, want := range map[string]error{"of-alice": nil, "of-nobody": kerr.TopicAuthorizationFailed} {
				request := kmsg.NewPtrMetadataRequest()
				request.Topics = []kmsg.MetadataRequestTopic{{Topic: &topic}}
				// The broker hears of topics and rights after those who made them do.
				var got error
				if !Eventually(t.Context(), time.Minute, func() bool {
					response, err := request.RequestWith(t.Context(), client)
					if err != nil {
						t.Fatal(err)
					}
					got = kerr.ErrorForCode(response.Topics[0].ErrorCode)
					return errors.Is(got, want)
				}) {
					t.Errorf("topic %s: got %v, want %v", topic, got, want)
				}
			}
		})
	}
}
