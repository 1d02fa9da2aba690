// Package kerberos authenticates connections to Kudu by Kerberos: SASL's
// mechanism GSSAPI (RFC 4752) with Kerberos 5 below it (RFC 4121), as
// kudu/internal/krpc's negotiation carries it.
//
// A Login has the credentials of one principal and gets tickets by them, from a
// password, a keytab or a ticket cache. Login.Authenticator makes what
// krpc.Options takes. Messages, keys and encryption are gokrb5's; what it lacks
// for a client is here: exchanges with the KDC that a context bounds, an
// initiator that checks the server's answers, and renewal.
//
// Tickets that were once asked for are renewed by Login.Run before they expire,
// so that a KDC that is away for a while costs nothing. A KDC that refuses the
// credentials isn't asked again at each connection: accounts are locked for
// that.
//
// Nothing secret is in errors or logs: they name principals, hosts and files.
package kerberos
