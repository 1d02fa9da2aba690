package connector

import (
	"errors"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Values of kudu.authentication.
const (
	kuduNone     = "none"
	kuduKerberos = "kerberos"
	kuduJWT      = "jwt"
)

// kuduSecurity is how the connector's client of Kudu authenticates.
func (c Config) kuduSecurity() kudu.Security {
	s := kudu.Security{CAFile: c.KuduCAFile}
	switch c.KuduAuthentication {
	case kuduKerberos:
		s.Kerberos = &kudu.Kerberos{
			Principal: c.KuduKerberosPrincipal, Keytab: c.KuduKerberosKeytab, Password: c.KuduKerberosPassword,
			Cache: c.KuduKerberosCache, Service: c.KuduKerberosService, Conf: c.KuduKerberosConf,
		}
	case kuduJWT:
		s.JWT = kudu.TokenFile(c.KuduJWTFile)
		if !c.KuduJWT.Empty() {
			s.JWT = func() (string, error) { return c.KuduJWT.Reveal(), nil }
		}
	}
	return s
}

// kuduSecurityFaults are the faults of the keys of Kudu's authentication.
func (c Config) kuduSecurityFaults() []Fault {
	var faults []Fault
	// Keys that do nothing may be there because another one is wrong.
	foreign := func(authentication string, keys map[string]bool, order ...string) {
		for _, key := range order {
			if keys[key] && c.KuduAuthentication != authentication {
				faults = addFault(faults, Fault{
					Key: key, What: "belongs to kudu.authentication: " + authentication + ", but that is " + c.KuduAuthentication,
					Remedy: "remove it, or write kudu.authentication: " + authentication, others: []string{"kudu.authentication"},
				})
			}
		}
	}
	given := map[string]bool{
		"kudu.kerberos.principal":    c.KuduKerberosPrincipal != "",
		"kudu.kerberos.keytab":       c.KuduKerberosKeytab != "",
		"kudu.kerberos.password":     !c.KuduKerberosPassword.Empty(),
		"kudu.kerberos.ccache":       c.KuduKerberosCache != "",
		"kudu.kerberos.service.name": c.KuduKerberosService != "" && c.KuduKerberosService != "kudu",
		"kudu.kerberos.krb5.conf":    c.KuduKerberosConf != "",
		"kudu.jwt":                   !c.KuduJWT.Empty(),
		"kudu.jwt.file":              c.KuduJWTFile != "",
	}
	foreign(kuduKerberos, given, "kudu.kerberos.principal", "kudu.kerberos.keytab", "kudu.kerberos.password", "kudu.kerberos.ccache",
		"kudu.kerberos.service.name", "kudu.kerberos.krb5.conf")
	foreign(kuduJWT, given, "kudu.jwt", "kudu.jwt.file")
	// one says that at most one of the keys may be given.
	one := func(keys ...string) {
		first := ""
		for _, key := range keys {
			switch {
			case given[key] && first != "":
				faults = addFault(faults, Fault{Key: key, What: "cannot be given together with " + first, Remedy: "keep one of the two", others: []string{first}})
			case given[key]:
				first = key
			}
		}
	}
	switch c.KuduAuthentication {
	case kuduKerberos:
		one("kudu.kerberos.keytab", "kudu.kerberos.password", "kudu.kerberos.ccache")
		if !given["kudu.kerberos.principal"] && (given["kudu.kerberos.keytab"] || given["kudu.kerberos.password"]) {
			faults = addFault(faults, Fault{Key: "kudu.kerberos.principal", What: "is required with a keytab or a password", Remedy: "name whose they are"})
		}
	case kuduJWT:
		one("kudu.jwt", "kudu.jwt.file")
		if !given["kudu.jwt"] && !given["kudu.jwt.file"] {
			faults = addFault(faults, Fault{Key: "kudu.jwt.file", What: "is required with kudu.authentication: jwt, unless kudu.jwt is given", Remedy: "name the file that has the token"})
		}
		if c.KuduCAFile == "" {
			faults = addFault(faults, Fault{Key: "kudu.tls.ca.file", What: "is required with kudu.authentication: jwt, or the token would be sent to anybody", Remedy: "name the file with the certificate of the cluster's authority"})
		}
	}
	return faults
}

// notAuthenticated is the fault of a client that Kudu doesn't let in, or that
// doesn't trust Kudu.
func notAuthenticated(cfg Config, err error) (key, remedy string, is bool) {
	if errors.Is(err, kudu.ErrNoKDC) {
		return "kudu.kerberos.krb5.conf", "start the KDC, or correct its address in krb5.conf", true
	}
	if !errors.Is(err, kudu.ErrNotAuthenticated) {
		return "", "", false
	}
	if cfg.KuduAuthentication == kuduNone {
		return "kudu.authentication", "write kudu.authentication: kerberos or jwt, with the credentials, if the cluster asks for them", true
	}
	return "kudu.authentication", "correct the credentials, or have them admitted", true
}
