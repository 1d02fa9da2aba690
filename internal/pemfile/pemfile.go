// Package pemfile reads certificates from the text of PEM files.
//
// Go's own readers leave out what isn't whole, without a word: of a file that is
// being written they would take the certificate and not its issuer, or half of the
// authorities. Here that is a fault.
package pemfile

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

const form = "give certificates as PEM, each from BEGIN CERTIFICATE to END CERTIFICATE"

// Fault says what is wrong with a file and what mends it, to follow the name of the
// file or of the key that it is given by.
type Fault struct{ What, Remedy string }

// Certificates gives all certificates, in their order. Other blocks are passed over;
// a text without any certificate is a fault.
func Certificates(text []byte) ([]*x509.Certificate, *Fault) {
	if fault := CutOff(text); fault != nil {
		return nil, fault
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &Fault{fmt.Sprintf("certificate %d cannot be read (%v)", len(all)+1, err), "replace it"}
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, &Fault{"has no certificate", form}
	}
	return all, nil
}

// CutOff is the fault of a text in which fewer blocks end than begin; nil for any
// other.
func CutOff(text []byte) *Fault {
	begun, whole := bytes.Count(text, []byte("\n-----BEGIN")), 0
	if bytes.HasPrefix(text, []byte("-----BEGIN")) {
		begun++
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		whole++
	}
	if whole < begun {
		return &Fault{fmt.Sprintf("has %d blocks, of which %d are whole", begun, whole), form}
	}
	return nil
}
