package testenv

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	archiveName    = "classes.jsa"
	archiveTimeout = 3 * time.Minute
)

// kafkaArchive returns the JVM flags that let a broker start from an archive of
// its classes (class data sharing), which halves the time it takes. The archive
// is written by a broker that is started and stopped for it, once for each Java
// and copy of the jars. A Java that cannot write one gets no flags.
func kafkaArchive(ctx context.Context, java, lib string) ([]string, error) {
	version, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("asking %s for its version: %w", java, err)
	}
	manifest, err := os.Stat(filepath.Join(lib, manifestName))
	if err != nil {
		return nil, err
	}
	// The archive notes the paths and times of the jars.
	key := sha256.Sum256(fmt.Appendf(version, "%s %d", lib, manifest.ModTime().UnixNano()))
	dir, err := install(ctx, fmt.Sprintf("kafka-%s-classes-%x", KafkaVersion, key[:6]), func(ctx context.Context, dir string) error {
		if err := trainKafka(ctx, java, lib, filepath.Join(dir, archiveName)); err != nil {
			return err
		}
		// The folder stands also without an archive, not to try again each time.
		return os.WriteFile(filepath.Join(dir, "java-version"), version, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("archiving the broker's classes: %w", err)
	}
	archive := filepath.Join(dir, archiveName)
	if _, err := os.Stat(archive); err != nil {
		return nil, nil
	}
	return []string{"-XX:SharedArchiveFile=" + archive, "-Xshare:auto"}, nil
}

// trainKafka runs a broker that writes the archive when it ends.
func trainKafka(ctx context.Context, java, lib, archive string) (err error) {
	k, err := startKafka(ctx, java, lib, KafkaConfig{JVMFlags: []string{"-XX:ArchiveClassesAtExit=" + archive}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	if err := k.Process().Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_, err = k.Process().Wait(ctx)
	return err
}
