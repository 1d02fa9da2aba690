// Package kafka holds what every Kafka client of kudu2kafka shares: the base
// options (addresses, client id, logging), topic creation, the partitioner of
// the task producers, and the class of an error.
//
// It imports franz-go and hclog only, starts no goroutines and keeps no state.
package kafka
