package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/apitest"
)

// serveProcess is a real `postern serve`.
type serveProcess struct {
	cmd   *exec.Cmd
	lines chan map[string]any // of its log; what nobody reads is dropped
	url   string
}

// startServe starts a server with settings as NAME=value pairs and further arguments, and waits until it answers.
func startServe(t *testing.T, program string, settings []string, args ...string) *serveProcess {
	t.Helper()
	p := &serveProcess{cmd: exec.Command(program, args...), lines: make(chan map[string]any, 1000)}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, settings...)
	p.cmd.Dir = t.TempDir()
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go p.read(out)
	line := p.await(t, "API started on: ")
	_, address, _ := strings.Cut(line["msg"].(string), ": ")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	p.url = "http://127.0.0.1:" + port
	return p
}

func (p *serveProcess) read(out io.Reader) {
	defer close(p.lines)
	scanner := bufio.NewScanner(out)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) != nil {
			line = map[string]any{"msg": scanner.Text()}
		}
		select {
		case p.lines <- line:
		default:
		}
	}
}

// await waits for a line of the log whose message holds a text.
func (p *serveProcess) await(t *testing.T, text string) map[string]any {
	t.Helper()
	var seen []any
	deadline := time.After(time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("the server ended: %v", seen)
			}
			if message, _ := line["msg"].(string); strings.Contains(message, text) {
				return line
			}
			seen = append(seen, line)
		case <-deadline:
			t.Fatalf("no line %q in the log: %v", text, seen)
		}
	}
}

// stop ends the server as an operator does; it must end well.
func (p *serveProcess) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range p.lines { // until the end of the log
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// serverSettings are settings of a server on a database of the test.
func serverSettings(databaseURL string, more ...string) []string {
	return append([]string{
		"DATABASE_URL=" + databaseURL, "GOTRUE_API_HOST=127.0.0.1", "PORT=0", "API_EXTERNAL_URL=http://localhost:9999",
		"GOTRUE_SITE_URL=http://localhost:3000", "GOTRUE_JWT_SECRET=a-secret-for-tests-of-more-than-32-bytes",
		"GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated",
	}, more...)
}

// load sends requests until it is stopped.
type load struct {
	running  sync.WaitGroup
	stopped  atomic.Bool
	answered atomic.Int64
	failures chan string
}

// start begins to ask a server: each client of its own, with new connections for each request, or with one that is kept.
func (l *load) start(url string, clients int, isKept bool) {
	for range clients {
		l.running.Go(func() {
			client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: !isKept}}
			defer client.CloseIdleConnections()
			for !l.stopped.Load() {
				if err := ask(client, url); err != nil {
					select {
					case l.failures <- fmt.Sprintf("kept connections %t: %v", isKept, err):
					default:
					}
					return
				}
				l.answered.Add(1)
			}
		})
	}
}

// ask sends a POST, which no client and no proxy repeats when a connection breaks.
func ask(client *http.Client, url string) error {
	response, err := client.Post(url+"/token?grant_type=none", "application/json", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("answered %s", response.Status)
	}
	return nil
}

// TestHandOver replaces a server on its port by the next one, over and over, and loses no request.
func TestHandOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("without a socket that is handed over, connections in the queue are lost: tested on Linux only")
		return
	}
	program := build(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	settings := serverSettings(apitest.Database(t), fmt.Sprint("PORT=", port), "GOTRUE_LOG_LEVEL=info")
	old := startServe(t, program, settings, "serve")
	l := &load{failures: make(chan string, 100)}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	l.start(old.url, 6, false)
	l.start(old.url, 4, true)
	for range 6 {
		next := startServe(t, program, settings, "serve")
		old.stop(t)
		for goal := l.answered.Load() + 200; l.answered.Load() < goal && len(l.failures) == 0; {
			if err := ask(fresh, next.url); err != nil {
				t.Errorf("between hand-overs: %v", err)
				break
			}
		}
		old = next
	}
	l.stopped.Store(true)
	l.running.Wait()
	old.stop(t)
	close(l.failures)
	for failure := range l.failures {
		t.Error(failure)
	}
	t.Logf("%d requests answered", l.answered.Load())
}

// TestServeReloadsItsDirectory: a file that changes is in force soon, one that is wrong is not.
func TestServeReloadsItsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "auth.env"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	isDisabled := func(p *serveProcess) bool {
		var settings struct {
			DisableSignup bool `json:"disable_signup"`
		}
		get(t, "GET", p.url+"/settings", "", nil, &settings)
		return settings.DisableSignup
	}
	write("GOTRUE_DISABLE_SIGNUP=true")
	// without a command the program migrates first
	p := startServe(t, build(t), serverSettings(apitest.EmptyDatabase(t), "GOTRUE_RELOADING_GRACE_PERIOD_INTERVAL=10ms"), "-d", dir)
	if !isDisabled(p) {
		t.Error("the directory is not read at start")
	}
	write("GOTRUE_DISABLE_SIGNUP=false\nPORT=1")
	p.await(t, "PORT changed: this takes a restart")
	p.await(t, "settings were reloaded")
	if isDisabled(p) {
		t.Error("the new setting is not in force")
	}
	write("GOTRUE_DISABLE_SIGNUP=perhaps")
	if line := p.await(t, "settings were not reloaded"); !strings.Contains(fmt.Sprint(line["error"]), "must be true or false") {
		t.Errorf("%v", line)
	}
	if isDisabled(p) {
		t.Error("a bad setting changed something")
	}
	p.stop(t)
	if _, err := http.Get(p.url + "/health"); err == nil {
		t.Error("still answers")
	}
}

// A server that runs alone gives its port up at once.
func TestServeEndsAtOnceWhenAlone(t *testing.T) {
	t.Parallel()
	p := startServe(t, build(t), serverSettings(apitest.Database(t)), "serve")
	client := &http.Client{}
	if err := ask(client, p.url); err != nil { // keeps its connection
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { p.stop(t); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Error("lingers although nobody takes over")
		<-done
	}
}
