// Command postern is the auth server: `postern help` lists what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/config"
)

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup wants it ignored
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "postern:", err)
		os.Exit(1)
	}
}

// rootCommand is the command line of postern: one constructor per command, each in its own file.
func rootCommand() *cobra.Command {
	var sources config.Sources
	root := &cobra.Command{
		Use:           "postern",
		Short:         "An auth server whose logic lives in PostgreSQL",
		Long:          "An auth server whose logic lives in PostgreSQL. Without a command: migrate, then serve.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return applySources(cmd, sources)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := migrate(cmd); err != nil {
				return err
			}
			return serve(cmd.Context(), sources)
		},
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&sources.File, "config", "c", "", "file of settings, NAME=value lines or JSON; overrides the environment (default: .env, which fills gaps)")
	flags.StringVarP(&sources.Dir, "config-dir", "d", "", "directory of settings, *.env and *.json; overrides all others, and is read again while serving")
	root.AddCommand(devCommand(), serveCommand(&sources), migrateCommand(), doctorCommand(), lintCommand(), keyCommand(), userCommand(), adminCommand(), auditCommand(), mailCommand(),
		readyCommand(), versionCommand())
	return root
}

// applySources puts the settings of files into the environment, where every command looks for them.
func applySources(cmd *cobra.Command, sources config.Sources) error {
	switch cmd.Name() {
	case "version", "help", "completion":
		return nil
	case "dev": // the .env of the application beside it is not meant, only a file that is named
		if sources.File == "" {
			return applyDir(sources)
		}
	}
	if err := sources.ApplyFile(); err != nil {
		return err
	}
	return applyDir(sources)
}

// applyDir reads the directory of settings; one that is not there is told and no reason to stop.
func applyDir(sources config.Sources) error {
	err := sources.ApplyDir()
	if errors.Is(err, fs.ErrNotExist) {
		slog.New(jsonHandler(os.Stderr, slog.LevelInfo)).Error("the directory of --config-dir is not there", "error", err)
		return nil
	}
	return err
}
