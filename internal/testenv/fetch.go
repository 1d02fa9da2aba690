package testenv

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// The versions that tests, demo and benchmarks run against.
const (
	KuduVersion  = "1.18.1"
	KafkaVersion = "4.1.1"

	scalaVersion = "2.13"
	slf4jVersion = "1.7.36"
	// The plugin is pinned, since without a POM Maven would take the newest.
	dependencyPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
	minJava          = 17
)

// ErrMissing is wrapped by errors that say that this machine lacks something
// the servers need.
var ErrMissing = errors.New("missing prerequisite")

// artifact is a Maven artifact on whose dependencies a folder of jars is built.
type artifact struct{ group, name, version string }

// fetchKudu returns the folder of Kudu's programs, with bin and lib below it.
func fetchKudu(ctx context.Context) (string, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("%w: Kudu's programs are published for linux/amd64 only, this is %s/%s", ErrMissing, runtime.GOOS, runtime.GOARCH)
	}
	return install(ctx, "kudu-"+KuduVersion, func(ctx context.Context, dir string) error {
		jar := filepath.Join(dir, "jar")
		coordinates := "org.apache.kudu:kudu-binary:" + KuduVersion + ":jar:linux-x86_64"
		if err := maven(ctx, dependencyPlugin+":copy", "-Dartifact="+coordinates, "-DoutputDirectory="+jar); err != nil {
			return err
		}
		prefix := "kudu-binary-" + KuduVersion + "-linux-x86_64"
		if err := unzip(filepath.Join(jar, prefix+".jar"), prefix+"/", dir); err != nil {
			return err
		}
		for _, program := range []string{"kudu", "kudu-master", "kudu-tserver"} {
			// The archive does not carry the run bits.
			if err := os.Chmod(filepath.Join(dir, "bin", program), 0o755); err != nil {
				return err
			}
		}
		return os.RemoveAll(jar)
	})
}

// fetchKafka returns the folder of the broker's jars.
func fetchKafka(ctx context.Context) (string, error) {
	return fetchJars(ctx, "kafka-"+KafkaVersion,
		artifact{"org.apache.kafka", "kafka_" + scalaVersion, KafkaVersion},
		artifact{"org.apache.kafka", "kafka-tools", KafkaVersion},
		artifact{"org.slf4j", "slf4j-nop", slf4jVersion})
}

// fetchKuduClient returns the folder of the Java client's jars.
func fetchKuduClient(ctx context.Context) (string, error) {
	return fetchJars(ctx, "kudu-client-"+KuduVersion,
		artifact{"org.apache.kudu", "kudu-client", KuduVersion},
		artifact{"org.slf4j", "slf4j-nop", slf4jVersion})
}

// fetchJars installs the artifacts and all they depend on.
func fetchJars(ctx context.Context, name string, artifacts ...artifact) (string, error) {
	return install(ctx, name, func(ctx context.Context, dir string) error {
		pom := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(pom, []byte(renderPOM(artifacts)), 0o644); err != nil {
			return err
		}
		if err := maven(ctx, "-f", pom, dependencyPlugin+":copy-dependencies", "-DoutputDirectory="+dir); err != nil {
			return err
		}
		for _, a := range artifacts {
			if _, err := os.Stat(filepath.Join(dir, a.name+"-"+a.version+".jar")); err != nil {
				return fmt.Errorf("checking what Maven copied: %w", err)
			}
		}
		return nil
	})
}

// renderPOM is a project with nothing but dependencies.
func renderPOM(artifacts []artifact) string {
	var b strings.Builder
	b.WriteString(`<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kudu2kafka</groupId>
  <artifactId>testenv</artifactId>
  <version>1</version>
  <dependencies>
`)
	for _, a := range artifacts {
		fmt.Fprintf(&b, "    <dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n", a.group, a.name, a.version)
	}
	b.WriteString("  </dependencies>\n</project>\n")
	return b.String()
}

// maven runs mvn quietly; its output shows only in the error.
func maven(ctx context.Context, args ...string) error {
	// Maven needs a Java too, and says less well what it lacks.
	if _, err := findJava(ctx); err != nil {
		return err
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("%w: Maven (mvn) is not in PATH; it fetches the servers. Get it by: apt-get install maven, or from https://maven.apache.org", ErrMissing)
	}
	// -C: a download whose checksum differs is an error.
	cmd := exec.CommandContext(ctx, mvn, append([]string{"-q", "-B", "-C"}, args...)...)
	cmd.SysProcAttr = childAttributes()
	return runLocked(cmd)
}

// runLocked runs a command to its end on a locked thread, see Process.run. Its
// output shows in the error.
func runLocked(cmd *exec.Cmd) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runQuietly(cmd); err != nil {
		return fmt.Errorf("running %s: %w\n%s", filepath.Base(cmd.Path), err, out.Bytes())
	}
	return nil
}

// runQuietly is runLocked for a command that has places for its output.
func runQuietly(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.Run()
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// findJava returns the java program, from JAVA_HOME or PATH.
func findJava(ctx context.Context) (string, error) { return findJDK(ctx, "java", "-version") }

// findJavac returns the Java compiler.
func findJavac() (string, error) {
	javac, err := javaProgram("javac")
	if err != nil {
		return "", fmt.Errorf("%w: a Java compiler (javac) is in neither JAVA_HOME nor PATH. Get a JDK by: apt-get install openjdk-17-jdk-headless", ErrMissing)
	}
	return javac, nil
}

func findJDK(ctx context.Context, name, flag string) (string, error) {
	const remedy = "Get it by: apt-get install openjdk-17-jdk-headless, or set JAVA_HOME"
	java, err := javaProgram(name)
	if err != nil {
		return "", fmt.Errorf("%w: Java (%s) is in neither JAVA_HOME nor PATH; version %d or newer is needed. %s", ErrMissing, name, minJava, remedy)
	}
	out, err := exec.CommandContext(ctx, java, flag).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: asking %s for its version: %w\n%s", ErrMissing, java, err, out)
	}
	found := javaVersion.FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("%w: %s does not tell its version: %s", ErrMissing, java, out)
	}
	if version, err := strconv.Atoi(string(found[1])); err != nil || version < minJava {
		return "", fmt.Errorf("%w: %s is version %s; %d or newer is needed. %s", ErrMissing, java, found[1], minJava, remedy)
	}
	return java, nil
}

func javaProgram(name string) (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		if path, err := exec.LookPath(filepath.Join(home, "bin", name)); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// unzip writes the archive's entries below prefix into dir.
func unzip(archive, prefix, dir string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("opening %s: %w", archive, err)
	}
	defer r.Close()
	for _, entry := range r.File {
		rel, found := strings.CutPrefix(entry.Name, prefix)
		if !found || rel == "" || strings.HasSuffix(rel, "/") {
			continue
		}
		if !filepath.IsLocal(rel) {
			return fmt.Errorf("unpacking %s: entry %q leaves the folder", archive, entry.Name)
		}
		if err := unzipEntry(entry, filepath.Join(dir, rel)); err != nil {
			return fmt.Errorf("unpacking %s from %s: %w", entry.Name, archive, err)
		}
	}
	return nil
}

func unzipEntry(entry *zip.File, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := entry.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
