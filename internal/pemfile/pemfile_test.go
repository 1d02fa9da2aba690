package pemfile

import (
	"bytes"
	"encoding/pem"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// certificate makes one that signs itself.
func certificate(t *testing.T, name string) []byte {
	t.Helper()
	a, err := testenv.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a.PEM()
}

func TestCertificatesAreReadWholeOrNotAtAll(t *testing.T) {
	first, second := certificate(t, "first"), certificate(t, "second")
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")})
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no DER")})
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		text  []byte
		names []string
		fault string
	}{
		"one":                      {first, []string{"first"}, ""},
		"two in their order":       {join(second, first), []string{"second", "first"}, ""},
		"a key and text between":   {join(first, key, []byte("\nof the authority\n"), second), []string{"first", "second"}, ""},
		"nothing":                  {nil, nil, "has no certificate"},
		"no PEM":                   {[]byte("no PEM"), nil, "has no certificate"},
		"only a key":               {key, nil, "has no certificate"},
		"half of one":              {first[:len(first)/2], nil, "has 1 blocks, of which 0 are whole"},
		"half of one behind one":   {join(first, second[:len(second)/2]), nil, "has 2 blocks, of which 1 are whole"},
		"half of one in front":     {join(first[:len(first)/2], []byte("\n"), second), nil, "has 2 blocks, of which 1 are whole"},
		"a certificate that isn't": {join(first, garbage), nil, "certificate 2 cannot be read (x509: malformed certificate)"},
	} {
		got, fault := Certificates(c.text)
		var names []string
		for _, cert := range got {
			names = append(names, cert.Subject.CommonName)
		}
		switch {
		case c.fault == "" && fault != nil:
			t.Errorf("%s: %s", name, fault.What)
		case c.fault != "" && (fault == nil || fault.What != c.fault || fault.Remedy == ""):
			t.Errorf("%s: the fault is %+v, want %q and a remedy", name, fault, c.fault)
		case len(names) != len(c.names):
			t.Errorf("%s: %q, want %q", name, names, c.names)
		}
		for i := range min(len(names), len(c.names)) {
			if names[i] != c.names[i] {
				t.Errorf("%s: %q, want %q", name, names, c.names)
			}
		}
	}
}
