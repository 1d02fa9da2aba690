package kudu

import "fmt"

// Format prints the credentials without the password, with every verb.
func (k Kerberos) Format(f fmt.State, verb rune) {
	if k.Password != "" {
		k.Password = "***"
	}
	type plain Kerberos // without this method
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), plain(k))
}
