// Package testenv runs real Kudu and Kafka servers as plain processes on
// 127.0.0.1, for tests, the demo and the benchmarks. Nothing is installed on
// the system: the servers come from Maven by coordinates, once, into a folder
// of the user's cache (CacheDir), and need Java 17 or newer and Maven.
//
// StartKudu and StartKafka start a cluster and return when it serves;
// Close stops its processes and removes its data. Each Server can be killed,
// paused, resumed, stopped and started again on its port and data. Process
// does the same for any program, and waits for lines of its output. KuduTool
// drives the program in test/kudutool, which reaches Kudu through the official
// Java client and so knows nothing of our own code: the oracle of the tests.
//
// KafkaConfig.Security gives a broker listeners with TLS and SASL, users, and
// rights if wanted; its certificates and tokens are made here (Authority,
// TokenIssuer).
//
// Nothing is left behind. A child dies with its parent, even when that is
// killed by SIGKILL or when the child is stopped (on Linux), and data folders
// of a parent that died so are removed by the next start. Ports lie outside the
// range the kernel hands out to outgoing connections, and are reserved across
// processes while their cluster lives, so that a killed server finds its port
// free when it is restarted.
//
// A process has two goroutines: one that started it and waits for its end, and
// one that copies its output to its log file. Both end with the process, so a
// test binary that closes its clusters leaks none. Everything is safe for
// concurrent use unless it says otherwise. The package does not import testing;
// the helpers for tests take the small interface TB.
package testenv
