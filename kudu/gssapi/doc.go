// Package gssapi authenticates by Kerberos to servers that aren't Kudu's, such as
// Kafka's brokers, with what this module has for Kudu: SASL's mechanism GSSAPI,
// credentials from a keytab, a password or a ticket cache, renewal, and pauses after
// a KDC has refused.
package gssapi
