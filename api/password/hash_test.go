package password

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// vector is a line of testdata/hashes.tsv.
type vector struct{ hash, password string }

func vectors(t testing.TB) (list []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/hashes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		hash, password, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		list = append(list, vector{hash, password})
	}
	return list
}

// find returns the first vector whose hash begins so.
func find(t testing.TB, prefix string) string {
	t.Helper()
	for _, v := range vectors(t) {
		if strings.HasPrefix(v.hash, prefix) {
			return v.hash
		}
	}
	t.Fatalf("no vector begins with %s", prefix)
	return ""
}

func TestForeignHashes(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if err := ValidHash(v.hash); err != nil {
			t.Errorf("%s: %v", v.hash, err)
			continue
		}
		check, err := parse(v.hash)
		if err != nil {
			t.Fatal(err)
		}
		for password, want := range map[string]bool{v.password: true, "wrong": false, "": false, v.password + "x": false, strings.Repeat("x", 2000): false} {
			if got, err := check.matches([]byte(password)); got != want || err != nil {
				t.Errorf("%s, %.30q: got %v, %v", v.hash, password, got, err)
			}
		}
	}
}

// A right password brings a bcrypt hash of the usual cost where the stored one is of another cost or form. Argon2 and
// Firebase's scrypt stay: the reference reads them. The pool's cost is the least there is, because of the race detector.
func TestRenew(t *testing.T) {
	t.Parallel()
	p := NewWithCost(bcrypt.MinCost, 1, 0)
	t.Cleanup(p.Close)
	for _, v := range vectors(t) {
		cost, _ := bcrypt.Cost([]byte(v.hash))
		isKept := cost == bcrypt.MinCost || strings.HasPrefix(v.hash, "$argon2") || strings.HasPrefix(v.hash, "$fbscrypt") ||
			len(v.password) > MaxLength // bcrypt would cut it off
		ok, renewed, err := p.VerifyAndRenew(t.Context(), v.hash, v.password)
		if !ok || err != nil || (renewed == "") != isKept {
			t.Errorf("%s: %t, renewed as %q, %v", v.hash, ok, renewed, err)
		}
		if renewed != "" {
			if cost, err := bcrypt.Cost([]byte(renewed)); cost != bcrypt.MinCost || err != nil {
				t.Errorf("%s: renewed as %s", v.hash, renewed)
			}
			if err := bcrypt.CompareHashAndPassword([]byte(renewed), []byte(v.password)); err != nil {
				t.Errorf("%s: renewed as %s: %v", v.hash, renewed, err)
			}
		}
	}
	for _, hash := range []string{find(t, "$2y$05$"), find(t, "$P$"), ""} {
		if ok, renewed, err := p.VerifyAndRenew(t.Context(), hash, "wrong"); ok || renewed != "" || err != nil {
			t.Errorf("%s with a wrong password: %t, %q, %v", hash, ok, renewed, err)
		}
	}
}

// The usual cost is 10: other bcrypt hashes are outdated, and what imports bring.
func TestOutdatedHashes(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		check, err := parse(v.hash)
		if err != nil {
			t.Fatal(err)
		}
		want := !strings.HasPrefix(v.hash, "$2a$10$") && !strings.HasPrefix(v.hash, "$argon2") && !strings.HasPrefix(v.hash, "$fbscrypt")
		if got := check.needsRenewal(bcryptCost); got != want {
			t.Errorf("%s: outdated is %t", v.hash, got)
		}
	}
}

// Whatever the stored form, comparing costs at least one usual hash, so that an imported account does not answer faster
// than no account. Forms and parameters that are dearer are not in the list.
func TestCheapHashesArePadded(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		check, err := parse(v.hash)
		if err != nil {
			t.Fatal(err)
		}
		if want := !strings.HasPrefix(v.hash, "$2a$10$") && !strings.HasPrefix(v.hash, "$fbscrypt"); check.needsPadding(bcryptCost) != want {
			t.Errorf("%s: padded is %t", v.hash, !want)
		}
	}
}

