package importer

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line of NDJSON in bytes.
const maxLine = 16 << 20

// readDocuments reads documents as they are.
func readDocuments(in io.Reader, _ Options) iter.Seq2[Row, error] {
	return eachLine(in, func(line int, text []byte) Row {
		return Row{Line: line, Document: slices.Clone(text)}
	})
}

// eachLine reads NDJSON; what is no JSON is a problem of its line only.
func eachLine(in io.Reader, read func(line int, text []byte) Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, maxLine)
		for line := 1; scanner.Scan(); line++ {
			text := bytes.TrimSpace(bytes.TrimPrefix(scanner.Bytes(), []byte("\xef\xbb\xbf")))
			if len(text) == 0 {
				continue
			}
			row := Row{Line: line, Problem: "The line is no JSON"}
			if json.Valid(text) && utf8.Valid(text) {
				row = read(line, text)
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			yield(Row{}, fmt.Errorf("reading lines: %w", err))
		}
	}
}

// eachElement reads the elements of an array: the one that is the whole file, or that the file's object has under a name.
func eachElement(in io.Reader, name string, read func(n int, element json.RawMessage) []Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		decoder := json.NewDecoder(in)
		if err := enterArray(decoder, name); err != nil {
			yield(Row{}, err)
			return
		}
		for n := 1; decoder.More(); n++ {
			var element json.RawMessage
			if err := decoder.Decode(&element); err != nil {
				yield(Row{}, fmt.Errorf("element %d: %w", n, err))
				return
			}
			for _, row := range read(n, element) {
				if !yield(row, nil) {
					return
				}
			}
		}
		if _, err := decoder.Token(); err != nil {
			yield(Row{}, fmt.Errorf("the end of the file: %w", err))
		}
	}
}

// enterArray moves to the first element of the array of that name.
func enterArray(decoder *json.Decoder, name string) error {
	start, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	if start == json.Delim('[') {
		return nil
	}
	for start == json.Delim('{') && decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("reading JSON: %w", err)
		}
		if key != name {
			var other json.RawMessage
			if err := decoder.Decode(&other); err != nil {
				return fmt.Errorf("reading %v: %w", key, err)
			}
			continue
		}
		if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
			return fmt.Errorf("member %s of the file is no array", name)
		}
		return nil
	}
	return fmt.Errorf("the file has no array of users (%s)", name)
}

// eachRecord reads CSV whose first line names the columns; one of wanted has to be among them.
func eachRecord(in io.Reader, wanted []string, read func(field func(string) string) *user) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		reader := csv.NewReader(in)
		reader.ReuseRecord = true
		header, err := reader.Read()
		if err != nil {
			yield(Row{}, fmt.Errorf("reading the names of the columns: %w", err))
			return
		}
		column := map[string]int{}
		for i, name := range header {
			column[strings.TrimPrefix(name, "\ufeff")] = i
		}
		if !slices.ContainsFunc(wanted, func(name string) bool { _, ok := column[name]; return ok }) {
			yield(Row{}, fmt.Errorf("the first line names none of the columns %s", strings.Join(wanted, ", ")))
			return
		}
		for {
			record, err := reader.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil && !errors.Is(err, csv.ErrFieldCount) {
				yield(Row{}, err)
				return
			}
			line, _ := reader.FieldPos(0)
			row := Row{Line: line, Problem: "The line has another number of fields than the first"}
			if err == nil {
				row = read(func(name string) string {
					if i, ok := column[name]; ok {
						return strings.TrimSpace(record[i])
					}
					return ""
				}).row(line)
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}
