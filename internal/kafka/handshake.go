package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// explainHandshake makes sense of a TLS handshake that failed; nil if it is a matter
// of the network.
func (a *access) explainHandshake(broker string, err error) *RefusedError {
	s := a.security
	refused := &RefusedError{Broker: broker, Verdict: Passing, Err: err}
	if explainCertificate(refused, err) {
		return refused
	}
	if refused := explainAlert(s, err); refused != nil {
		return refused
	}
	plain := protocolWith(false, s.sasl())
	switch header := (tls.RecordHeaderError{}); {
	case errors.As(err, &header):
		refused.Key, refused.Verdict = "security.protocol", Lasting
		refused.What = "this listener doesn't speak TLS, and security.protocol is " + s.Protocol
		refused.Remedy = "name a listener with TLS in bootstrap.servers, or write security.protocol: " + plain
	case closedByPeer(err) && a.gate.reached():
		return nil
	case closedByPeer(err):
		refused.Key, refused.Verdict = "security.protocol", Unclear
		refused.What = "it closes the connection in the TLS handshake, as a listener without TLS does, and security.protocol is " + s.Protocol
		refused.Remedy = "if it isn't about to stop, name a listener with TLS in bootstrap.servers, or write security.protocol: " + plain
	case isNetwork(err):
		return nil
	default:
		refused.Key, refused.What = "security.protocol", fmt.Sprintf("the TLS handshake fails: %s", oneLine(err.Error()))
		refused.Remedy = "look at the broker's log and its ssl.* settings"
	}
	return refused
}

func isNetwork(err error) bool {
	_, is := errors.AsType[net.Error](err)
	return is
}

// explainCertificate is about a broker's certificate that isn't taken here.
func explainCertificate(refused *RefusedError, err error) bool {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		refused.Key = "ssl.truststore.location"
		refused.What = "its certificate is issued by an authority that isn't trusted here"
		if unknown.Cert != nil && unknown.Cert.Issuer.String() != "" {
			refused.What += fmt.Sprintf(" (%s)", oneLine(unknown.Cert.Issuer.String()))
		}
		refused.Remedy = "add the authority's certificate to the file that ssl.truststore.location names"
		return true
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		refused.Key = "ssl.endpoint.identification.algorithm"
		refused.What = fmt.Sprintf("its certificate isn't for %s, but for %s", name.Host, namesOf(name.Certificate))
		refused.Remedy = "address it by a name of its certificate, in bootstrap.servers and the brokers' advertised.listeners, or have one issued for this name; " +
			"ssl.endpoint.identification.algorithm: none would take any name"
		return true
	}
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok {
		return false
	}
	now := time.Now().UTC().Format(time.RFC3339)
	refused.Key = "bootstrap.servers"
	// Of the two texts it is the first that tells whether a refusal is news.
	refused.Remedy = "renew the broker's certificate, or correct this machine's clock, which says " + now
	switch cert := invalid.Cert; {
	case invalid.Reason == x509.Expired && cert != nil && time.Now().Before(cert.NotBefore):
		refused.What = fmt.Sprintf("its certificate (%s) is good from %s on only", oneLine(cert.Subject.String()), cert.NotBefore.UTC().Format(time.RFC3339))
	case invalid.Reason == x509.Expired && cert != nil:
		refused.What = fmt.Sprintf("its certificate (%s) has expired at %s", oneLine(cert.Subject.String()), cert.NotAfter.UTC().Format(time.RFC3339))
	default:
		refused.What = "its certificate isn't valid: " + oneLine(invalid.Error())
		refused.Remedy = "have another certificate issued for the broker"
	}
	return true
}

func namesOf(cert *x509.Certificate) string {
	names := append([]string{}, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "no host at all"
	case len(names) > 5:
		names = append(names[:5], "others")
	}
	return oneLine(strings.Join(names, ", "))
}

// explainAlert is about what the broker's end of TLS doesn't take; nil if err is
// none of its alerts. With TLS 1.3 they come after the handshake.
func explainAlert(s Security, err error) *RefusedError {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return nil
	}
	alert := strings.TrimPrefix(op.Err.Error(), "tls: ")
	refused := &RefusedError{Key: "ssl.keystore.location", Verdict: Passing, Err: err}
	own := s.TLS.Keystore != "" || s.TLS.Chain != ""
	switch {
	case strings.Contains(alert, "protocol version"):
		refused.Key, refused.Verdict = "security.protocol", Lasting
		refused.What = "it takes other versions of TLS only (" + alert + ")"
		refused.Remedy = "enable TLSv1.2 or TLSv1.3 at the brokers"
	case !strings.Contains(alert, "certificate") && !strings.Contains(alert, "handshake failure") && !strings.Contains(alert, "access denied"):
		refused.Key = "security.protocol"
		refused.What = "it ends the TLS connection (" + alert + ")"
		refused.Remedy = "look at the broker's log and its ssl.* settings"
	case !own:
		refused.Verdict = Lasting
		refused.What = "it asks for a certificate of this program, which has none (" + alert + ")"
		refused.Remedy = "name a file with a certificate and its key in ssl.keystore.location"
	default:
		refused.What = "it doesn't take this program's certificate (" + alert + ")"
		refused.Remedy = "replace it, in the file that ssl.keystore.location names, by one that is valid and issued by an authority that the broker trusts"
	}
	return refused
}
