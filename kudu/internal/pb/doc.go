// Package pb holds the protobuf messages of Kudu's wire protocol that the
// client uses. The .proto files are our own: they list only the messages and
// fields in use, with the field numbers of Apache Kudu 1.18.1. Run
// `go generate ./kudu/internal/pb` after an edit (needs protoc and
// protoc-gen-go); the generated files are checked in.
package pb

//go:generate ./gen.sh
