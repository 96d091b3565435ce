package password

import (
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	for hash, want := range map[string]string{
		dummyHash: "alg bcrypt bcrypt_cost 10",
		"$argon2id$v=19$m=64,t=3,p=2$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA":                  "alg argon2id v 19 m 64 t 3 p 2 len 32",
		"$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=c2VjcmV0$c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=": "alg fbscrypt v 1 n 14 r 8 p 1 len 32",
		"$6$salt$hash": "alg 6",
		"nonsense":     "alg unknown",
	} {
		if got := strings.Join(describe(hash), " "); got != want {
			t.Errorf("%s: got %s, want %s", hash, got, want)
		}
	}
}
