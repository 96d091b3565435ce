package password

import "golang.org/x/sys/unix"

// nice is the priority of a worker: about a tenth of the share of ordinary threads. They preempt it at once, but a
// machine that is busy all the time still lets people sign in; at the lowest priority, 19, it would not.
const nice = 10

// lowerPriority gives the current thread that priority. On Linux a priority belongs to a thread, not to the process. It
// needs no privilege; if it fails all the same, hashing is merely less polite.
func lowerPriority() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice) }
