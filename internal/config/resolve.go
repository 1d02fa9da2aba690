package config

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// resolver replaces the references in values.
type resolver struct {
	env      func(name string) (string, bool)
	folder   string // of the file that is being read
	readFile func(path string) ([]byte, *connector.Fault)
	guard    *guard // what env and paths in values may lead to; nil: anything
}

// resolve replaces every reference in text. referred tells whether there were
// any, so that the caller does not show the outcome. Of a secret nothing is told
// but references that are well formed: what else looks like one may be part of it.
func (r resolver) resolve(text string, secret bool) (resolved string, referred bool, faults []connector.Fault) {
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
		value, fault := r.lookup(text[i:i+end+1], secret)
		if fault != nil {
			faults = append(faults, *fault)
		}
		out.WriteString(value)
		referred = true
		text = text[i+end+1:]
	}
}

// Providers that references can name. Kafka's examples call the last one
// directory.
const (
	envProvider  = "env"
	fileProvider = "file"
	dirProvider  = "dir"
	dirAlias     = "directory"

	understood = "write ${env:NAME}, ${file:PATH}, ${file:PATH:KEY} or ${dir:PATH:NAME}, or $${ for the characters themselves"
)

// lookup gives what a reference stands for. Its faults name it, and never say
// anything of what it leads to.
func (r resolver) lookup(reference string, secret bool) (string, *connector.Fault) {
	provider, rest, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(reference, "${"), "}"), ":")
	var value string
	var fault *connector.Fault
	switch {
	case provider == envProvider && rest != "" && !strings.HasPrefix(rest, ":-"):
		name, fallback, hasFallback := strings.Cut(rest, ":-")
		if hasFallback {
			reference = "${env:" + name + ":-...}" // the default may be a secret
		}
		value, fault = r.fromEnv(name, fallback, hasFallback)
	case provider == fileProvider && rest != "":
		value, fault = r.fromFile(rest)
	case (provider == dirProvider || provider == dirAlias) && rest != "":
		value, fault = r.fromFolder(rest)
	default:
		if secret {
			reference = "what begins with ${"
		}
		return "", &connector.Fault{What: reference + " is not a reference that is understood", Remedy: understood}
	}
	if fault != nil {
		fault.What = reference + ": " + fault.What
	}
	return value, fault
}

func (r resolver) fromEnv(name, fallback string, hasFallback bool) (string, *connector.Fault) {
	if r.guard != nil {
		if fault := r.guard.mayRead(name); fault != nil {
			return "", fault
		}
	}
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

// absolute is a path of a reference as it is opened.
func (r resolver) absolute(path string) string {
	if r.folder == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.folder, path)
}

func (r resolver) fromFile(rest string) (string, *connector.Fault) {
	path, key := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		path, key = rest[:i], rest[i+1:]
		if path == "" || key == "" {
			return "", &connector.Fault{What: "a path or a key is missing", Remedy: "write ${file:PATH} or ${file:PATH:KEY}"}
		}
	}
	path = r.absolute(path)
	if key == "" {
		return r.whole(path)
	}
	data, fault := r.readFile(path)
	if fault != nil {
		fault.What = path + ": " + fault.What
		return "", fault
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

// fromFolder reads one of a folder's files, as Kubernetes mounts secrets: each key a
// file, which is a link to where the current version is.
func (r resolver) fromFolder(rest string) (string, *connector.Fault) {
	i := strings.LastIndexByte(rest, ':')
	if i < 1 || i == len(rest)-1 {
		return "", &connector.Fault{What: "a path or a name is missing", Remedy: "write ${dir:PATH:NAME}"}
	}
	path, name := rest[:i], rest[i+1:]
	if strings.ContainsAny(name, `/\`) || name == "." || name == ".." {
		return "", &connector.Fault{What: "the name is not that of a file in the folder", Remedy: "write ${dir:PATH:NAME}, the NAME without a folder"}
	}
	return r.whole(filepath.Join(r.absolute(path), name))
}

// whole is a file without the white space around it.
func (r resolver) whole(path string) (string, *connector.Fault) {
	data, fault := r.readFile(path)
	if fault != nil {
		fault.What = path + ": " + fault.What
		return "", fault
	}
	return string(bytes.TrimSpace(data)), nil
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
