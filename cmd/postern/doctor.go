package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-auth/postern/api/doctor"
)

func doctorCommand() *cobra.Command {
	var isJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with settings, database, keys, mail and DNS",
		Long: "Look for what is wrong, with the settings of the server in the environment: settings and combinations of them,\n" +
			"keys, redirect targets, the SMTP server (no mail is sent), the DNS of the sender, the database with its rights,\n" +
			"clock, schema, triggers and rows. Each finding comes with a fix. Nothing is changed. Exit status 1 if there is an\n" +
			"error.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := doctor.Run(cmd.Context(), os.Environ(), doctor.Options{})
			if err := printFindings(cmd.OutOrStdout(), findings, isJSON); err != nil {
				return err
			}
			if n := count(findings, doctor.Error); n > 0 {
				return fmt.Errorf("%d of the findings are errors", n)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&isJSON, "json", false, "print a JSON array of {severity, area, what, fix}")
	return cmd
}

// printFindings writes a paragraph per finding, or JSON.
func printFindings(out io.Writer, findings []doctor.Finding, isJSON bool) error {
	if isJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if findings == nil {
			findings = []doctor.Finding{}
		}
		return encoder.Encode(findings)
	}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-8s %-12s %s\n", strings.ToUpper(string(f.Severity)), f.Area, f.What)
		if f.Fix != "" {
			fmt.Fprintf(&b, "%21s fix: %s\n", "", f.Fix)
		}
	}
	fmt.Fprintf(&b, "%d errors, %d warnings, %d notes\n",
		count(findings, doctor.Error), count(findings, doctor.Warning), count(findings, doctor.Note))
	_, err := io.WriteString(out, b.String())
	return err
}

func count(findings []doctor.Finding, s doctor.Severity) (n int) {
	for _, f := range findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}
