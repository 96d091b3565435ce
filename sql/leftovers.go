package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// reportLeftovers says what an application's own objects kept the migrations from changing (spec/09
// section 6). All works without it; the operator may want to know.
func (in *installation) reportLeftovers(ctx context.Context) error {
	rows, err := in.conn.Query(ctx, `
		select 'the unique constraint users_email_key stays: ' || string_agg(conname || ' on ' || conrelid::regclass, ', ')
		  || ' needs it; accounts of single sign-on cannot share an address with others until it is gone'
		from pg_constraint
		where confrelid = 'auth.users'::regclass
		  and conindid = (
		    select conindid from pg_constraint
		    where conrelid = 'auth.users'::regclass and conname = 'users_email_key'
		  )
		having count(*) > 0
		union all
		select 'auth.users.' || attname || ' stays ' || format_type(atttypid, atttypmod)
		  || ' instead of text, because a view or a rule reads it'
		from pg_attribute
		where attrelid = 'auth.users'::regclass and attname in ('phone', 'phone_change')
		  and atttypid <> 'text'::regtype`)
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	sentences, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	for _, sentence := range sentences {
		in.log.Warn(sentence)
	}
	return nil
}
