package outbound

import (
	"fmt"
	"io"
)

// TooLargeError is an answer of more than Max bytes.
type TooLargeError struct{ Max int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the answer has more than %d bytes", e.Max)
}

// ReadAll reads an answer of at most max bytes. Errors: *TooLargeError when there is more, never a part of it.
func ReadAll(r io.Reader, max int64) ([]byte, error) {
	return io.ReadAll(&limited{io.NopCloser(r), max, max})
}

// limited is a body that ends with an error where it should have ended by itself. It bounds what libraries read
// that set themselves no bound, decompressed.
type limited struct {
	io.ReadCloser
	left, max int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, &TooLargeError{l.max}
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more tells an end from a cut
	}
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, &TooLargeError{l.max}
	}
	return n, err
}
