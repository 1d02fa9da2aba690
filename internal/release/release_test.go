package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestArchiveDependsOnNamesAndContentsOnly(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	var archives [][]byte
	for n, mode := range []os.FileMode{0o700, 0o644} {
		if err := os.WriteFile(program, []byte("\x7fELF"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(program, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(program, at, at.Add(time.Duration(n)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, fmt.Sprintf("%d.tar.gz", n))
		if err := writeArchive(path, "kudu2kafka-v1", []entry{{name: "configs/a.yaml", content: []byte("a: b\n")}, {name: "kudu2kafka", path: program, runs: true}}, at); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, data)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same contents give two archives")
	}
	compressed, err := gzip.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(compressed)
	var got []string
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %d %d%s %s %q", h.Name, h.Mode, h.Uid, h.Gid, h.Uname, h.ModTime.UTC().Format(time.RFC3339), content))
	}
	want := `kudu2kafka-v1/configs/a.yaml 644 0 0 2026-01-02T03:04:05Z "a: b\n"` + "\n" + `kudu2kafka-v1/kudu2kafka 755 0 0 2026-01-02T03:04:05Z "\x7fELF"`
	if strings.Join(got, "\n") != want {
		t.Errorf("the archive has\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestSumsAreReadBySha256sum(t *testing.T) {
	folder := t.TempDir()
	for _, n := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(folder, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeSums(folder, []string{"b", "a"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, sumsFile))
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if err != nil || string(got) != empty+"  a\n"+empty+"  b\n" {
		t.Errorf("sums are\n%s (%v)", got, err)
	}
}

// bom is what syft finds, with a license for a module.
func bom(serial, license string) []byte {
	return fmt.Appendf(nil, `{"bomFormat":"CycloneDX","serialNumber":%q,"metadata":{"timestamp":%q,"component":{"name":"kudu2kafka"},"tools":{"components":[{"name":"syft","version":"[not provided]"}]}},"components":[
		{"type":"library","name":"github.com/kudu2kafka/kudu2kafka","version":"UNKNOWN"},
		{"type":"library","name":"example.org/m","version":"v1.0.0","licenses":[%s]},
		{"type":"file","name":"/tmp/%s/kudu2kafka"}]}`, "urn:uuid:"+serial, serial, license, serial)
}

func TestSBOMIsTheSameEachTime(t *testing.T) {
	const mit = `{"license":{"id":"MIT"}},{"license":{"name":"sha256:00"}}`
	one, err := steady(bom("a", mit), "v1.2.3", "v1.52.0", at)
	if err != nil {
		t.Fatal(err)
	}
	two, err := steady(bom("b", mit), "v1.2.3", "v1.52.0", at)
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("two runs give\n%s\n%s\n%v", one, two, err)
	}
	other, err := steady(bom("a", mit), "v1.2.4", "v1.52.0", at)
	if err != nil {
		t.Fatal(err)
	}
	var got, next struct {
		SerialNumber string
		Metadata     struct {
			Timestamp time.Time
			Tools     struct{ Components []component }
		}
		Components []component
	}
	if err := errors.Join(json.Unmarshal(one, &got), json.Unmarshal(other, &next)); err != nil {
		t.Fatal(err)
	}
	if !got.Metadata.Timestamp.Equal(at) || got.Components[0].Version != "v1.2.3" || got.Components[0].Licenses[0].License.ID != "Apache-2.0" || got.Components[1].Version != "v1.0.0" {
		t.Errorf("the SBOM is\n%s", one)
	}
	if got.Components[2].Name != "kudu2kafka" || got.Metadata.Tools.Components[0].Version != "v1.52.0" {
		t.Errorf("the SBOM names the file or its maker otherwise:\n%s", one)
	}
	if len(got.SerialNumber) != len("urn:uuid:")+36 || got.SerialNumber == next.SerialNumber {
		t.Errorf("serial numbers are %s, and of another release %s", got.SerialNumber, next.SerialNumber)
	}
}

func TestModulesWithoutAKnownLicenseAreRefused(t *testing.T) {
	for license, want := range map[string]string{
		"":                                     "example.org/m v1.0.0 has no license that is known",
		`{"license":{"name":"sha256:00"}}`:     "example.org/m v1.0.0 has no license that is known",
		`{"license":{"id":"AGPL-3.0-only"}}`:   `example.org/m v1.0.0 has the license "AGPL-3.0-only"`,
		`{"license":{"name":"Ours alone"}}`:    `example.org/m v1.0.0 has the license "Ours alone"`,
		`{"expression":"MIT OR GPL-2.0-only"}`: `example.org/m v1.0.0 has the license "MIT OR GPL-2.0-only"`,
		`{"license":{"id":"MIT"}},{"license":{"id":"SSPL-1.0"}}`: `"SSPL-1.0"`,
	} {
		if _, err := steady(bom("a", license), "v1", "v1.52.0", at); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", license, err, want)
		}
	}
	if _, err := steady([]byte(`{"components":[],"metadata":{}}`), "v1", "v1.52.0", at); err == nil {
		t.Error("an SBOM without modules is taken")
	}
}

func TestModuleWithoutALicenseFileIsRefused(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "deep")
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"license.go": "package m", "licenses": "no", "deep/NOTICE": "by ann\r\n"} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var text bytes.Buffer
	m := module{title: "example.org/m v1", root: root, folders: map[string]bool{root: true}}
	if err := m.write(&text); err == nil || text.Len() > 0 {
		t.Errorf("taken with %q", text.String())
	}
	m.folders[deep] = true
	if err := m.write(&text); err != nil || !strings.Contains(text.String(), "example.org/m v1, deep/NOTICE\n\nby ann\n") {
		t.Errorf("the text is %q, %v", text.String(), err)
	}
}
