package connector

import "time"

// What a certificate is for.
const (
	CertificateOfListener = "listener" // https listeners show it
	CertificateOfKafka    = "kafka"    // brokers are shown it
)

// CertificateKinds lists them.
func CertificateKinds() []string { return []string{CertificateOfListener, CertificateOfKafka} }

// CertificateFiles is how the files of a certificate and of what belongs to it, a key
// and authorities, stand.
type CertificateFiles struct {
	// Kind is one of the constants.
	Kind string
	// NotAfter is when the certificate that is in use ends, or the first of its
	// issuers' that are in the file with it. Zero: there is none.
	NotAfter time.Time
	// Failures counts how often, since the start, what was new in the files couldn't be
	// used; Faulty says that it is so now.
	Failures int64
	Faulty   bool
}

// KafkaCertificate tells of the files for connections to Kafka; false without TLS.
func (w *Worker) KafkaCertificate() (CertificateFiles, bool) {
	s, encrypted := KafkaOptions(w.cfg, w.logger).Certificate()
	return CertificateFiles{Kind: CertificateOfKafka, NotAfter: s.NotAfter, Failures: s.Failures, Faulty: s.Faulty}, encrypted
}
