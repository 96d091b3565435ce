package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress tells how far a long command is: on a terminal a bar that is drawn anew, elsewhere a line now and then.
type progress struct {
	out        io.Writer
	what       string
	isTerminal bool
	size, read int64 // bytes of the input, 0 where nobody knows
	count      int
	start      time.Time
	shown      time.Time
	isDrawn    bool
}

func newProgress(out io.Writer, what string, size int64) *progress {
	p := &progress{out: out, what: what, size: size, start: time.Now(), shown: time.Now()}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		p.isTerminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// reading counts the bytes that go through a reader.
func (p *progress) reading(in io.Reader) io.Reader {
	return io.TeeReader(in, writerFunc(func(b []byte) (int, error) { p.read += int64(len(b)); return len(b), nil }))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// add counts what is done and shows it, not too often.
func (p *progress) add(n int) {
	p.count += n
	every := 10 * time.Second
	if p.isTerminal {
		every = 100 * time.Millisecond
	}
	if time.Since(p.shown) < every {
		return
	}
	p.shown = time.Now()
	if !p.isTerminal {
		fmt.Fprintln(p.out, p.line())
		return
	}
	p.isDrawn = true
	fmt.Fprintf(p.out, "\r\x1b[K%s%s", p.bar(), p.line())
}

// line says how much is done, and how fast.
func (p *progress) line() string {
	return fmt.Sprintf("%d %s, %.0f per second", p.count, p.what, float64(p.count)/time.Since(p.start).Seconds())
}

// bar shows the share of the input that is read, if that is known.
func (p *progress) bar() string {
	if p.size == 0 {
		return ""
	}
	const width = 30
	share := min(float64(p.read)/float64(p.size), 1)
	full := int(share * width)
	return fmt.Sprintf("[%s%s] %3.0f %%  ", strings.Repeat("#", full), strings.Repeat(".", width-full), share*100)
}

// clear takes the bar away, for a line of text in its place.
func (p *progress) clear() {
	if p.isDrawn {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.isDrawn = false
	}
}

// end takes the bar away for good.
func (p *progress) end() { p.clear() }
