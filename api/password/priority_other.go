//go:build !linux

package password

// lowerPriority does nothing: this system has no priorities of threads.
func lowerPriority() {}
