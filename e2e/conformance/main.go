// Conformance runs the suite in ../shared/conformance against this server and holds the outcome against
// e2e/conformance-pending.txt: a scenario may fail only if it is listed there, and must fail then, so that the list
// only shrinks. Differences made on purpose are in e2e/conformance-intended.json.
//
// Usage: go run ./e2e/conformance BINARY [option of run.mjs ...]
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/postern-auth/postern/api/dev"
)

const suite = "../shared/conformance"

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: conformance BINARY [option of run.mjs ...]")
	}
	if _, err := os.Stat(filepath.Join(suite, "run.mjs")); err != nil {
		fmt.Println("conformance: skipped, the suite is not in " + suite)
		return
	}
	unexpected, err := run(context.Background(), os.Args[1], os.Args[2:])
	if err != nil {
		log.Fatalf("conformance: %v", err)
	}
	for _, line := range unexpected {
		fmt.Println(line)
	}
	if len(unexpected) > 0 {
		os.Exit(1)
	}
}

// scenario is one entry of the report that run.mjs writes.
type scenario struct {
	ID   string `json:"id"`
	Pass bool   `json:"pass"`
}

// run plays the suite on a cluster of its own and returns a line for everything unexpected.
func run(ctx context.Context, binary string, options []string) (unexpected []string, err error) {
	pending, err := readPending("e2e/conformance-pending.txt")
	if err != nil {
		return nil, err
	}
	report, err := play(ctx, binary, options)
	if err != nil {
		return nil, err
	}
	passed, failed := 0, 0
	for _, s := range report {
		switch reason, isPending := pending[s.ID]; {
		case s.Pass && isPending:
			unexpected = append(unexpected, s.ID+" passes: remove it from e2e/conformance-pending.txt ("+reason+")")
		case !s.Pass && !isPending:
			unexpected = append(unexpected, s.ID+" fails and is not pending")
		}
		if s.Pass {
			passed++
		} else if _, isPending := pending[s.ID]; !isPending {
			failed++
		}
	}
	fmt.Printf("conformance: %d of %d scenarios pass, %d are pending\n", passed, len(report), len(report)-passed-failed)
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	return unexpected, nil
}

// play runs run.mjs and returns its report.
func play(ctx context.Context, binary string, options []string) ([]scenario, error) {
	reset, err := os.ReadFile("e2e/conformance-reset.sql")
	if err != nil {
		return nil, err
	}
	binary, err = filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	cluster, err := dev.Start(ctx, dev.Options{})
	if err != nil {
		return nil, err
	}
	defer cluster.Stop()
	file, err := os.CreateTemp("", "conformance-*.json")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()

	args := append([]string{
		filepath.Join(suite, "run.mjs"), "--server", binary, "--database-url", cluster.URL("postgres"), "--settle", "300",
		"--jobs", "2", "--reset-sql", string(reset), "--intended", "e2e/conformance-intended.json", "--json", file.Name(),
	}, options...)
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) { // failures are in the report
		return nil, err
	}
	var report struct{ Scenarios []scenario }
	if err := json.NewDecoder(file).Decode(&report); err != nil {
		return nil, fmt.Errorf("reading the report: %w", err)
	}
	if len(report.Scenarios) == 0 {
		return nil, errors.New("no scenario ran")
	}
	return report.Scenarios, nil
}

// readPending reads lines of the form "id  # reason".
func readPending(name string) (map[string]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	pending := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		id, reason, _ := strings.Cut(lines.Text(), "#")
		if id = strings.TrimSpace(id); id != "" {
			pending[id] = strings.TrimSpace(reason)
		}
	}
	return pending, nil
}