func TestValidHash(t *testing.T) {
	t.Parallel()
	const good = dummyHash
	change := strings.Replace
	argon := func(kind string) string { return find(t, "$argon2"+kind+"$") }
	firebase, pbkdf2, scrypt := find(t, "$fbscrypt$"), find(t, "$pbkdf2-sha256$"), find(t, "$scrypt$")
	sha512, phpass, django := find(t, "$6$rounds="), find(t, "$P$9"), find(t, "pbkdf2_sha256$")
	aspnet, keycloak := find(t, "AQAA"), find(t, `{"id"`)
	for _, hash := range []string{
		change(good, "$10$", "$17$", 1),
		argon("id"), change(argon("id"), "m=64,t=2,p=1", "m=1048576,t=20,p=16", 1),
		firebase, change(firebase, ",ss=Bw==", "", 1), change(firebase, "n=14,r=8", "n=20,r=8", 1),
		change(pbkdf2, "i=1000", "i=5000000", 1), change(scrypt, "ln=4", "ln=20", 1), change(sha512, "rounds=1400", "rounds=1000000", 1),
		change(phpass, "$P$9", "$P$M", 1), change(django, "$1000$", "$5000000$", 1), change(keycloak, `{"id"`, `{ "id"`, 1),
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
		change(argon("id"), "p=1", "p=17", 1), change(argon("id"), "p=1", "p=0", 1), change(argon("id"), "p=1", "p=1,keyid=AA", 1), change(argon("id"), "m=64", "m=99999999999999999999", 1),
		argon("id") + "==", argon("id") + "$", argon("id")[:strings.LastIndex(argon("id"), "$")+1], argon("id")[:strings.LastIndex(argon("id"), "$")+3], change(argon("id"), "$yMnKy8zNzs/Q0dLT1NXW1w", "$", 1),
		"$fbscrypt", change(firebase, "v=1", "v=2", 1), change(firebase, "n=14", "n=0", 1), change(firebase, "n=14", "n=24", 1), change(firebase, "n=14", "n=99", 1),
		change(firebase, "n=14,r=8", "n=21,r=8", 1), change(firebase, "r=8", "r=0", 1), change(firebase, "r=8", "r=9999999", 1), change(firebase, "p=1", "p=0", 1), change(firebase, "p=1", "p=17", 1),
		change(firebase, "ss=Bw==", "ss=Bw", 1), change(firebase, "$42xEC+ixf3L2lw==", "$", 1), firebase[:strings.LastIndex(firebase, "$")+1], firebase + "x",
		"$pbkdf2", change(pbkdf2, "i=1000", "i=0", 1), change(pbkdf2, "i=1000", "i=5000001", 1), change(pbkdf2, "sha256", "sha224", 1), change(pbkdf2, "sha256", "md5", 1),
		pbkdf2[:strings.LastIndex(pbkdf2, "$")+5], pbkdf2 + strings.Repeat("A", 180), pbkdf2 + "AA", pbkdf2 + "$", change(find(t, "$pbkdf2-sha1"), "i=1000", "i=5000001", 1),
		change(find(t, "$pbkdf2-sha512$1000"), "$1000$", "$5000001$", 1),
		"$scrypt$", change(scrypt, "ln=4", "ln=0", 1), change(scrypt, "ln=4", "ln=21", 1), change(scrypt, "ln=4,r=8", "ln=23,r=2", 1), change(scrypt, "p=2", "p=17", 1), change(scrypt, "r=8", "r=0", 1),
		"$s0$40801$$", change(find(t, "$s0$"), "$40801$", "$180801$", 1), change(find(t, "$s0$"), "$40801$", "$40800$", 1), change(find(t, "$s0$"), "$40801$", "$801$", 1),
		"$7$", change(find(t, "$7$"), "$7$4", "$7$z", 1), change(find(t, "$7$"), "$7$46....", "$7$4zzzzz", 1), change(find(t, "$7$"), "$7$46....", "$7$4.....", 1),
		"$5$x", "$6$x$y", change(sha512, "rounds=1400", "rounds=999", 1), change(sha512, "rounds=1400", "rounds=1000001", 1), change(sha512, "rounds=1400", "rounds=", 1),
		change(sha512, "$6$", "$5$", 1), change(sha512, "anotherlongsalts", "anotherlongsaltss", 1), change(sha512, "$6$", "$1$", 1), sha512[:len(sha512)-1],
		change(phpass, "$P$9", "$P$4", 1), change(phpass, "$P$9", "$P$N", 1), phpass + "x", phpass[:33], change(phpass, "$P$", "$S$", 1),
		"{SSHA}", "{SSHA256}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "{SHA}gVK8WC9YyFT1gMsQHTGCgT3sSv4=", "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv4=", "{SSHA}" + strings.Repeat("A", 120),
		"{MD5}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "{CRYPT}" + sha512, "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0!",
		change(django, "$1000$", "$0$", 1), change(django, "$1000$", "$5000001$", 1), change(django, "$seasalt$", "$$", 1), change(django, "sha256", "sha512", 1), change(django, "pbkdf2_", "pbkdf3_", 1),
		"bcrypt$", "bcrypt$x", "bcrypt_sha1$" + good, "bcrypt$" + change(good, "$10$", "$18$", 1), "bcrypt_sha256" + good[1:], "argon2$", "argon2$argon2d$v=19$m=64,t=2,p=1$c2FsdA$c2FsdA",
		"scrypt$", change(find(t, "scrypt$"), "$16$", "$15$", 1), change(find(t, "scrypt$"), "$16$", "$1$", 1), change(find(t, "scrypt$"), "$16$", "$0$", 1), change(find(t, "scrypt$"), "$16$", "$16777216$", 1),
		"A", "AAAA", "AQAA", "Apple", "$aspnet$", "$aspnet$AQ==", aspnet + "\n", aspnet[:40], change(aspnet, "AQAAAAEAACcQ", "AQAAAAMAACcQ", 1), change(aspnet, "AQAAAAEAACcQ", "AQAAAAEAAAAA", 1),
		change(aspnet, "AQAAAAEAACcQ", "AQAAAAH/////", 1), change(aspnet, "AQAAAAEAACcQAAAAEA", "AQAAAAEAACcQ/////w", 1), change(aspnet, "AQ", "Ag", 1),
		"{}", `{"a":1}`, `{"secretData":"x","credentialData":"y"}`, change(keycloak, "pbkdf2-sha256", "bcrypt", 1), change(keycloak, "1000", "9000000", 1), change(keycloak, "secretData", "SecretData", 1),
		change(find(t, `{"id":"1","type":"password","secretData":"{\"value\": \"n/R`), "1.3", "1.2", 1), change(find(t, `{"id":"1","type":"password","secretData":"{\"value\": \"n/R`), `\"id\"`, `\"d\"`, 1),
		good + strings.Repeat("x", maxHashLength), argon("id") + strings.Repeat("A", maxHashLength),
	} {
		if err := ValidHash(hash); err == nil {
			t.Errorf("%q is accepted", hash)
		}
	}
}

// FuzzValidHash looks for panics, and for accepted hashes beyond the limits.
func FuzzValidHash(f *testing.F) {
	for _, seed := range append(vectors(f), vector{hash: ""}, vector{hash: "$2a$"}, vector{hash: "$argon2id$v=19$m=,t=,p=$$"}, vector{hash: `{"secretData":{},"credentialData":null}`}) {
		f.Add(seed.hash)
	}
	cheap := map[string]bool{}
	for _, v := range vectors(f) {
		cheap[parameters(v.hash)] = true
	}
	f.Fuzz(func(t *testing.T, hash string) {
		check, err := parse(hash)
		if (check == nil) != (err != nil) {
			t.Fatalf("%q: a checker and %v", hash, err)
		}
		if err == nil && cheap[parameters(hash)] {
			if ok, err := check.matches([]byte("no such password, 58a3")); ok || err != nil {
				t.Errorf("%q: %v, %v", hash, ok, err)
			}
		}
	})
}

// parameters is the part of a hash that tells how much work it takes, and the form.
func parameters(hash string) string { return hash[:min(len(hash), 24)] }
