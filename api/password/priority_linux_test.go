package password

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestWorkersHaveLowPriority(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, 0)
	var priority int
	var failure error
	if err := p.do(t.Context(), func() { priority, failure = unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()) }); err != nil || failure != nil {
		t.Fatal(err, failure)
	}
	if got := 20 - priority; got != nice { // the system call returns 20 - the nice value
		t.Errorf("a worker has the nice value %d, want %d", got, nice)
	}
}
