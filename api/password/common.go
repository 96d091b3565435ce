package password

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"os"
	"strings"
)

// commonText is the list of the program: words and sequences that people choose. Most also stand for what people make of
// them with an ending of commonEndings.
//
//go:embed common.txt
var commonText string

// commonEndings is what people append to a common word to please a rule; years from 1950 to 2039 count as well.
var commonEndings = []string{
	"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "00", "01", "02", "07", "10", "11", "12", "13", "21", "22", "23", "33", "44", "55", "66", "69",
	"77", "88", "99", "000", "007", "100", "101", "111", "123", "222", "321", "333", "420", "456", "555", "666", "777", "789", "888", "987", "999",
	"1111", "1234", "4321", "12345", "54321", "123456", "1234567", "12345678", "123456789", "!", "!!", "!!!", ".", "?", "*", "#", "$", "@",
	"1!", "12!", "123!", "1234!", "12345!", "!1", "!12", "!123", "@1", "@12", "@123", "@1234", "#1", "#123", "_1", "_123", ".1", ".123", "*1", "*123",
	"123#", "123$", "123@", "123*", "123.", "1@", "1#", "1$", "1*", "1.", "abc", "abc123", "qwerty",
}

// commonPasswords is a list of passwords in lower case.
type commonPasswords struct {
	words   map[string]bool // with their endings
	given   map[string]bool // as they are, of the operator's file
	endings map[string]bool
}

// newCommonPasswords reads the list of the program, if it is wanted, and the operator's, if there is one.
func newCommonPasswords(isWanted bool, file string) (*commonPasswords, error) {
	c := &commonPasswords{words: map[string]bool{}, given: map[string]bool{}, endings: map[string]bool{}}
	if isWanted {
		if err := readList(strings.NewReader(commonText), c.words); err != nil {
			return nil, err
		}
		for _, ending := range commonEndings {
			c.endings[ending] = true
		}
		for year := 1950; year < 2040; year++ {
			c.endings[fmt.Sprint(year)], c.endings[fmt.Sprint(year)+"!"] = true, true
		}
	}
	if file == "" {
		return c, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("POSTERN_PASSWORD_COMMON_FILE: %w", err)
	}
	defer f.Close()
	if err := readList(f, c.given); err != nil {
		return nil, fmt.Errorf("POSTERN_PASSWORD_COMMON_FILE: reading %s: %w", file, err)
	}
	return c, nil
}

// readList reads one password from each line that is not empty.
func readList(r io.Reader, into map[string]bool) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if word := strings.ToLower(strings.TrimRight(lines.Text(), "\r")); word != "" {
			into[word] = true
		}
	}
	return lines.Err()
}

// contain tells whether a password is common: on a list in upper or lower case, or a word of the program's list with a
// common ending.
func (c *commonPasswords) contain(password string) bool {
	text := strings.ToLower(password)
	if c.words[text] || c.given[text] {
		return true
	}
	for i := len(text) - 1; i > 0; i-- {
		if c.endings[text[i:]] && c.words[text[:i]] {
			return true
		}
	}
	return false
}
