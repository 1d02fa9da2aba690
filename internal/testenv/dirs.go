package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// CacheDir is where downloads and compiled helpers are kept: K2K_CACHE_DIR, or
// the folder kudu2kafka in the user's cache.
func CacheDir() (string, error) {
	if dir := os.Getenv("K2K_CACHE_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache folder (set K2K_CACHE_DIR): %w", err)
	}
	return filepath.Join(dir, "kudu2kafka"), nil
}

// manifestName is the file that lists an installed folder's files and sizes.
const manifestName = "manifest.json"

// install returns the folder of that name in the cache. If it is not there, or
// not complete, fill writes its files into a temporary folder, which is then
// renamed into place: a folder is whole or absent, whoever dies meanwhile. Of
// several processes that want it at once, one fills it and the others wait.
func install(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name)
	if complete(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	l, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer l.unlock()
	if complete(dir) {
		return dir, nil
	}
	tmp := dir + ".tmp"
	if err := errors.Join(os.RemoveAll(tmp), os.RemoveAll(dir), os.MkdirAll(tmp, 0o755)); err != nil {
		return "", fmt.Errorf("preparing %s: %w", tmp, err)
	}
	if err := fill(ctx, tmp); err != nil {
		return "", errors.Join(fmt.Errorf("installing %s: %w", dir, err), os.RemoveAll(tmp))
	}
	if err := writeManifest(tmp); err != nil {
		return "", fmt.Errorf("installing %s: %w", dir, err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", fmt.Errorf("installing %s: %w", dir, err)
	}
	return dir, nil
}

// writeManifest lists the files below dir with their sizes.
func writeManifest(dir string) error {
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		sizes[rel] = info.Size()
		return err
	})
	if err != nil {
		return err
	}
	data, err := json.Marshal(sizes)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestName), data, 0o644)
}

// complete reports whether every file of the manifest is there in its size;
// caches are swept by age, so single files can go missing.
func complete(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return false
	}
	var sizes map[string]int64
	if json.Unmarshal(data, &sizes) != nil || len(sizes) == 0 {
		return false
	}
	for name, size := range sizes {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() != size {
			return false
		}
	}
	return true
}

// dataPrefix starts the names of data folders, in the system's folder for
// temporary files.
const dataPrefix = "kudu2kafka-testenv-"

// dataDir is a cluster's folder: data, logs, configuration. Its lock tells a
// folder in use from one whose process was killed before it could remove it.
type dataDir struct {
	path string
	lock *fileLock
}

// newDataDir makes an empty folder, and removes those of dead processes.
func newDataDir(ctx context.Context) (*dataDir, error) {
	// Between the making of a folder and its locking nobody may sweep.
	guard, err := lockSweeping(ctx)
	if err != nil {
		return nil, err
	}
	defer guard.unlock()
	if err := removeStale(); err != nil {
		return nil, fmt.Errorf("removing data of dead processes: %w", err)
	}
	path, err := os.MkdirTemp("", dataPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a data folder: %w", err)
	}
	l, err := tryLock(filepath.Join(path, "lock"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &dataDir{path: path, lock: l}, nil
}

// lockSweeping keeps others from sweeping until it is unlocked.
func lockSweeping(ctx context.Context) (*fileLock, error) {
	return lock(ctx, filepath.Join(os.TempDir(), perUser(dataPrefix+"guard")))
}

// perUser makes a name in the folder for temporary files, which all users share
// but whose files they cannot write in common.
func perUser(name string) string { return fmt.Sprintf("%s-%d", name, os.Getuid()) }

func removeStale() error {
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), dataPrefix) {
			continue
		}
		path := filepath.Join(os.TempDir(), entry.Name())
		// Another user's folder cannot be locked or removed: not ours to sweep.
		l, err := tryLock(filepath.Join(path, "lock"))
		if err != nil {
			continue
		}
		errs = append(errs, os.RemoveAll(path), l.unlock())
	}
	return errors.Join(errs...)
}

// remove deletes the folder with all it holds. Who sweeps meanwhile would put a new
// lock into a folder that has lost its own, and keep it from being removed.
func (d *dataDir) remove() error {
	guard, err := lockSweeping(context.Background())
	if err != nil {
		return err
	}
	defer guard.unlock()
	return errors.Join(os.RemoveAll(d.path), d.lock.unlock())
}
