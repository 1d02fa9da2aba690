package overlay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FileName is the name of the file that Write makes for go build -overlay.
const FileName = "overlay.json"

// call is the one that is replaced: parseExtension of crypto/x509 reads the
// extension's OID by it.
const (
	function    = "func parseExtension(der cryptobyte.String) (pkix.Extension, error) {"
	call        = "!der.ReadASN1ObjectIdentifier(&ext.Id)"
	replacement = "!readExtensionOID(&der, &ext.Id)"
)

// addition is appended to the file. newOIDFromDER is crypto/x509's own reader
// of OIDs with parts of any size.
const addition = `
// readExtensionOID reads an extension's OID. One with a part that an int can't
// hold becomes a value that no known OID is equal to, and no other one gives:
// -1, followed by the bytes of its encoding.
func readExtensionOID(der *cryptobyte.String, out *asn1.ObjectIdentifier) bool {
	rest := *der
	if der.ReadASN1ObjectIdentifier(out) {
		return true
	}
	var raw cryptobyte.String
	if !rest.ReadASN1(&raw, cryptobyte_asn1.OBJECT_IDENTIFIER) {
		return false
	}
	if _, ok := newOIDFromDER(raw); !ok {
		return false
	}
	*der = rest
	*out = asn1.ObjectIdentifier{-1}
	for _, b := range raw {
		*out = append(*out, int(b))
	}
	return true
}
`

// Patch changes the source of crypto/x509's parser.go. It fails when the source
// isn't as it knows it, so that no build goes on with half a change.
func Patch(source []byte) ([]byte, error) {
	const remedy = "this Go release reads certificates in another way than the overlay knows: see internal/overlay/overlay.go"
	for _, what := range []string{function, call} {
		if n := bytes.Count(source, []byte(what)); n != 1 {
			return nil, fmt.Errorf("patching crypto/x509: %q is there %d times, not once; %s", what, n, remedy)
		}
	}
	begin := bytes.Index(source, []byte(function))
	end := begin + bytes.Index(source[begin:], []byte("\n}\n"))
	if at := bytes.Index(source, []byte(call)); at < begin || at > end {
		return nil, fmt.Errorf("patching crypto/x509: %q isn't in parseExtension; %s", call, remedy)
	}
	patched := bytes.Replace(source, []byte(call), []byte(replacement), 1)
	patched = append(patched, addition...)
	if formatted, err := format.Source(patched); err != nil || !bytes.Equal(formatted, patched) {
		return nil, errors.Join(fmt.Errorf("patching crypto/x509: the result isn't well-formed; %s", remedy), err)
	}
	return patched, nil
}

// Write makes the overlay for the toolchain of the given go command in dir, and
// returns the absolute path of the file to give to go build -overlay.
func Write(ctx context.Context, goCommand, dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("making the overlay: %w", err)
	}
	cmd := exec.CommandContext(ctx, goCommand, "env", "GOROOT")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its GOROOT: %w", goCommand, err)
	}
	original := filepath.Join(strings.TrimSpace(string(out)), "src", "crypto", "x509", "parser.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("reading Go's own source: %w", err)
	}
	patched, err := Patch(source)
	if err != nil {
		return "", err
	}
	changed := filepath.Join(dir, "x509_parser.go.txt")
	table, err := json.MarshalIndent(map[string]map[string]string{"Replace": {original: changed}}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("making the overlay: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the overlay: %w", err)
	}
	path := filepath.Join(dir, FileName)
	for name, content := range map[string][]byte{changed: patched, path: append(table, '\n')} {
		if err := replaceFile(name, content); err != nil {
			return "", fmt.Errorf("making the overlay: %w", err)
		}
	}
	return path, nil
}

// replaceFile writes the file whole or not at all, and leaves one alone that
// has this content: go build then finds in its cache what it built with it.
func replaceFile(name string, content []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, content) {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".overlay-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return os.Rename(tmp.Name(), name)
}
