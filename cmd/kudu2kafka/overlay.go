package main

import (
	"crypto/x509"
	"encoding/base64"
)

// kuduCertificate is one as a Kudu server with Kerberos makes for itself, by
// internal/overlay.Certificate. Go reads it with the overlay of that package only.
const kuduCertificate = "" +
	"MIIBFTCBvaADAgECAgEBMAoGCCqGSM49BAMCMAAwIBgPMDAwMTAxMDEwMDAwMDBaFw03MDAxMDEwMDAwMDBaMAAwWTATBgcqhkjO" +
	"PQIBBggqhkjOPQMBBwNCAATSDCPPjoxM6bG8J3a2ez5IQH1e5g+zqPmZtRBkR9T/GSknoBO3mZGnrZ9qL2z83M9CiUyEgNYfMh9M" +
	"Ctss1daqoyYwJDAiBhRpgu6S7uDB99qex7iVqbfar8eTWAQKDAhrdWR1L2hAUjAKBggqhkjOPQQDAgNHADBEAiBOLujoWjfSm8cb" +
	"UQlEz7xu1LSu6et9QRWi9S9stzw/bgIgFvJbiufBAB9TP2fMh5KRCZrb15DJ5V7+jFyNGygs6Dc="

// hasOverlay tells whether this program was built with the overlay, without which it
// can't talk to a Kudu that has Kerberos.
func hasOverlay() bool {
	der, err := base64.StdEncoding.DecodeString(kuduCertificate)
	if err != nil {
		return false
	}
	_, err = x509.ParseCertificate(der)
	return err == nil
}
