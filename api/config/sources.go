package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sources are the files of settings beside the process environment (spec/06 section 1.1).
type Sources struct {
	File string // of --config; its values override the environment. Empty: ./.env, which only fills gaps
	Dir  string // of --config-dir; its files override everything else
}

// ApplyFile reads the file and writes its values to the process environment. Errors: a file that is not there or
// cannot be read, *SyntaxError. Without a file, ./.env is optional.
func (s Sources) ApplyFile() error {
	if s.File != "" {
		values, err := readFile(s.File)
		if err != nil {
			return fmt.Errorf("reading the settings of --config: %w", err)
		}
		return setenv(values)
	}
	values, err := readFile(".env")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the settings of .env in the current directory: %w", err)
	}
	maps.DeleteFunc(values, func(name, _ string) bool { _, isSet := os.LookupEnv(name); return isSet })
	return setenv(values)
}

// ApplyDir reads all files of the directory and writes their values to the process environment: so a name that
// disappears from a file stays in force until the process ends. Nothing is written when a file cannot be read.
// Errors: a directory that is not there (errors.Is fs.ErrNotExist), *SyntaxError.
func (s Sources) ApplyDir() error {
	if s.Dir == "" {
		return nil
	}
	files, err := s.dirFiles()
	if err != nil {
		return fmt.Errorf("reading the settings of --config-dir: %w", err)
	}
	all := map[string]string{}
	for _, file := range files {
		values, err := readFile(file)
		if err != nil {
			return fmt.Errorf("reading the settings of --config-dir: %w", err)
		}
		maps.Copy(all, values)
	}
	return setenv(all)
}

// dirFiles lists the files of the directory that count, in order: plain files that end in .env or .json; of
// neighbours x.env and x.json only the latter.
func (s Sources) dirFiles() ([]string, error) {
	entries, err := os.ReadDir(s.Dir) // sorted by name
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		name := filepath.Join(s.Dir, entry.Name())
		ending := filepath.Ext(name)
		if ending != ".env" && ending != ".json" {
			continue
		}
		// not entry.Type: mounted settings are often links to plain files
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if n := len(files); ending == ".json" && n > 0 && files[n-1] == strings.TrimSuffix(name, ".json")+".env" {
			files = files[:n-1]
		}
		files = append(files, name)
	}
	return files, nil
}

// readFile reads JSON where the name ends in .json, and dotenv otherwise.
func readFile(name string) (map[string]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(name) != ".json" {
		return parseDotenv(name, string(text))
	}
	var values map[string]string
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, &SyntaxError{File: name, Want: "must be one flat JSON object of strings"}
	}
	return values, nil
}

func setenv(values map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := os.Setenv(name, values[name]); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}
