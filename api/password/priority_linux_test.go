package password

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestWorkersHaveLowestPriority(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, 0)
	var nice int
	var failure error
	if err := p.do(t.Context(), func() { nice, failure = unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()) }); err != nil || failure != nil {
		t.Fatal(err, failure)
	}
	if got := 20 - nice; got != 19 { // the system call returns 20 - nice
		t.Errorf("a worker has the nice value %d, want 19", got)
	}
}
