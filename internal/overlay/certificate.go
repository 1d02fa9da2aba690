package overlay

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// kuduOID is the encoding of 2.25.243346677289068076843480765133256509912
// (kudu-1.18.1 src/kudu/security/cert.cc); placeholder is one of this length
// that Go can write.
var (
	kuduOID = []byte{
		0x69, 0x82, 0xee, 0x92, 0xee, 0xe0, 0xc1, 0xf7, 0xda, 0x9e, 0xc7, 0xb8, 0x95, 0xa9, 0xb7, 0xda, 0xaf, 0xc7, 0x93, 0x58,
	}
	placeholder = asn1.ObjectIdentifier{2, 25, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
)

// Certificate makes a certificate as Kudu does for a server with Kerberos: the
// template's, with the extension that has the principal. It is signed by an
// ECDSA key on P-256.
func Certificate(template, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey, principal string, critical bool) ([]byte, error) {
	value, err := asn1.Marshal(principal)
	if err != nil {
		return nil, fmt.Errorf("encoding the principal: %w", err)
	}
	withExtension := *template
	withExtension.ExtraExtensions = slices.Concat(template.ExtraExtensions, []pkix.Extension{{Id: placeholder, Critical: critical, Value: value}})
	der, err := x509.CreateCertificate(rand.Reader, &withExtension, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	var parts struct {
		Body      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	small, err := asn1.Marshal(placeholder)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	body := bytes.Replace(parts.Body.FullBytes, small, append([]byte{asn1.TagOID, byte(len(kuduOID))}, kuduOID...), 1)
	hash := sha256.Sum256(body)
	signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	parts.Body = asn1.RawValue{FullBytes: body}
	parts.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return asn1.Marshal(parts)
}

// Active tells whether this program was built with the overlay.
func Active() (bool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := Certificate(template, template, key.Public(), key, "kudu/host@REALM", false)
	if err != nil {
		return false, err
	}
	_, err = x509.ParseCertificate(der)
	return err == nil, nil
}
