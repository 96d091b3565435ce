package password

import "golang.org/x/sys/unix"

// lowerPriority gives the current thread the lowest priority. On Linux a priority belongs to a thread, not to the
// process. It needs no privilege; if it fails all the same, hashing is merely less polite.
func lowerPriority() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19) }
