package rest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// parseCertificates reads all certificates of a PEM file. One that is cut off, as in a
// file that is being written, is an error: Go's own readers leave it out without a
// word, and with it an issuer or an authority.
func parseCertificates(key string, text []byte) ([]*x509.Certificate, error) {
	const remedy = "give certificates as PEM, each from BEGIN CERTIFICATE to END CERTIFICATE"
	begun := bytes.Count(text, []byte("\n-----BEGIN"))
	if bytes.HasPrefix(text, []byte("-----BEGIN")) {
		begun++
	}
	whole := 0
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		whole++
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, tlsFault(key, fmt.Sprintf("certificate %d cannot be read (%v)", len(all)+1, err), "replace it")
		}
		all = append(all, cert)
	}
	switch {
	case whole < begun:
		return nil, tlsFault(key, fmt.Sprintf("has %d blocks, of which %d are whole", begun, whole), remedy)
	case len(all) == 0:
		return nil, tlsFault(key, "has no certificate", remedy)
	}
	return all, nil
}
