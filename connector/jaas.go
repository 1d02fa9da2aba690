package connector

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

// The login modules that are known, as sasl.jaas.config names them.
const (
	plainModule    = "org.apache.kafka.common.security.plain.PlainLoginModule"
	scramModule    = "org.apache.kafka.common.security.scram.ScramLoginModule"
	kerberosModule = "com.sun.security.auth.module.Krb5LoginModule"
	oauthModule    = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
)

// jaasLogin is what a login module takes here.
type jaasLogin struct {
	mechanisms []string
	required   []string
	// keys are those of this program that options stand for; options that mean nothing
	// here have none.
	keys map[string]string
	// prefix, if not empty, begins options of any name, which are extensions.
	prefix string
}

var jaasLogins = map[string]jaasLogin{
	plainModule: {
		mechanisms: []string{kafka.Plain}, required: []string{"username", "password"},
		keys: map[string]string{"username": "sasl.username", "password": "sasl.password"},
	},
	scramModule: {
		mechanisms: []string{kafka.ScramSHA256, kafka.ScramSHA512}, required: []string{"username", "password"},
		keys: map[string]string{"username": "sasl.username", "password": "sasl.password"},
	},
	oauthModule: {
		mechanisms: []string{kafka.OAuthBearer}, prefix: "extension_",
		keys: map[string]string{ //nolint:gosec // names of keys, not secrets
			"clientId": "sasl.oauthbearer.client.credentials.client.id", "clientSecret": "sasl.oauthbearer.client.credentials.client.secret",
			"scope": "sasl.oauthbearer.scope",
		},
	},
	kerberosModule: {
		mechanisms: []string{kafka.GSSAPI},
		keys: map[string]string{
			"keyTab": "sasl.kerberos.keytab", "principal": "sasl.kerberos.principal", "ticketCache": "sasl.kerberos.ccache", "serviceName": "sasl.kerberos.service.name",
			"useKeyTab": "", "useTicketCache": "", "storeKey": "", "doNotPrompt": "", "refreshKrb5Config": "", "renewTGT": "", "isInitiator": "", "debug": "",
		},
	},
}

// jaasModule is one login module with its options.
type jaasModule struct {
	class   string
	options map[string]Secret // any may be one
}

// mechanisms are those that the module is for.
func (m jaasModule) mechanisms() []string { return jaasLogins[m.class].mechanisms }

// keys are the keys that the options give values to.
func (m jaasModule) keys() []string {
	var keys []string
	login := jaasLogins[m.class]
	for option := range m.options {
		key := login.keys[option]
		if login.prefix != "" && strings.HasPrefix(option, login.prefix) {
			key = "sasl.oauthbearer.extensions"
		}
		if key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// into gives the configuration with the keys that the module stands for.
func (m jaasModule) into(c WorkerConfig) WorkerConfig {
	login := jaasLogins[m.class]
	v := reflect.ValueOf(&c).Elem()
	for _, option := range slices.Sorted(maps.Keys(m.options)) {
		if login.prefix != "" && strings.HasPrefix(option, login.prefix) {
			c.OAuthExtensions = append(c.OAuthExtensions[:len(c.OAuthExtensions):len(c.OAuthExtensions)], strings.TrimPrefix(option, login.prefix)+"="+m.options[option].Reveal())
		} else if key := login.keys[option]; key != "" {
			switch field := fieldOf(v, key).Addr().Interface().(type) {
			case *string:
				*field = m.options[option].Reveal()
			case *Secret:
				*field = m.options[option]
			}
		}
	}
	return c
}

// parseJAAS reads one entry of the form: class flag option=value ... ; where values
// may be in double or single quotes, with backslashes before characters that end
// them. What it says of mistakes holds none of the values.
func parseJAAS(text string) (jaasModule, error) {
	tokens, err := jaasTokens(text)
	if err != nil {
		return jaasModule{}, err
	}
	if len(tokens) < 2 {
		return jaasModule{}, errors.New("is no login module with a flag and options")
	}
	m := jaasModule{class: tokens[0].text, options: make(map[string]Secret)}
	login, known := jaasLogins[m.class]
	if !known {
		return jaasModule{}, fmt.Errorf("names a login module that is not %s", orList(slices.Sorted(maps.Keys(jaasLogins))))
	}
	if !slices.Contains([]string{"required", "requisite", "sufficient", "optional"}, strings.ToLower(tokens[1].text)) {
		return jaasModule{}, errors.New("has no flag, such as required, behind the login module's name")
	}
	rest := tokens[2:]
	if len(rest) == 0 || !rest[len(rest)-1].is(";") {
		return jaasModule{}, errors.New("doesn't end with a semicolon")
	}
	rest = rest[:len(rest)-1]
	for ; len(rest) > 0; rest = rest[3:] {
		name := rest[0].text
		if len(rest) < 3 || rest[0].quoted || !rest[1].is("=") || rest[2].is("=") || rest[2].is(";") {
			return jaasModule{}, errors.New("has something else than name=value among its options; values with special characters go in double quotes")
		}
		extension := login.prefix != "" && strings.HasPrefix(name, login.prefix)
		if _, ok := login.keys[name]; !ok && !extension {
			return jaasModule{}, fmt.Errorf("has an option that is not %s", orList(slices.Sorted(maps.Keys(login.keys))))
		}
		if extension && !kafka.ValidExtension(strings.TrimPrefix(name, login.prefix)+"="+rest[2].text) {
			return jaasModule{}, fmt.Errorf("has an extension that can't be sent: %s", quote(name))
		}
		if _, twice := m.options[name]; twice {
			return jaasModule{}, fmt.Errorf("has the option %s twice", name)
		}
		m.options[name] = secret.New(rest[2].text)
	}
	for _, name := range login.required {
		if m.options[name].Empty() {
			return jaasModule{}, fmt.Errorf("lacks the option %s", name)
		}
	}
	return m, nil
}

type jaasToken struct {
	text   string
	quoted bool
}

// Format keeps the text, which may be a secret, from being printed.
func (t jaasToken) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

func (t jaasToken) is(mark string) bool { return !t.quoted && t.text == mark }

func jaasTokens(text string) ([]jaasToken, error) {
	var tokens []jaasToken
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case c == '=' || c == ';':
			tokens = append(tokens, jaasToken{text: string(c)})
			i++
		case c == '"' || c == '\'':
			var value strings.Builder
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && i+1 < len(text) {
					i++
				}
				value.WriteByte(text[i])
			}
			if i >= len(text) {
				return nil, errors.New("has a quote that isn't closed")
			}
			i++
			tokens = append(tokens, jaasToken{value.String(), true})
		default:
			end := i
			for end < len(text) && strings.IndexByte(" \t\r\n=;\"'", text[end]) < 0 {
				end++
			}
			tokens = append(tokens, jaasToken{text: text[i:end]})
			i = end
		}
	}
	return tokens, nil
}
