package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/password"
	"github.com/postern-auth/postern/gen"
)

const whoHelp = "WHO is a user's id, e-mail address, or phone number with a leading +."

// userCommand administers users from the command line. It calls the functions of schema postern, so it does what an
// administrator does in SQL or over HTTP, and no server has to run.
func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Create, list, ban, delete, import and export users",
		Long: "Administer the users in the database in DATABASE_URL, as its owner or as a member of postern_admin.\n" +
			"No server has to run. " + whoHelp,
	}
	cmd.PersistentFlags().Bool("json", false, "print JSON")
	cmd.AddCommand(userCreateCommand(), userListCommand(), userBanCommand(), userUnbanCommand(), userDeleteCommand(),
		userSetPasswordCommand(), userImportCommand(), userExportCommand())
	return cmd
}

// withDatabase connects to DATABASE_URL, runs f and explains errors that the functions of schema postern raise.
func withDatabase(cmd *cobra.Command, f func(ctx context.Context, db *gen.Queries) error) error {
	return withConnection(cmd, func(ctx context.Context, conn *pgx.Conn) error { return f(ctx, gen.New(conn)) })
}

// withConnection is withDatabase for commands that need transactions.
func withConnection(cmd *cobra.Command, f func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx := cmd.Context()
	url := databaseURL()
	if url == "" {
		return errors.New("DATABASE_URL is not set; it says which database holds the users, for example " +
			"postgres://supabase_auth_admin:secret@localhost:5432/postgres")
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // also works through a pooler in transaction mode
	config.RuntimeParams["application_name"] = cmd.CommandPath()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connecting to DATABASE_URL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return explain(f(ctx, conn))
}

// explain turns errors of the database into sentences for people.
func explain(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code {
	case "3F000", "42883", "42P01":
		return errors.New("this database is not Postern's, or is older than this program: run postern migrate first")
	case "42501":
		return errors.New(pg.Message + ": connect as the owner of schema auth or as a member of postern_admin")
	case "22007", "22P02":
		return errors.New(pg.Message)
	}
	if pg.SchemaName == "postern_internal" {
		return errors.New(pg.Message)
	}
	return err
}

// tell prints one line for people, or with --json a document.
func tell(cmd *cobra.Command, document any, format string, args ...any) error {
	if isJSON, _ := cmd.Flags().GetBool("json"); isJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(document)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	return err
}

func userCreateCommand() *cobra.Command {
	var args gen.SqlCreateUserParams
	var secret, role string
	var isConfirmed bool
	cmd := &cobra.Command{
		Use:   "create [EMAIL]",
		Short: "Create a user",
		Long:  "Create a user with an e-mail address, a phone number, or both. No mail is sent.",
		Example: "  postern user create ann@example.com --confirm --password 'correct horse'\n" +
			"  pass show ann | postern user create ann@example.com --password -",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, positional []string) error {
			if len(positional) == 1 {
				args.Email = positional[0]
			}
			args.EmailConfirm = strconv.FormatBool(isConfirmed && args.Email != "")
			args.PhoneConfirm = strconv.FormatBool(isConfirmed && args.Phone != "")
			if role != "" {
				args.Role = &role
			}
			if cmd.Flags().Changed("password") {
				hash, err := hashPassword(cmd, secret)
				if err != nil {
					return err
				}
				args.PasswordHash = &hash
			}
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				id, err := db.SqlCreateUser(ctx, args)
				if err != nil {
					return err
				}
				account, err := db.SqlGetUser(ctx, id)
				if err != nil {
					return err
				}
				return tell(cmd, json.RawMessage(account), "created %s", id)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&args.Phone, "phone", "", "phone number")
	flags.StringVar(&secret, "password", "", "password; - reads it from standard input; without, nobody can sign in with one")
	flags.BoolVar(&isConfirmed, "confirm", false, "mark the address and the number as confirmed")
	flags.StringVar(&role, "role", "", "role in tokens (default: that of every new user)")
	flags.StringVar(&args.UserMetadata, "user-metadata", "{}", "JSON object")
	flags.StringVar(&args.AppMetadata, "app-metadata", "{}", "JSON object")
	return cmd
}

// hashPassword hashes a password that was given as a flag, - for the first line of standard input.
func hashPassword(cmd *cobra.Command, secret string) (string, error) {
	if secret == "-" {
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		secret = strings.TrimRight(line, "\r\n")
	}
	switch {
	case secret == "":
		return "", errors.New("a password cannot be empty")
	case len(secret) > password.MaxLength:
		return "", password.TooLong{}
	}
	pool := password.New(1, 1)
	defer pool.Close()
	return pool.Hash(cmd.Context(), secret)
}

// listedUser is a row of `postern user list --json`.
type listedUser struct {
	ID           string     `json:"id"`
	Email        string     `json:"email"`
	Phone        string     `json:"phone"`
	CreatedAt    *time.Time `json:"created_at"`
	LastSignInAt *time.Time `json:"last_sign_in_at"`
	ConfirmedAt  *time.Time `json:"confirmed_at"`
	BannedUntil  *time.Time `json:"banned_until"`
	DeletedAt    *time.Time `json:"deleted_at"`
}

func userListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "list [TEXT]",
		Short: "List users, newest first",
		Long:  "List users, newest first: all, or those whose address, number or full name holds a text.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, positional []string) error {
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				rows, err := db.SqlFindUsers(ctx, strings.Join(positional, ""), strconv.Itoa(limit))
				if err != nil {
					return err
				}
				users := make([]listedUser, len(rows))
				for i, row := range rows {
					users[i] = listedUser(row)
				}
				if isJSON, _ := cmd.Flags().GetBool("json"); isJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(users)
				}
				return printUsers(cmd.OutOrStdout(), users)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return cmd
}

