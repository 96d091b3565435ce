package seal

import (
	"context"
	"fmt"
	"strconv"

	"github.com/postern-auth/postern/gen"
)

// passwordColumn is the one column with a limit: MaxPassword.
const passwordColumn = "users.encrypted_password"

// Columns are the places of sealed values, table and column; the tables are those of schema auth, provider_tokens and
// webhook_secrets.
var Columns = []string{
	passwordColumn, "mfa_factors.secret", "mfa_challenges.otp_code", "sessions.refresh_token_hmac_key",
	"custom_oauth_providers.client_secret", "provider_tokens.access_token", "provider_tokens.refresh_token",
	"webhook_secrets.secret",
}

// Rotation is what was done in one column.
type Rotation struct {
	Column     string `json:"column"`
	Checked    int    `json:"checked"`
	Sealed     int    `json:"sealed"`     // anew, under the current key
	TooLong    int    `json:"too_long"`   // for their column, once they are encrypted: left as they were
	Unreadable int    `json:"unreadable"` // under a key that is not known, or damaged: left as they were
}

// Rotate seals all values of a column under the current key that are plain or under another one, batch rows at a time.
// Each batch is a transaction of its own and skips values that somebody changes meanwhile, so it can run beside servers,
// be stopped, and be started again: what is done is skipped. unreadable is told the rows that were left.
func (k *Keys) Rotate(
	ctx context.Context, db *gen.Queries, column string, batch int, unreadable func(id string, err error),
) (Rotation, error) {
	done, after := Rotation{Column: column}, ""
	for {
		rows, err := db.ListSealedValues(ctx, gen.ListSealedValuesParams{Place: column, After: after, MaxRows: strconv.Itoa(batch)})
		if err != nil {
			return done, fmt.Errorf("reading %s: %w", column, err)
		}
		if len(rows) == 0 {
			return done, nil
		}
		after = rows[len(rows)-1].ID
		done.Checked += len(rows)
		args := gen.ReplaceSealedValuesParams{Place: column}
		for _, row := range rows {
			sealed, isChanged, err := k.reseal(row.ID, row.Stored)
			switch {
			case err != nil:
				done.Unreadable++
				unreadable(row.ID, err)
			case isChanged && column == passwordColumn && len(sealed) > MaxPassword:
				done.TooLong++
			case isChanged:
				args.Ids, args.Old, args.New = append(args.Ids, row.ID), append(args.Old, row.Stored), append(args.New, sealed)
			}
		}
		if len(args.Ids) == 0 {
			continue
		}
		n, err := db.ReplaceSealedValues(ctx, args)
		if err != nil {
			return done, fmt.Errorf("writing %s: %w", column, err)
		}
		done.Sealed += int(n)
	}
}

// reseal returns a stored value under the current key, if it is not that already.
func (k *Keys) reseal(id, stored string) (sealed string, isChanged bool, err error) {
	plain, isStale, err := k.Open(id, stored)
	if err != nil || !isStale {
		return "", false, err
	}
	sealed, err = k.Seal(id, plain)
	return sealed, true, err
}
