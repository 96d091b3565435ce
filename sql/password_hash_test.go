package sql_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-auth/postern/api/apitest"
	"github.com/postern-auth/postern/api/password"
)

// postern_internal.is_password_hash and password.ValidHash accept the same: the vectors of every form, and what comes of
// them when a few characters change.
func TestPasswordHashesAsInGo(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../api/password/testdata/hashes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	hashes := []string{"", " ", "x", "$", "{", "{}", "A", "AAAA", "$aspnet$", "{SSHA}", "bcrypt$", "é", `{"secretData":1}`, strings.Repeat("A", 68), strings.Repeat("A", 4100)}
	random := rand.New(rand.NewPCG(1, 2))
	for line := range strings.Lines(string(text)) {
		hash, _, _ := strings.Cut(line, "\t")
		hashes = append(hashes, hash, hash+"=", hash+"\n", " "+hash, strings.ToUpper(hash), strings.Repeat(hash, 2), hash[:len(hash)-1])
		for range 300 {
			hashes = append(hashes, mutated(random, hash))
		}
	}
	rows, err := apitest.Tx(t).Query(t.Context(), "select postern_internal.is_password_hash(h) from unnest($1::text[]) with ordinality as t (h, n) order by n", hashes)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[*bool])
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for i, hash := range hashes {
		err := password.ValidHash(hash)
		if got[i] == nil || *got[i] != (err == nil) {
			t.Errorf("%q: SQL says %v, Go %v", hash, got[i], err)
		}
		if err == nil {
			accepted++
		}
	}
	if accepted < len(hashes)/10 || accepted > len(hashes)*9/10 {
		t.Errorf("%d of %d are accepted: that proves little", accepted, len(hashes))
	}
}

// mutated changes, inserts or removes up to three characters, mostly at the front, where the parameters are.
func mutated(random *rand.Rand, hash string) string {
	const alphabet = "$$$===,,{}\"0123456789012345678901234567890123456789./+-_: ABCXYZabcxyzAQiprtmnlé\n"
	letters := []rune(alphabet)
	text := []rune(hash)
	for range 1 + random.IntN(3) {
		reach := len(text)
		if random.IntN(3) > 0 {
			reach = min(reach, 40)
		}
		i, letter := random.IntN(reach), letters[random.IntN(len(letters))]
		switch random.IntN(3) {
		case 0:
			text[i] = letter
		case 1:
			text = append(text[:i], append([]rune{letter}, text[i:]...)...)
		case 2:
			text = append(text[:i], text[i+1:]...)
		}
	}
	return string(text)
}
