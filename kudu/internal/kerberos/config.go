package kerberos

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	krb5 "github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// Config says whose credentials to use, and how to come by tickets. At most one
// of Keytab, Password and Cache is set; with none, the cache is that of the
// process's user.
type Config struct {
	// Principal is the name to authenticate as, name or name@REALM. With a
	// ticket cache it may be empty; else the cache must be of this principal.
	Principal string
	Keytab    string // file
	Password  secret.Text
	// Cache is a ticket cache that others keep filled. Default: KRB5CCNAME,
	// or /tmp/krb5cc_<user id>. Files only.
	Cache string
	// Service is the first part of the names of Kudu's principals. Default:
	// kudu.
	Service string
	// Conf is the path of krb5.conf. Default: KRB5_CONFIG, or /etc/krb5.conf.
	Conf string
}

func (c Config) withDefaults() (Config, error) {
	ways := 0
	for _, way := range []bool{c.Keytab != "", !c.Password.Empty(), c.Cache != ""} {
		if way {
			ways++
		}
	}
	switch {
	case ways > 1:
		return c, fmt.Errorf("%w: more than one of keytab, password and ticket cache is given", ErrCredentials)
	case c.Principal == "" && (c.Keytab != "" || !c.Password.Empty()):
		return c, fmt.Errorf("%w: a keytab or a password needs a principal", ErrCredentials)
	case ways == 0:
		if c.Cache = os.Getenv("KRB5CCNAME"); c.Cache == "" {
			c.Cache = fmt.Sprintf("/tmp/krb5cc_%d", os.Getuid())
		}
	}
	if kind, path, found := strings.Cut(c.Cache, ":"); found && !strings.Contains(kind, "/") {
		if kind != "FILE" {
			return c, fmt.Errorf("%w: the ticket cache %s isn't a file: only those can be read", ErrCredentials, c.Cache)
		}
		c.Cache = path
	}
	if c.Service == "" {
		c.Service = "kudu"
	}
	if c.Conf == "" {
		if c.Conf = os.Getenv("KRB5_CONFIG"); c.Conf == "" {
			c.Conf = "/etc/krb5.conf"
		}
	}
	return c, nil
}

// how names the source of credentials in errors.
func (c Config) how() string {
	switch {
	case c.Keytab != "":
		return "keytab " + c.Keytab
	case !c.Password.Empty():
		return "password"
	}
	return "ticket cache " + c.Cache
}

// maxIncludes bounds the files that a krb5.conf may draw in.
const maxIncludes = 100

var plainName = regexp.MustCompile(`^[-A-Za-z0-9_]+(\.conf)?$`)

// loadConf reads krb5.conf, with what it includes; KRB5_CONFIG may list several
// files.
func loadConf(paths string) (*krb5.Config, error) {
	var text strings.Builder
	included := 0
	var add func(path string, optional bool) error
	add = func(path string, optional bool) error {
		if included++; included > maxIncludes {
			return fmt.Errorf("%s: more than %d files are included", path, maxIncludes)
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && optional {
			return nil
		}
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			switch {
			case len(fields) == 2 && fields[0] == "include":
				if err := add(fields[1], false); err != nil {
					return err
				}
			case len(fields) == 2 && fields[0] == "includedir":
				entries, err := os.ReadDir(fields[1])
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				for _, entry := range entries {
					// The names that MIT Kerberos takes.
					if !plainName.MatchString(entry.Name()) {
						continue
					}
					if err := add(filepath.Join(fields[1], entry.Name()), false); err != nil {
						return err
					}
				}
			default:
				text.WriteString(line)
			}
		}
		text.WriteString("\n")
		return nil
	}
	all := filepath.SplitList(paths)
	for _, path := range all {
		if err := add(path, len(all) > 1); err != nil {
			return nil, fmt.Errorf("%w: reading the Kerberos configuration: %w", ErrCredentials, err)
		}
	}
	var conf *krb5.Config
	err := guard(func() (err error) {
		conf, err = krb5.NewFromString(text.String())
		return err
	})
	// What it doesn't know it tells of, and goes on.
	if unsupported := (krb5.UnsupportedDirective{}); err != nil && !errors.As(err, &unsupported) {
		return nil, fmt.Errorf("%w: reading the Kerberos configuration %s: %w", ErrCredentials, paths, err)
	}
	return conf, nil
}

// principal splits name@REALM; the realm may be missing.
func principal(text, defaultRealm string) (types.PrincipalName, string, error) {
	name, realm := types.ParseSPNString(text)
	if realm == "" {
		realm = defaultRealm
	}
	if realm == "" {
		return name, realm, fmt.Errorf("%w: the principal %s names no realm, and krb5.conf has no default_realm", ErrCredentials, text)
	}
	return name, realm, nil
}

// loadKeytab reads the keytab and checks that it has keys of the principal.
func loadKeytab(path string, name types.PrincipalName, realm string) (*keytab.Keytab, error) {
	var kt *keytab.Keytab
	err := guard(func() (err error) {
		kt, err = keytab.Load(path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: reading the keytab: %w", ErrCredentials, err)
	}
	// New keys are added behind older ones. gokrb5 takes those that were written last, as
	// far as seconds tell; like MIT Kerberos, this takes those of the highest version.
	newest := uint32(0)
	found := false
	ours := func(of string, components []string) bool {
		return of == realm && slices.Equal(components, name.NameString)
	}
	for _, entry := range kt.Entries {
		if ours(entry.Principal.Realm, entry.Principal.Components) {
			newest, found = max(newest, entry.KVNO), true
		}
	}
	for n := len(kt.Entries) - 1; n >= 0; n-- {
		if entry := kt.Entries[n]; entry.KVNO < newest && ours(entry.Principal.Realm, entry.Principal.Components) {
			kt.Entries = slices.Delete(kt.Entries, n, n+1)
		}
	}
	if found {
		return kt, nil
	}
	return nil, fmt.Errorf("%w: the keytab %s has no key of %s@%s", ErrCredentials, path, name.PrincipalNameString(), realm)
}

// loadCache reads the ticket cache.
func loadCache(path string) (*credentials.CCache, error) {
	var cache *credentials.CCache
	err := guard(func() (err error) {
		cache, err = credentials.LoadCCache(path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: reading the ticket cache %s: %w", ErrCredentials, path, err)
	}
	return cache, nil
}
