package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	for _, want := range []string{"a long first version", "short"} {
		if err := WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Fatalf("left beside the file: %v, %v", entries, err)
	}
}

func TestWriteFileNamesTheDirectoryThatIsMissing(t *testing.T) {
	if err := WriteFile(filepath.Join(t.TempDir(), "absent", "f"), nil, 0o644); err == nil {
		t.Fatal("wrote into a directory that does not exist")
	}
}

func TestRenamePublishesADirectory(t *testing.T) {
	root := t.TempDir()
	from, to := filepath.Join(root, ".part"), filepath.Join(root, "set")
	if err := os.Mkdir(from, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(from, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(to, "f")); err != nil {
		t.Fatal(err)
	}
	if err := Rename(from, to); err == nil {
		t.Fatal("renamed a directory that is gone")
	}
}
