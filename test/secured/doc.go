// Package secured tests the Kudu client against real clusters that demand
// authentication and encryption, with a real KDC.
package secured
