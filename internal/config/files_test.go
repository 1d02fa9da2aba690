package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFolderStandsForItsFiles(t *testing.T) {
	folder := write(t, map[string]string{"b.yaml": "", "a.yml": "", "C.YAML": "", "notes.txt": "", ".hidden.yaml": "", "d.yaml~": ""})
	empty := filepath.Join(folder, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	got := ConnectorFiles([]string{"x.yaml", folder, empty, folder + "/b.yaml", folder + "/gone"})
	for i, name := range got {
		got[i] = strings.TrimPrefix(name, folder+"/")
	}
	if want := []string{"x.yaml", "C.YAML", "a.yml", "b.yaml", "b.yaml", "gone"}; !slices.Equal(got, want) {
		t.Errorf("files are %v, want %v", got, want)
	}
	if got := ConnectorFiles(nil); len(got) > 0 {
		t.Errorf("nothing stands for %v", got)
	}
}
