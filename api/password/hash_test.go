package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/postern-auth/postern/api/config"
)

// firebase is the published example of Firebase's scrypt, for the password user1password.
const firebase = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==" +
	"$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="

// argon returns the hash of "secret" with the salt "some-salt".
func argon(kind string) string {
	derive := map[string]func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte{"i": argon2.Key, "id": argon2.IDKey}[kind]
	encode := base64.RawStdEncoding.EncodeToString
	salt := []byte("some-salt")
	return fmt.Sprintf("$argon2%s$v=19$m=64,t=2,p=2$%s$%s", kind, encode(salt), encode(derive([]byte("secret"), salt, 2, 64, 2, 32)))
}

func TestForeignHashes(t *testing.T) {
	t.Parallel()
	cheap, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, 1, 0)
	for _, test := range []struct{ hash, password string }{
		{string(cheap), "secret"},
		{argon("i"), "secret"},
		{argon("id"), "secret"},
		{firebase, "user1password"},
	} {
		if err := ValidHash(test.hash); err != nil {
			t.Errorf("%s: %v", test.hash, err)
		}
		for password, want := range map[string]bool{test.password: true, "wrong": false, "": false, test.password + "x": false} {
			if got, err := p.Verify(t.Context(), test.hash, password); got != want || err != nil {
				t.Errorf("%s, %q: got %v, %v", test.hash, password, got, err)
			}
		}
	}
}

func TestValidHash(t *testing.T) {
	t.Parallel()
	const good = dummyHash
	change := strings.Replace
	for _, hash := range []string{
		change(good, "$10$", "$17$", 1),
		argon("id"), change(argon("id"), "m=64,t=2,p=2", "m=1048576,t=20,p=16", 1),
		firebase, change(firebase, ",ss=Bw==", "", 1), change(firebase, "n=14,r=8", "n=20,r=8", 1),
	} {
		if err := ValidHash(hash); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
	}
	for _, hash := range []string{
		"", " ", "x", "plain password", "$", "$$$", "{SSHA}xxxx", "5f4dcc3b5aa765d61d8327deb882cf99",
		good[:59], good + "x", good + "\n", " " + good, change(good, "$2a$", "$2c$", 1), change(good, "$2a$", "$3a$", 1), change(good, "$10$", "$18$", 1),
		change(good, "$10$", "$31$", 1), change(good, "$10$", "$03$", 1), change(good, "$10$", "$99$", 1), change(good, "$10$", "$1$", 1), change(good, "7Eq", "7é", 1),
		"$argon2", change(argon("i"), "argon2i", "argon2d", 1), change(argon("id"), "v=19", "v=16", 1), change(argon("id"), "$v=19", "", 1),
		change(argon("id"), "m=64", "m=1048577", 1), change(argon("id"), "m=64", "m=0", 1), change(argon("id"), "t=2", "t=21", 1), change(argon("id"), "t=2", "t=0", 1),
		change(argon("id"), "p=2", "p=17", 1), change(argon("id"), "p=2", "p=0", 1), change(argon("id"), "p=2", "p=2,keyid=AA", 1), change(argon("id"), "m=64", "m=99999999999999999999", 1),
		argon("id") + "==", argon("id") + "$", argon("id")[:strings.LastIndex(argon("id"), "$")+1], argon("id")[:strings.LastIndex(argon("id"), "$")+3], change(argon("id"), "$c29tZS1zYWx0", "$", 1),
		"$fbscrypt", change(firebase, "v=1", "v=2", 1), change(firebase, "n=14", "n=0", 1), change(firebase, "n=14", "n=24", 1), change(firebase, "n=14", "n=99", 1),
		change(firebase, "n=14,r=8", "n=21,r=8", 1), change(firebase, "r=8", "r=0", 1), change(firebase, "r=8", "r=9999999", 1), change(firebase, "p=1", "p=0", 1), change(firebase, "p=1", "p=17", 1),
		change(firebase, "ss=Bw==", "ss=Bw", 1), change(firebase, "$42xEC+ixf3L2lw==", "$", 1), firebase[:strings.LastIndex(firebase, "$")+1], firebase + "x",
		good + strings.Repeat("x", maxHashLength), argon("id") + strings.Repeat("A", maxHashLength),
	} {
		if err := ValidHash(hash); err == nil {
			t.Errorf("%q is accepted", hash)
		}
	}
}

func TestStrength(t *testing.T) {
	t.Parallel()
	strict := config.Password{MinLength: 10, RequiredCharacters: config.CharacterSets{"abc", "0123", "é:"}}
	const length = "Password should be at least 10 characters."
	const characters = "Password should contain at least one character of each: abc, 0123, é:."
	for _, test := range []struct {
		policy   config.Password
		password string
		want     error
	}{
		{config.Password{MinLength: 6}, "123456", nil},
		{config.Password{MinLength: 6}, "éé", &Weak{"Password should be at least 6 characters.", []string{"length"}}},
		{config.Password{MinLength: 6}, "ééé", nil}, // bytes count
		{config.Password{MinLength: 6}, "", &Weak{"Password should be at least 6 characters.", []string{"length"}}},
		{config.Password{MinLength: 6}, strings.Repeat("é", 36), nil},
		{config.Password{MinLength: 6}, strings.Repeat("é", 36) + "x", TooLong{}},
		{config.Password{MinLength: 80}, strings.Repeat("x", 73), TooLong{}},
		{strict, "aaaaaaaa0é", nil},
		{strict, "aaaaaaaa0:", nil},
		{strict, "aaaaaaaaaa", &Weak{characters, []string{"characters"}}},
		{strict, "xyz", &Weak{length + " " + characters, []string{"length", "characters"}}},
		{strict, "a0:", &Weak{length, []string{"length"}}},
	} {
		if diff := cmp.Diff(test.want, Strength(test.policy, test.password)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.password, diff)
		}
	}
	if got := (TooLong{}).Error(); got != "Password cannot be longer than 72 characters" {
		t.Error(got)
	}
}

// FuzzValidHash looks for panics, and for accepted hashes beyond the limits.
func FuzzValidHash(f *testing.F) {
	for _, seed := range []string{"", dummyHash, argon("i"), argon("id"), firebase, "$2a$", "$argon2id$v=19$m=,t=,p=$$", "$fbscrypt$v=1,n=1,r=1,p=1$AA==$AA=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		check, err := parse(hash)
		if (check == nil) != (err != nil) {
			t.Fatalf("%q: a checker and %v", hash, err)
		}
		if err == nil && cheap(hash) {
			if ok, err := check([]byte("no such password, 58a3")); ok || err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%q: %v, %v", hash, ok, err)
			}
		}
	})
}

// cheap tells whether a valid hash is quick to compare with.
func cheap(hash string) bool {
	return strings.Contains(hash, "$m=64,t=2") || strings.Contains(hash, "$04$") || strings.Contains(hash, ",n=1,r=1,p=1")
}
