package password

import (
	_ "embed"
	"fmt"
	"os"
	"strings"
)

// commonList holds common passwords in lower case, sorted, one a line.
//
//go:embed common.txt
var commonList string

// commonPasswords returns the built-in list and that of a file, if one is named, in lower case.
func commonPasswords(file string) (map[string]bool, error) {
	more := ""
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("POSTERN_PASSWORD_COMMON_FILE: %w", err)
		}
		more = string(text)
	}
	common := make(map[string]bool, strings.Count(commonList, "\n")+strings.Count(more, "\n"))
	for _, list := range []string{commonList, more} {
		for line := range strings.Lines(list) {
			if password := strings.ToLower(strings.TrimRight(line, "\r\n")); password != "" {
				common[password] = true
			}
		}
	}
	return common, nil
}
