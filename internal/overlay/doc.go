// Package overlay makes the overlay that this module's programs are built with:
// Go's own crypto/x509, changed in one place.
//
// A Kudu server that has a Kerberos keytab puts its principal into the
// certificate that its master signs for it, in an extension whose OID is
// 2.25.243346677289068076843480765133256509912. Go keeps each part of an OID in
// 31 bits and refuses the whole certificate for the one that needs 128
// (golang/go#58821), before any hook of crypto/tls runs; OpenSSL and Java read
// it. With the overlay, an extension with such an OID is one that nobody knows:
// it is skipped, or makes the certificate invalid if it is marked critical.
//
// The overlay is made from the source of the toolchain that is used, so that it
// has all of that toolchain's corrections, and Write fails when the place isn't
// what it knows. It takes effect by go build -overlay; make build does that.
package overlay
