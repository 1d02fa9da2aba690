package kerberos

import "fmt"

// Format prints the configuration without the password, with every verb.
func (c Config) Format(f fmt.State, verb rune) {
	if c.Password != "" {
		c.Password = "***"
	}
	type plain Config // without this method
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), plain(c))
}
