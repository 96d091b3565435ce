package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/bcrypt"
)

// Names of the floors: what one operation costs at the very least.
const (
	floorSelect = "select 1"
	floorUpdate = "update 1 row"
	floorBcrypt = "bcrypt 10"
)

// floor is a floor's rate at each number of workers.
type floor struct {
	Name    string         `json:"name"`
	Runs    []load         `json:"runs"`
	Pgbench map[int]string `json:"pgbench,omitempty"` // transactions per second as pgbench measures them
}

// measureFloors drives PostgreSQL and bcrypt without any server, with the same kind of generator.
func measureFloors(ctx context.Context, s *stack, d time.Duration) ([]floor, error) {
	progress("floors")
	floors := []floor{{Name: floorSelect}, {Name: floorUpdate}, {Name: floorBcrypt}}
	scripts := []string{
		"select 1;",
		"\\set id random(1, 1000)\nupdate public.floor set n = n + 1 where id = :id;",
	}
	for i, run := range []func(context.Context, *stack, int, time.Duration) (load, error){driveSelect, driveUpdate, driveBcrypt} {
		for _, workers := range levels {
			l, err := run(ctx, s, workers, d)
			if err == nil {
				err = l.firstErr
			}
			if err != nil {
				return nil, fmt.Errorf("floor %s: %w", floors[i].Name, err)
			}
			floors[i].Runs = append(floors[i].Runs, l)
		}
		if i < len(scripts) {
			floors[i].Pgbench = pgbench(ctx, s, scripts[i], d)
		}
	}
	return floors, ctx.Err()
}

func driveSelect(ctx context.Context, s *stack, workers int, d time.Duration) (load, error) {
	return driveDatabase(ctx, s, workers, d, func(conn *pgx.Conn) error {
		var one int
		return conn.QueryRow(ctx, "select 1").Scan(&one)
	})
}

func driveUpdate(ctx context.Context, s *stack, workers int, d time.Duration) (load, error) {
	return driveDatabase(ctx, s, workers, d, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "update public.floor set n = n + 1 where id = $1", 1+rand.IntN(1000))
		return err
	})
}

// driveDatabase gives each worker a connection; pgx prepares the statement at its first use.
func driveDatabase(ctx context.Context, s *stack, workers int, d time.Duration, f func(*pgx.Conn) error) (load, error) {
	var steps []step
	for range workers {
		conn, err := pgx.Connect(ctx, s.ownerURL(s.databaseAddress()))
		if err != nil {
			return load{}, err
		}
		defer conn.Close(ctx)
		steps = append(steps, func() error { return f(conn) })
	}
	drive(ctx, steps, d/10) // to warm up
	return drive(ctx, steps, d), nil
}

func driveBcrypt(ctx context.Context, _ *stack, workers int, d time.Duration) (load, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		return load{}, err
	}
	var steps []step
	for range workers {
		steps = append(steps, func() error { return bcrypt.CompareHashAndPassword(hash, []byte(password)) })
	}
	return drive(ctx, steps, d), nil
}

// pgbench measures a script with PostgreSQL's own tool, a cheaper generator, where it is installed.
func pgbench(ctx context.Context, s *stack, script string, d time.Duration) map[int]string {
	program, err := s.cluster.Program("pgbench")
	if err != nil {
		return nil
	}
	file := filepath.Join(s.dir, "floor.sql")
	if os.WriteFile(file, []byte(script+"\n"), 0o600) != nil {
		return nil
	}
	rates := map[int]string{}
	for _, workers := range levels {
		out, err := exec.CommandContext(ctx, program, "--no-vacuum", "--protocol=prepared", "--file="+file,
			"--client="+strconv.Itoa(workers), "--jobs="+strconv.Itoa(min(workers, 2)),
			"--time="+strconv.Itoa(max(int(d.Seconds()), 1)), s.ownerURL(s.databaseAddress())).Output()
		if err != nil {
			return nil
		}
		_, rest, _ := strings.Cut(string(out), "tps = ")
		rates[workers], _, _ = strings.Cut(rest, ".")
	}
	return rates
}
