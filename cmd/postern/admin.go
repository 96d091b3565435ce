package main

import (
	"context"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/config"
	"github.com/postern-auth/postern/api/input"
	"github.com/postern-auth/postern/gen"
)

// adminCommand has the commands of the reference, for scripts (spec/07 section 3); `postern user` can do more.
func adminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Create and delete users, in the words of Supabase Auth's command line",
		Long: "Create and delete users, in the words of Supabase Auth's command line. They want the settings of a server, as\n" +
			"there. `postern user` does the same and more.",
	}
	cmd.PersistentFlags().StringP("aud", "a", "", "audience of the user (default: GOTRUE_JWT_AUD)")
	cmd.AddCommand(adminCreateUserCommand(), adminDeleteUserCommand())
	return cmd
}

func adminCreateUserCommand() *cobra.Command {
	var isAdmin, isConfirmed bool
	cmd := &cobra.Command{
		Use:   "createuser EMAIL PASSWORD [ROLE]",
		Short: "Create a user",
		Long:  "Create a user with a password, whose strength is not checked. No mail is sent.",
		Args:  cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(os.Environ())
			if err != nil {
				return err
			}
			email, err := input.Email(args[0])
			if err != nil {
				return err
			}
			hash, err := hashPassword(cmd, args[1])
			if err != nil {
				return err
			}
			user := gen.CreateUserByCommandParams{
				Email: email, PasswordHash: hash, Aud: audience(cmd, cfg),
				IsConfirmed: strconv.FormatBool(isConfirmed || cfg.Mailer.Autoconfirm),
			}
			if len(args) == 3 {
				user.Role = args[2]
			}
			if isAdmin {
				user.Role = cfg.JWT.AdminGroupName
			}
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				id, err := db.CreateUserByCommand(ctx, user)
				if err != nil {
					return err
				}
				return tell(cmd, nil, "Created user: %s", id)
			})
		},
	}
	cmd.Flags().BoolVar(&isAdmin, "admin", false, "give the user the role GOTRUE_JWT_ADMIN_GROUP_NAME")
	cmd.Flags().BoolVar(&isConfirmed, "confirm", false, "mark the address as confirmed")
	return cmd
}

func adminDeleteUserCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "deleteuser ID-OR-EMAIL",
		Short: "Delete a user",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(os.Environ())
			if err != nil {
				return err
			}
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				if err := db.DeleteUserByCommand(ctx, args[0], audience(cmd, cfg)); err != nil {
					return err
				}
				return tell(cmd, nil, "Removed user: %s", args[0])
			})
		},
	}
}

// audience is that of the flag, else that of the settings.
func audience(cmd *cobra.Command, cfg *config.Config) string {
	if aud, _ := cmd.Flags().GetString("aud"); aud != "" {
		return aud
	}
	return cfg.JWT.Aud
}
