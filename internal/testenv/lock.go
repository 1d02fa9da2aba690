//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// fileLock is an advisory lock between processes, and between holders within
// one. The kernel drops it when its process dies. Children do not inherit it.
type fileLock struct{ file *os.File }

var errLocked = errors.New("locked by another process")

// tryLock takes the lock or returns errLocked.
func tryLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return &fileLock{f}, nil
}

// lock waits for the lock.
func lock(ctx context.Context, path string) (*fileLock, error) {
	var l *fileLock
	err := poll(ctx, 50*time.Millisecond, func(context.Context) error {
		var err error
		if l, err = tryLock(path); err != nil && !errors.Is(err, errLocked) {
			return permanent(err)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for lock %s: %w", path, err)
	}
	return l, nil
}

// unlock releases the lock, once or more often; the file stays.
func (l *fileLock) unlock() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("unlocking %s: %w", l.file.Name(), err)
	}
	return nil
}
