package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// maxFileBytes bounds every file that is read, configuration or referred to.
const maxFileBytes = 1 << 20

// readFile reads a whole file of at most maxFileBytes. The fault has neither
// file nor key. Pipes are read too, so that a shell's <(command) works.
func readFile(path string) ([]byte, *connector.Fault) {
	file, err := os.Open(path)
	if err != nil {
		return nil, readFault(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, &connector.Fault{What: "is a folder, not a file", Remedy: "name a file in it"}
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, readFault(err)
	}
	if len(data) > maxFileBytes {
		return nil, &connector.Fault{What: "the file is larger than 1 MiB", Remedy: "name a smaller file"}
	}
	return data, nil
}

func readFault(err error) *connector.Fault {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &connector.Fault{What: "there is no such file", Remedy: "check the path"}
	case errors.Is(err, fs.ErrPermission):
		return &connector.Fault{What: "the file may not be read", Remedy: "give this user the right to read it"}
	}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return &connector.Fault{What: fmt.Sprintf("the file cannot be read (%v)", err), Remedy: "check the path"}
}

// resolver replaces the references in values.
type resolver struct {
	env      func(name string) (string, bool)
	folder   string // of the file that is being read
	readFile func(path string) ([]byte, *connector.Fault)
}

// resolve replaces every reference in text. referred tells whether there were
// any, so that the caller does not show the outcome.
func (r resolver) resolve(text string) (resolved string, referred bool, faults []connector.Fault) {
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			out.WriteString(text)
			return out.String(), referred, faults
		}
		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		out.WriteString(text[:i])
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return "", true, append(faults, connector.Fault{
				What: "a reference that begins with ${ has no }", Remedy: "close it, or write $${ for the characters themselves",
			})
		}
		reference := text[i : i+end+1]
		value, fault := r.lookup(reference)
		if fault != nil {
			faults = append(faults, *fault)
		}
		out.WriteString(value)
		referred = true
		text = text[i+end+1:]
	}
}

func (r resolver) lookup(reference string) (string, *connector.Fault) {
	provider, rest, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(reference, "${"), "}"), ":")
	switch {
	case provider == "env" && rest != "" && !strings.HasPrefix(rest, ":-"):
		return r.fromEnv(rest)
	case provider == "file" && rest != "":
		return r.fromFile(rest)
	}
	return "", &connector.Fault{
		What:   reference + " is not a reference that is understood",
		Remedy: "write ${env:NAME}, ${file:PATH} or ${file:PATH:KEY}, or $${ for the characters themselves",
	}
}

func (r resolver) fromEnv(rest string) (string, *connector.Fault) {
	name, fallback, hasFallback := strings.Cut(rest, ":-")
	value, set := r.env(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !set:
		return "", &connector.Fault{
			What:   fmt.Sprintf("the environment variable %s is not set", name),
			Remedy: fmt.Sprintf("set it, or write ${env:%s:-default}", name),
		}
	}
	return value, nil
}

func (r resolver) fromFile(rest string) (string, *connector.Fault) {
	path, key := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		path, key = rest[:i], rest[i+1:]
		if path == "" || key == "" {
			return "", &connector.Fault{
				What: "${file:" + rest + "} lacks a path or a key", Remedy: "write ${file:PATH} or ${file:PATH:KEY}",
			}
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.folder, path)
	}
	data, fault := r.readFile(path)
	if fault != nil {
		fault.What = path + ": " + fault.What
		return "", fault
	}
	if key == "" {
		return string(bytes.TrimSpace(data)), nil
	}
	values, fault := readPairs(path, data)
	if fault != nil {
		fault.What = fmt.Sprintf("%s: %s", path, fault.What)
		return "", fault
	}
	value, ok := values[key]
	if !ok {
		return "", &connector.Fault{
			What: fmt.Sprintf("%s: has no key %s", path, key), Remedy: "add the key to that file, or name another",
		}
	}
	return value, nil
}

// readPairs reads a file of keys and values: YAML if its name says so, else
// Java properties.
func readPairs(path string, data []byte) (map[string]string, *connector.Fault) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json":
	default:
		return parseProperties(string(data)), nil
	}
	// What a parser says of a file of secrets may quote them, so that only
	// the place is passed on.
	root, fault := parseYAML(data)
	if fault != nil {
		return nil, &connector.Fault{What: fmt.Sprintf("is not a YAML map (line %d)", max(fault.Line, 1)), Remedy: "correct that file"}
	}
	settings, _ := flatten(root)
	values := make(map[string]string, len(settings))
	for _, s := range settings {
		values[s.key] = strings.Join(s.items, ",")
	}
	return values, nil
}
