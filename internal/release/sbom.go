package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// allowed are the licenses, by SPDX's names, of what the program may be built of. All
// let it be passed on under its own license; MPL-2.0 asks for the source of the
// module's own files, which THIRD_PARTY_LICENSES.txt tells where to get.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}

// sbom has syft look at the program in folder work, and writes what it found.
func (r *release) sbom(ctx context.Context, work, out string) error {
	c := exec.CommandContext(ctx, r.syft, "scan", "file:"+name, "-q", "-o", "cyclonedx-json@1.6", "--source-name", name, "--source-version", r.version)
	c.Dir = work
	c.Env = append(os.Environ(), "SYFT_CHECK_FOR_APP_UPDATE=false", "SYFT_GOLANG_SEARCH_LOCAL_MOD_CACHE_LICENSES=true", "SYFT_GOLANG_SEARCH_REMOTE_LICENSES=false")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	found, err := c.Output()
	if err != nil {
		return fmt.Errorf("making the SBOM: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	info, err := buildinfo.ReadFile(r.syft)
	if err != nil {
		return fmt.Errorf("looking for the version of syft: %w", err)
	}
	text, err := steady(found, r.version, info.Main.Version, r.time)
	if err != nil {
		return fmt.Errorf("making the SBOM: %w", err)
	}
	if err := os.WriteFile(out, text, 0o644); err != nil {
		return fmt.Errorf("writing the SBOM: %w", err)
	}
	return nil
}

// component is what steady looks at of one.
type component struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Version  string `json:"version"`
	Licenses []struct {
		License struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"license"`
		Expression string `json:"expression"`
	} `json:"licenses"`
}

// steady checks the licenses in an SBOM, and replaces what differs from run to run:
// the time by that of the commit, the random serial number by one that is made of the
// contents, and the path of the program by its name. It adds the versions that syft
// doesn't know: the program's, and its own.
func steady(found []byte, version, syft string, at time.Time) ([]byte, error) {
	var components struct {
		Components []component `json:"components"`
	}
	if err := json.Unmarshal(found, &components); err != nil {
		return nil, fmt.Errorf("reading what syft found: %w", err)
	}
	if err := checkLicenses(components.Components); err != nil {
		return nil, err
	}
	var bom map[string]any
	if err := json.Unmarshal(found, &bom); err != nil {
		return nil, fmt.Errorf("reading what syft found: %w", err)
	}
	metadata, _ := bom["metadata"].(map[string]any)
	list, _ := bom["components"].([]any)
	if metadata == nil || list == nil {
		return nil, errors.New("what syft found isn't as this program knows it")
	}
	metadata["timestamp"] = at.Format(time.RFC3339)
	delete(bom, "serialNumber")
	for _, c := range list {
		c, _ := c.(map[string]any)
		switch {
		case c == nil:
		case c["type"] == "file":
			c["name"] = path.Base(filepath.ToSlash(fmt.Sprint(c["name"])))
		case strings.HasSuffix(fmt.Sprint(c["name"]), "/"+name):
			c["version"] = version
			c["licenses"] = []any{map[string]any{"license": map[string]any{"id": "Apache-2.0"}}}
		}
	}
	if tools, _ := metadata["tools"].(map[string]any); tools != nil {
		if made, _ := tools["components"].([]any); len(made) == 1 {
			if tool, _ := made[0].(map[string]any); tool != nil && tool["name"] == "syft" {
				tool["version"] = syft
			}
		}
	}
	without, err := json.Marshal(bom)
	if err != nil {
		return nil, fmt.Errorf("writing the SBOM: %w", err)
	}
	// A UUID of version 8: made of what its maker likes.
	sum := sha256.Sum256(without)
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	bom["serialNumber"] = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	text, err := json.MarshalIndent(bom, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the SBOM: %w", err)
	}
	return append(text, '\n'), nil
}

// checkLicenses wants every module to have licenses that are allowed.
func checkLicenses(components []component) error {
	var faults []error
	libraries := 0
	for _, c := range components {
		if c.Type != "library" || strings.HasSuffix(c.Name, "/"+name) {
			continue
		}
		libraries++
		known := 0
		for _, l := range c.Licenses {
			switch {
			case slices.Contains(allowed, l.License.ID):
				known++
			case l.License.ID == "" && l.Expression == "" && strings.HasPrefix(l.License.Name, "sha256:"):
				// A file that is no license, such as NOTICE.
			default:
				faults = append(faults, fmt.Errorf("%s %s has the license %q, which isn't among those that are allowed (internal/release/sbom.go)", c.Name, c.Version, l.License.ID+l.License.Name+l.Expression))
			}
		}
		if known == 0 {
			faults = append(faults, fmt.Errorf("%s %s has no license that is known", c.Name, c.Version))
		}
	}
	if libraries == 0 {
		faults = append(faults, errors.New("syft found no modules in the program"))
	}
	return errors.Join(faults...)
}
