package overlay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// source is Go's own, as the build that runs this test has it.
func source(t *testing.T) []byte {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "src/crypto/x509/parser.go"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPatchRefusesSourceThatItDoesNotKnow(t *testing.T) {
	good := string(source(t))
	if _, err := Patch([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":           "",
		"call is gone":      strings.Replace(good, call, "false", 1),
		"call twice":        good + "\nfunc more() bool { return " + call + " }\n",
		"function is gone":  strings.Replace(good, function, "func parseExt(der cryptobyte.String) (pkix.Extension, error) {", 1),
		"call is elsewhere": strings.Replace(strings.Replace(good, call, "false", 1), "package x509", "package x509\n\nvar _ = "+call, 1),
		"not well-formed":   good + "\nfunc {",
		"already patched":   strings.Replace(good, call, replacement, 1),
	} {
		if _, err := Patch([]byte(text)); err == nil || !strings.Contains(err.Error(), "patching crypto/x509") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOverlayIsWrittenOnceForAToolchain(t *testing.T) {
	dir := t.TempDir()
	path, err := Write(t.Context(), "go", dir)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Write(t.Context(), "go", dir)
	if err != nil || again != path {
		t.Fatalf("%s, %v", again, err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was written anew, %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if _, err := Write(t.Context(), "no-such-go", dir); err == nil {
		t.Error("made without a toolchain")
	}
}

// certificates are an authority's, in DER, and others that it has signed.
func certificates(t *testing.T) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := func(serial int64, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test " + strconv.FormatInt(serial, 10)}, IsCA: ca, BasicConstraintsValid: true,
			NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
		}
	}
	ca := template(1, true)
	out := map[string]string{}
	add := func(name string, der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out[name] = base64.StdEncoding.EncodeToString(der)
		return der
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	add("ca", der, err)
	der, err = Certificate(template(2, false), ca, key.Public(), key, "kudu/host@REALM", false)
	good := add("good", der, err)
	der, err = Certificate(template(3, false), ca, key.Public(), key, "kudu/host@REALM", true)
	add("critical", der, err)
	der, err = x509.CreateCertificate(rand.Reader, template(4, false), ca, key.Public(), key)
	add("plain", der, err)
	// The same OID twice: the body of the second is appended by Go itself.
	twice := template(5, false)
	twice.ExtraExtensions = []pkix.Extension{{Id: placeholder, Value: []byte{5, 0}}}
	der, err = Certificate(twice, ca, key.Public(), key, "x", false)
	add("two unknown", der, err)
	// An OID that ends in the middle of a part is malformed, not large.
	cut := append([]byte{}, good...)
	at := strings.Index(string(cut), string(kuduOID))
	cut[at+len(kuduOID)-1] |= 0x80
	add("malformed", cut, nil)
	forged := append([]byte{}, good...)
	forged[len(forged)-1] ^= 1
	add("forged", forged, nil)
	return out
}

// TestProgramsBuiltWithTheOverlayReadKudusCertificates builds the program in
// testdata both ways and shows it certificates.
func TestProgramsBuiltWithTheOverlayReadKudusCertificates(t *testing.T) {
	path, err := Write(t.Context(), "go", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const malformed = "x509: malformed extension OID field"
	want := map[string][2]string{ // without and with the overlay
		"plain":       {"verified", "verified"},
		"good":        {malformed, "verified"},
		"two unknown": {malformed, "verified"},
		"critical":    {malformed, "x509: unhandled critical extension"},
		"forged":      {malformed, "x509: certificate signed by unknown authority"},
		"malformed":   {malformed, malformed},
	}
	given := certificates(t)
	for way, flags := range [][]string{{"-overlay="}, {"-overlay=" + path}} {
		probe := filepath.Join(t.TempDir(), "probe")
		build(t.Context(), t, append([]string{"build", "-o", probe}, append(flags, "testdata/probe.go")...)...)
		for name, expected := range want {
			out, err := exec.CommandContext(t.Context(), probe, given["ca"], given[name]).CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), expected[way]) {
				t.Errorf("%s, with flags %v: %q, %v, want %q", name, flags, out, err, expected[way])
			}
		}
	}
}

// TestGosOwnTestsPassWithTheOverlay runs the tests that Go has for the package.
func TestGosOwnTestsPassWithTheOverlay(t *testing.T) {
	path, err := Write(t.Context(), "go", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	goroot := strings.TrimSpace(string(build(t.Context(), t, "env", "GOROOT")))
	if _, err := os.Stat(filepath.Join(goroot, "src/crypto/x509/parser_test.go")); err != nil {
		t.Fatalf("this %s comes without its tests: %v", runtime.Version(), err)
	}
	// Those left out need the network, or Go's module cache.
	out := build(t.Context(), t, "test", "-overlay="+path, "-short", "-count=1",
		"-run=Parse|Extension|OID|Certificate|Verify|Constraint|CSR|Revocation|CRL", "crypto/x509")
	if !strings.HasPrefix(string(out), "ok") {
		t.Errorf("%s", out)
	}
}

// build runs the go command; its standard output is returned.
func build(ctx context.Context, t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(ctx, "go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return out
}

func TestActiveTellsHowThisProgramWasBuilt(t *testing.T) {
	active, err := Active()
	if err != nil {
		t.Fatal(err)
	}
	given := certificates(t)
	der, err := base64.StdEncoding.DecodeString(given["good"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509.ParseCertificate(der); (err == nil) != active {
		t.Errorf("active %t, and reading one says %v", active, err)
	}
}

// TestWhatIsShippedIsBuiltWithTheOverlay looks at each place that builds the
// program for others.
func TestWhatIsShippedIsBuiltWithTheOverlay(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	builds := 0
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "$(GO) build") || !strings.Contains(line, "./cmd/kudu2kafka") {
			continue
		}
		if builds++; !strings.Contains(line, "-overlay $(OVERLAY)") {
			t.Errorf("without the overlay: %s", line)
		}
	}
	if builds == 0 || !strings.Contains(string(text), "build: overlay") {
		t.Error("the Makefile doesn't make the overlay, or doesn't build the program")
	}
}
