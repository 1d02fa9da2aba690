// Package compose tests docker-compose.yml and the Dockerfile: by reading them, as
// part of "make test", and with run.sh on a real Docker engine, which takes root and
// some minutes:
//
//	test/compose/run.sh
package compose
