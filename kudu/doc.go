// Package kudu is a native client of Apache Kudu: it speaks Kudu's own
// protocol over TCP, without cgo and without a JVM.
package kudu
