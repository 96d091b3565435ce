package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc (USER_HZ, 100 on all Linux architectures).
const tick = 10 * time.Millisecond

// usage is what has been consumed up to a moment.
type usage struct {
	server, postgres time.Duration // processor time
	wal              int64         // bytes
}

// usage reads the processor time of server and PostgreSQL, and how much WAL was written.
func (s *stack) usage(ctx context.Context) (u usage, err error) {
	if u.server, err = processorTime(s.server.Process.Pid, false); err != nil {
		return u, err
	}
	if u.postgres, err = familyTime(s.postmaster); err != nil {
		return u, err
	}
	err = s.admin.QueryRow(ctx, "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn").Scan(&u.wal)
	return u, err
}

// familyTime is the processor time of a process and its children, ended ones included.
func familyTime(pid int) (time.Duration, error) {
	total, err := processorTime(pid, true)
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // has ended
		}
		if fields := statFields(text); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			total += ticks(fields, 11) + ticks(fields, 12)
		}
	}
	return total, nil
}

// processorTime is user and system time of a process, with that of its ended children if wanted (proc(5)).
func processorTime(pid int, withChildren bool) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := statFields(text)
	total := ticks(fields, 11) + ticks(fields, 12)
	if withChildren {
		total += ticks(fields, 13) + ticks(fields, 14)
	}
	return total, nil
}

// statFields returns the fields after the name, the first being the state.
func statFields(text []byte) []string {
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

func ticks(fields []string, i int) time.Duration {
	if i >= len(fields) {
		return 0
	}
	n, _ := strconv.ParseInt(fields[i], 10, 64) // a number, says proc(5)
	return time.Duration(n) * tick
}
