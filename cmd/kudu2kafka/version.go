package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version string

// versionInfo is what this binary knows of its making.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"`     // of the commit, RFC 3339
	Modified bool   `json:"modified,omitempty"` // built with changes on top of the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Overlay  bool   `json:"overlay"` // can read the certificates of a Kudu with Kerberos
}

func currentVersion() versionInfo {
	info, _ := debug.ReadBuildInfo()
	v := versionFrom(version, info)
	v.Overlay = hasOverlay()
	return v
}

// versionFrom prefers the version given to the linker; a binary made by "go
// install" has one in its build info, any other is "dev".
func versionFrom(linked string, info *debug.BuildInfo) versionInfo {
	v := versionInfo{Version: linked, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info != nil {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.time":
				v.Time = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
		if v.Version == "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
	}
	if v.Version == "" {
		v.Version = "dev"
	}
	return v
}

func (v versionInfo) String() string {
	text := "kudu2kafka " + v.Version
	if v.Commit != "" {
		text += " commit " + v.Commit[:min(12, len(v.Commit))]
		if v.Modified {
			text += " with changes"
		}
	}
	overlay := "without overlay"
	if v.Overlay {
		overlay = "with overlay"
	}
	return fmt.Sprintf("%s %s %s %s", text, v.Go, v.Platform, overlay)
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Long: `Print the version of this binary, the commit that it was built of, the version
of Go, the platform, and whether it was built with the overlay, without which it
can't talk to a Kudu that has Kerberos. kudu2kafka --version prints the same.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var err error
			if asJSON {
				encoder := json.NewEncoder(a.stdout)
				encoder.SetIndent("", "  ")
				err = encoder.Encode(currentVersion())
			} else {
				_, err = fmt.Fprintln(a.stdout, currentVersion())
			}
			if err != nil {
				return &exitError{code: exitFailed, err: fmt.Errorf("printing the version: %w", err)}
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return command
}
