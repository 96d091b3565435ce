package dev

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// watcher is the script that becomes PostgreSQL. Before it does, it leaves behind a process that
// reads from a pipe held by us: when we die, however that happens, the read ends, and the watcher
// shuts PostgreSQL down, waits until its pid file $1 is gone, and removes the directory $2. A line in the pipe means
// that PostgreSQL has ended before us. Unlike a parent-death signal this works on any Unix
// and does not depend on which thread started the child.
const watcher = `
pidfile=$1 removed=$2; shift 2
( ( read -r _ <&3 || {
  kill -s INT $$
  while [ -e "$pidfile" ] && kill -0 $$; do sleep 0.05; done
  rm -rf "$removed"
} ) >/dev/null 2>&1 & )
exec "$@" 3<&-`

// process is a running PostgreSQL server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startProcess runs args as the owner of h. The directory removed is deleted when this process dies
// without calling stop.
func startProcess(args []string, h *home, removed string) (*process, error) {
	log, err := os.Create(h.logFile())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	lifeEnd, life, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer lifeEnd.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", watcher, "sh", h.pidFile(), removed}, args...)...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lifeEnd}
	// Its own process group: Ctrl-C in the terminal is for us, and we stop it when we are done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: h.owner.credential}
	if err := cmd.Start(); err != nil {
		life.Close()
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its log says why it ended
		_, _ = life.WriteString("\n")
		life.Close()
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop shuts the server down ("fast": open transactions are rolled back) and waits for its end.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.done:
		return nil
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("PostgreSQL did not stop within 20 s and was killed")
	}
}

// startFailure turns the log of a server that did not come up into a sentence.
func startFailure(port int, logFile string) error {
	text, err := os.ReadFile(logFile)
	if err != nil {
		return fmt.Errorf("PostgreSQL did not start: %w", err)
	}
	log := strings.TrimSpace(string(text))
	if strings.Contains(log, "could not bind") || strings.Contains(log, "could not create any TCP/IP sockets") {
		return &InUseError{fmt.Sprintf(
			"Port %d is taken by another program: stop it, or choose another port for the database.", port)}
	}
	return fmt.Errorf("PostgreSQL did not start; its log (%s) says:\n%s", logFile, log)
}