func printUsers(out io.Writer, users []listedUser) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tADDRESS\tCREATED\tLAST SIGN-IN\tSTATE")
	for _, u := range users {
		address := u.Email
		if address == "" && u.Phone != "" {
			address = "+" + u.Phone
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", u.ID, address, day(u.CreatedAt), day(u.LastSignInAt), u.state())
	}
	return table.Flush()
}

func day(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

func (u listedUser) state() string {
	switch {
	case u.DeletedAt != nil:
		return "deleted"
	case u.BannedUntil != nil:
		return "banned until " + u.BannedUntil.UTC().Format(time.DateTime)
	case u.ConfirmedAt == nil:
		return "unconfirmed"
	}
	return "confirmed"
}

// outcome is what the commands that change one user print with --json.
type outcome struct {
	User string `json:"user"` // as named on the command line
	Done string `json:"done"`
	// of a ban
	BannedUntil *time.Time `json:"banned_until,omitempty"`
}

func userBanCommand() *cobra.Command {
	var duration string
	cmd := &cobra.Command{
		Use:     "ban WHO",
		Short:   "Ban a user: no sign-in, no refresh",
		Long:    "Ban a user, who can then neither sign in nor refresh a session. " + whoHelp,
		Example: "  postern user ban mallory@example.com --for '7 days'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, who []string) error {
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				until, err := db.SqlBanUser(ctx, who[0], duration)
				if err != nil {
					return err
				}
				return tell(cmd, outcome{who[0], "banned", &until},
					"%s is banned until %s", who[0], until.UTC().Format(time.DateTime))
			})
		},
	}
	cmd.Flags().StringVar(&duration, "for", "100 years", "how long, such as 24h or '7 days'")
	return cmd
}

func userUnbanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unban WHO",
		Short: "Lift a ban",
		Long:  "Lift the ban of a user. " + whoHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, who []string) error {
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				if err := db.SqlUnbanUser(ctx, who[0]); err != nil {
					return err
				}
				return tell(cmd, outcome{User: who[0], Done: "unbanned"}, "%s is no longer banned", who[0])
			})
		},
	}
}

func userDeleteCommand() *cobra.Command {
	var isSoft bool
	cmd := &cobra.Command{
		Use:   "delete WHO",
		Short: "Delete a user",
		Long:  "Delete a user with all sessions, identities and factors. " + whoHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, who []string) error {
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				if err := db.SqlDeleteUser(ctx, who[0], strconv.FormatBool(isSoft)); err != nil {
					return err
				}
				return tell(cmd, outcome{User: who[0], Done: "deleted"}, "%s is deleted", who[0])
			})
		},
	}
	cmd.Flags().BoolVar(&isSoft, "soft", false, "keep the row and its id, without anything that says who it was")
	return cmd
}

func userSetPasswordCommand() *cobra.Command {
	var secret string
	cmd := &cobra.Command{
		Use:     "set-password WHO",
		Short:   "Set a user's password and end all sessions",
		Long:    "Set a user's password and end all sessions of the user. " + whoHelp,
		Example: "  pass show ann | postern user set-password ann@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, who []string) error {
			hash, err := hashPassword(cmd, secret)
			if err != nil {
				return err
			}
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				if err := db.SqlSetPasswordHash(ctx, who[0], hash); err != nil {
					return err
				}
				return tell(cmd, outcome{User: who[0], Done: "password set"}, "%s has a new password and no sessions", who[0])
			})
		},
	}
	cmd.Flags().StringVar(&secret, "password", "-", "password; - reads it from standard input")
	return cmd
}
