package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/gen"
)

// lintFinding is a row of postern.lint().
type lintFinding struct {
	Rule     string `json:"rule"`
	Severity string `json:"severity"`
	Object   string `json:"object"`
	What     string `json:"what"`
	Fix      string `json:"fix"`
}

func lintCommand() *cobra.Command {
	var isJSON bool
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Look for what is unsafe or slow in the application's policies, tables, views and functions",
		Long: "Look for what is unsafe or slow in the application's policies, tables, views and functions, in the database in\n" +
			"DATABASE_URL, as its owner or as a member of postern_admin or postern_support. Each finding comes with a statement\n" +
			"that mends it; docs/lint.md describes the rules. Nothing is changed. Exit status 1 if there is an error.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDatabase(cmd, func(ctx context.Context, db *gen.Queries) error {
				rows, err := db.SqlLint(ctx)
				if err != nil {
					return err
				}
				return printLint(cmd.OutOrStdout(), rows, isJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&isJSON, "json", false, "print a JSON array of {rule, severity, object, what, fix}")
	return cmd
}

// printLint writes a paragraph per finding, or JSON. It fails where one of them is an error.
func printLint(out io.Writer, rows []gen.SqlLintRow, isJSON bool) error {
	findings := make([]lintFinding, len(rows))
	count := map[string]int{}
	var b strings.Builder
	for i, row := range rows {
		f := lintFinding(row)
		findings[i] = f
		count[f.Severity]++
		fmt.Fprintf(&b, "%-8s %s %s (%s)\n%8s fix: %s\n", strings.ToUpper(f.Severity), f.Object, f.What, f.Rule, "", f.Fix)
	}
	fmt.Fprintf(&b, "%d errors, %d warnings, %d notes\n", count["error"], count["warning"], count["note"])
	var err error
	if isJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(findings)
	} else {
		_, err = io.WriteString(out, b.String())
	}
	if n := count["error"]; err == nil && n > 0 {
		return fmt.Errorf("%d of the findings are errors", n)
	}
	return err
}
