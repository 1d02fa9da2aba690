package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// Access is what a configuration may read of the machine that it is used on.
type Access struct {
	env   func(name string) (value string, set bool)
	guard *guard // nil: whatever the process may
}

// Full is the access of the worker's own files: who writes them has the worker's
// rights anyway. env looks up an environment variable, as os.LookupEnv does.
func Full(env func(name string) (value string, set bool)) Access { return Access{env: env} }

// Limited is the access of what comes over the network: what the worker's
// config.providers keys allow, by default nothing. The worker's configuration must
// have been validated.
func Limited(w connector.WorkerConfig, env func(name string) (value string, set bool)) Access {
	g := &guard{}
	for _, path := range w.ProvidersAllowedPaths {
		g.paths = append(g.paths, filepath.Clean(path))
	}
	if w.ProvidersEnvPattern != "" {
		g.names = regexp.MustCompile("^(?:" + w.ProvidersEnvPattern + ")$")
	}
	return Access{env: env, guard: g}
}

// resolver is one for values of a file in folder, or of none.
func (a Access) resolver(folder string, read func(string) ([]byte, *connector.Fault)) resolver {
	if a.guard != nil {
		read = a.guard.readFile
	}
	return resolver{env: a.env, folder: folder, readFile: read, guard: a.guard}
}

// guard holds what is allowed.
type guard struct {
	paths []string       // absolute and clean
	names *regexp.Regexp // of environment variables; nil: none
}

const orByFile = ", or make the connector by a file of its worker"

// mayRead is the fault of a variable that isn't allowed, whether it is set or not.
func (g *guard) mayRead(name string) *connector.Fault {
	if g.names != nil && g.names.MatchString(name) {
		return nil
	}
	return &connector.Fault{
		What:   "configurations given by REST may not read the variable " + name,
		Remedy: "have config.providers.env.allowlist.pattern of the worker's file match its name" + orByFile,
	}
}

// place follows all links of a path and gives the folder that must not be left while
// it is opened, with the way from there. What isn't allowed by its name is refused
// without a look at what is there.
func (g *guard) place(path string) (folder, rest string, fault *connector.Fault) {
	path = filepath.Clean(path)
	if !filepath.IsAbs(path) {
		return "", "", &connector.Fault{What: "the path isn't absolute", Remedy: "write it from / on"}
	}
	refused := connector.Fault{
		What:   "configurations given by REST may not read it",
		Remedy: "add it, or a folder above it, to config.providers.allowed.paths of the worker's file" + orByFile,
	}
	named := false
	for _, allowed := range g.paths {
		named = named || within(path, allowed)
	}
	if !named {
		return "", "", &refused
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", "", readFault(err)
	}
	for _, allowed := range g.paths {
		top, err := filepath.EvalSymlinks(allowed)
		switch {
		case err != nil:
		case target == top:
			return filepath.Dir(top), filepath.Base(top), nil
		case within(target, top):
			rest, err = filepath.Rel(top, target)
			if err == nil {
				return top, rest, nil
			}
		}
	}
	refused.What = "configurations given by REST may not read what it is a link to"
	refused.Remedy = "add what it leads to to config.providers.allowed.paths of the worker's file" + orByFile
	return "", "", &refused
}

// within tells whether a path is folder or below it; both are clean.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, string(filepath.Separator))+string(filepath.Separator))
}

// readFile reads a file that is allowed. It must be a regular one: pipes and
// devices could keep the worker waiting.
func (g *guard) readFile(path string) ([]byte, *connector.Fault) {
	folder, rest, fault := g.place(path)
	if fault != nil {
		return nil, fault
	}
	// Links were followed above. Whoever puts one in their way meanwhile doesn't get
	// out of the folder by it.
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, readFault(err)
	}
	defer root.Close()
	file, err := root.OpenFile(rest, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, readFault(err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, readFault(err)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, &connector.Fault{What: "is not a regular file", Remedy: "name one that is"}
	}
	return readAll(file, info)
}

// mayName is the fault of a key whose value is the path of a file that the worker
// reads, if that isn't allowed. It may be yet to come.
func (g *guard) mayName(path string) *connector.Fault {
	_, _, fault := g.place(path)
	if fault == nil || fault.What == noSuchFile {
		return nil
	}
	fault.What = path + ": " + fault.What
	return fault
}

// maxFileBytes bounds every file that is read, configuration or referred to.
const maxFileBytes = 1 << 20

const noSuchFile = "there is no such file"

// readFile reads a whole file of at most maxFileBytes. The fault has neither
// file nor key. Pipes are read too, so that a shell's <(command) works.
func readFile(path string) ([]byte, *connector.Fault) {
	file, err := os.Open(path)
	if err != nil {
		return nil, readFault(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, readFault(err)
	}
	return readAll(file, info)
}

func readAll(file io.Reader, info fs.FileInfo) ([]byte, *connector.Fault) {
	if info.IsDir() {
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
		return &connector.Fault{What: noSuchFile, Remedy: "check the path"}
	case errors.Is(err, fs.ErrPermission):
		return &connector.Fault{What: "the file may not be read", Remedy: "give this user the right to read it"}
	}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return &connector.Fault{What: fmt.Sprintf("the file cannot be read (%v)", err), Remedy: "check the path"}
}

// keeping reads files as readFile does, and remembers those that can be read only
// once, such as a shell's <(command): they have nothing more to say later on.
type keeping struct {
	once map[string][]byte
}

func (k *keeping) readFile(path string) ([]byte, *connector.Fault) {
	if data, is := k.once[path]; is {
		return data, nil
	}
	data, fault := readFile(path)
	if info, err := os.Stat(path); fault == nil && err == nil && !info.Mode().IsRegular() {
		k.once[path] = data
	}
	return data, fault
}
