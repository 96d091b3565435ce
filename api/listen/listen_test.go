package listen

import "testing"

// Another address is another socket.
func TestAddressesAreSeparate(t *testing.T) {
	t.Parallel()
	a, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if a.Addr().String() == b.Addr().String() || a.IsShared() || b.IsShared() {
		t.Errorf("%v and %v", a.Addr(), b.Addr())
	}
	if _, err := Listen(t.Context(), "192.0.2.1:1"); err == nil {
		t.Error("listens at an address of somebody else")
	}
}
