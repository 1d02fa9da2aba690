package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive.
type entry struct {
	name    string // slash-separated
	path    string // where it is, if not content
	content []byte
	runs    bool
}

// published are what an archive has of the checkout, beside the program.
var published = []string{"LICENSE", "README.md", "CHANGELOG.md", "configs", "deploy/systemd", "docs"}

// contents lists what goes into an archive: of the checkout what git knows.
func (r *release) contents(ctx context.Context, program string, licenses []byte) ([]entry, error) {
	listed, err := r.output(ctx, nil, append([]string{"git", "ls-files", "-z", "--"}, published...)...)
	if err != nil {
		return nil, fmt.Errorf("listing the files of the checkout: %w", err)
	}
	files := []entry{{name: name, path: program, runs: true}, {name: "THIRD_PARTY_LICENSES.txt", content: licenses}}
	for path := range strings.SplitSeq(strings.Trim(listed, "\x00"), "\x00") {
		files = append(files, entry{name: path, path: filepath.Join(r.source, filepath.FromSlash(path))})
	}
	slices.SortFunc(files, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

// writeArchive writes a compressed archive with all files below a folder. It depends
// on nothing but their names and contents: owners, rights and times are fixed.
func writeArchive(path, folder string, files []entry, at time.Time) (err error) {
	out, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("making an archive: %w", err)
	}
	defer func() {
		if closing := out.Close(); err == nil {
			err = closing
		}
	}()
	// Its header has neither name nor time.
	compressed, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compressing an archive: %w", err)
	}
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		content := f.content
		if f.path != "" {
			if content, err = os.ReadFile(f.path); err != nil {
				return fmt.Errorf("filling an archive: %w", err)
			}
		}
		mode := int64(0o644)
		if f.runs {
			mode = 0o755
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + f.name, Size: int64(len(content)), Mode: mode, ModTime: at, Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("adding %s to an archive: %w", f.name, err)
		}
		if _, err := archive.Write(content); err != nil {
			return fmt.Errorf("adding %s to an archive: %w", f.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("ending an archive: %w", err)
	}
	if err := compressed.Close(); err != nil {
		return fmt.Errorf("ending an archive: %w", err)
	}
	return nil
}

// sumsFile is read by sha256sum -c and shasum -a 256 -c.
const sumsFile = "SHA256SUMS"

// writeSums writes the sums of files of a folder.
func writeSums(folder string, names []string) error {
	slices.Sort(names)
	var text strings.Builder
	for _, n := range names {
		sum, err := sumOf(filepath.Join(folder, n))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sum, n)
	}
	if err := os.WriteFile(filepath.Join(folder, sumsFile), []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("writing the sums: %w", err)
	}
	return nil
}

func sumOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("summing up: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return nil, fmt.Errorf("summing up %s: %w", path, err)
	}
	return sum.Sum(nil), nil
}
