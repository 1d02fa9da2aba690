// Command probe verifies a certificate against an authority's, both given as
// DER in base64, and prints "verified" or the error.
package main

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
)

func main() {
	fmt.Println(verify(os.Args[1], os.Args[2]))
}

func verify(authority, certificate string) any {
	der, err := base64.StdEncoding.DecodeString(authority)
	if err != nil {
		return err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if der, err = base64.StdEncoding.DecodeString(certificate); err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if string(cert.Raw) != string(der) {
		return "the certificate's bytes are others"
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return err
	}
	return "verified"
}
