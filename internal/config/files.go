package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ConnectorFiles puts the files of folders in the folders' places: those that end in
// .yaml or .yml and don't begin with a dot, sorted. What can't be read is kept, for
// Load to tell.
func ConnectorFiles(given []string) []string {
	var files []string
	for _, name := range given {
		found, err := os.ReadDir(name) // sorted
		if err != nil {
			files = append(files, name)
			continue
		}
		for _, entry := range found {
			ending := strings.ToLower(filepath.Ext(entry.Name()))
			if !strings.HasPrefix(entry.Name(), ".") && slices.Contains([]string{".yaml", ".yml"}, ending) {
				files = append(files, filepath.Join(name, entry.Name()))
			}
		}
	}
	return files
}
