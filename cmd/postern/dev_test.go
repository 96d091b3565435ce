package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/token"
)

// devProcess is a real `postern dev`.
type devProcess struct {
	cmd   *exec.Cmd
	lines map[string]string // API, ANON_KEY, SERVICE_ROLE_KEY, Mail page, Database
}

// build compiles the program once per test that needs a process.
func build(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "postern")
	if out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return name
}

// startDev starts `postern dev` on free ports and waits for its greeting.
func startDev(t *testing.T, program, dir string) *devProcess {
	t.Helper()
	cmd := exec.Command(program, "dev", "--dir", dir, "--port", "0", "--mail-port", "0")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &devProcess{cmd: cmd, lines: map[string]string{}}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		line := scanner.Text()
		if strings.HasPrefix(line, "curl") {
			return p
		}
		for _, name := range []string{"API=", "ANON_KEY=", "SERVICE_ROLE_KEY=", "Mail page   ", "Database    "} {
			if value, ok := strings.CutPrefix(line, name); ok {
				p.lines[strings.TrimRight(name, "= ")] = value
			}
		}
	}
	t.Fatalf("postern dev ended: %v", cmd.Wait())
	return nil
}

// stop sends a signal and reports how the process ended.
func (p *devProcess) stop(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after %v: %v", signal, err)
	}
}

// get decodes the JSON reply to a request.
func get(t *testing.T, method, url, body string, header map[string]string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, url, reply.Status)
	}
	if err := json.NewDecoder(reply.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// mailedLink waits for the first link in the mail catcher.
func (p *devProcess) mailedLink(t *testing.T) string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		var mails []struct{ Links []string }
		get(t, "GET", p.lines["Mail page"]+"/api/messages", "", nil, &mails)
		if len(mails) > 0 {
			return mails[0].Links[0]
		}
		<-tick.C
	}
	t.Fatal("no mail within 10 s")
	return ""
}

// follow returns the fragment of the address that a link redirects to.
func follow(t *testing.T, link string) string {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := client.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	_, fragment, _ := strings.Cut(reply.Header.Get("Location"), "#")
	return fragment
}

func TestDevFromRequestToSession(t *testing.T) {
	t.Parallel()
	program, dir := build(t), t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // for PostgreSQL's user
		t.Fatal(err)
	}
	first := startDev(t, program, dir)
	key := map[string]string{"apikey": first.lines["ANON_KEY"], "Content-Type": "application/json"}
	get(t, "POST", first.lines["API"]+"/magiclink", `{"email":"someone@email.com"}`, key, &struct{}{})
	fragment := follow(t, first.mailedLink(t))
	access, _, _ := strings.Cut(strings.TrimPrefix(fragment, "access_token="), "&")
	var user struct{ Email string }
	get(t, "GET", first.lines["API"]+"/user", "", map[string]string{"Authorization": "Bearer " + access}, &user)
	if user.Email != "someone@email.com" {
		t.Errorf("GET /user: %+v", user)
	}

	out, err := exec.Command(program, "dev", "--dir", dir, "--port", "0", "--mail-port", "0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Another `postern dev` uses") {
		t.Errorf("a second one beside it: %v\n%s", err, out)
	}
	first.stop(t, os.Interrupt)

	second := startDev(t, program, dir)
	if second.lines["ANON_KEY"] != first.lines["ANON_KEY"] {
		t.Error("the second start has other keys")
	}
	var list struct{ Users []struct{ Email string } }
	get(t, "GET", second.lines["API"]+"/admin/users", "", map[string]string{"Authorization": "Bearer " + second.lines["SERVICE_ROLE_KEY"]}, &list)
	if len(list.Users) != 1 {
		t.Errorf("the second start finds %d users", len(list.Users))
	}
	second.stop(t, syscall.SIGTERM)
	if processes, err := exec.Command("pgrep", "-f", dir).Output(); err == nil {
		t.Errorf("left running: %s", processes)
	}
}

func TestDevSaysWhichPortIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for _, flag := range []string{"port", "mail-port"} {
		root := rootCommand()
		args := map[string]string{"port": "0", "mail-port": "0"}
		args[flag] = fmt.Sprint(port)
		root.SetArgs([]string{"dev", "--dir", t.TempDir(), "--port", args["port"], "--mail-port", args["mail-port"]})
		err := root.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d is taken", port)) || !strings.Contains(err.Error(), "--"+flag) {
			t.Errorf("--%s: %v", flag, err)
		}
	}
}

func TestGeneratedKeysSign(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			root := rootCommand()
			root.SetOut(&out)
			root.SetArgs([]string{"key", "generate", "--alg", algorithm})
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			keys, err := token.New(config.JWT{Secret: "a secret of at least thirty-two bytes", Keys: config.Secret(out.String())})
			if err != nil {
				t.Fatal(err)
			}
			key, err := apiKey(keys, "anon")
			if err != nil {
				t.Fatal(err)
			}
			claims, err := keys.Verify(key)
			if err != nil || claims.Role != "anon" {
				t.Errorf("%+v, %v", claims, err)
			}
		})
	}
	root := rootCommand()
	root.SetArgs([]string{"key", "generate", "--alg", "none"})
	if err := root.ExecuteContext(t.Context()); err == nil {
		t.Error("made a key for alg none")
	}
}
