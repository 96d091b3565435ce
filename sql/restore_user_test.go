package sql_test

import "testing"

// deletedSoftly is ann, with an identity at GitHub, deleted by what DELETE /admin/users/{id} calls.
const deletedSoftly = armed + `;
	update auth.users set phone = '15550009', phone_confirmed_at = '2026-01-03', email_change = 'x@example.com' where id = ` + annID + `;
	select postern_internal.put_phone_identity(` + annID + `, '15550009', true, postern_internal.context());
	select postern_internal.admin_delete_user(` + annID + `, true, null, postern_internal.context());
	delete from postern.events; delete from auth.audit_log_entries`

// What comes back of an account that was deleted softly, and what is refused.
func TestRestoreUser(t *testing.T) {
	t.Parallel()
	const identities = "select string_agg(provider || ' ' || provider_id || ' ' || (identity_data - 'sub')::text, E'\\n' order by provider) from auth.identities where user_id = " + annID
	const recorded = "select (select count(*) from postern.events), (select count(*) from auth.audit_log_entries)"
	const still = "select count(*) from auth.users where deleted_at is not null and id = " + annID
	for name, steps := range map[string][]step{
		"by the address alone": {
			{"select postern.restore_user('Ann@Example.com')", ann},
			{"select email, email_confirmed_at is not null, phone, phone_confirmed_at, concat(email_change, ',', phone_change), deleted_at, encrypted_password from auth.users where id = " + annID,
				`ann@example.com,t,,,",",,`},
			{"select raw_app_meta_data, raw_user_meta_data from auth.users where id = " + annID, `{"provider": "email", "providers": ["email"]}","{"email_verified": true}`},
			{identities, `email ` + ann + ` {"email": "ann@example.com", "email_verified": true, "phone_verified": false}`},
			{"select type, user_id, actor = session_user from postern.events", "user.restored," + ann + ",t"},
			{"select payload ->> 'action', payload ->> 'actor_username' = session_user, payload #>> '{traits,user_email}' from auth.audit_log_entries", "user_modified,t,ann@example.com"},
			{"select postern.restore_user('ann@example.com')", "PT409 conflict: The user ann@example.com is not deleted"},
			{"select postern.restore_user('" + ann + "')", "PT409 conflict: The user " + ann + " is not deleted"},
			{"select count(*) from postern.send_magic_link('ann@example.com')", "1"},
		},
		"by the number": {
			{"select postern.restore_user('+1 555 0009')", ann},
			{"select email, email_confirmed_at, phone, phone_confirmed_at is not null, raw_user_meta_data from auth.users where id = " + annID, ",,15550009,t,{}"},
			{identities, `phone ` + ann + ` {"phone": "15550009", "email_verified": false, "phone_verified": true}`},
		},
		"all of it": {
			{`select postern.restore_user('` + ann + `', 'ann@example.com', '+1 555 0009', '{"github": "7"}')`, ann},
			{"select email, phone, raw_app_meta_data ->> 'providers' from auth.users where id = " + annID, `ann@example.com,15550009,"["email", "github", "phone"]`},
			{identities, `email ` + ann + ` {"email": "ann@example.com", "email_verified": true, "phone_verified": false}` +
				"\n" + `github 7 {"provider_id": "7", "email_verified": false, "phone_verified": false}` +
				"\n" + `phone ` + ann + ` {"phone": "15550009", "email_verified": false, "phone_verified": true}`},
			// The next visit finds the account by the identity, and writes its data anew.
			{"select d.decision, d.user_id from postern_internal.decide_account('github', '{\"sub\": \"7\", \"emails\": []}', postern_internal.context()) as d", `sign in",` + ann},
		},
		"what was not the user's": {
			{"select postern.restore_user('bob@example.com')", "PT409 conflict: The user bob@example.com is not deleted"},
			{"select postern.restore_user('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select postern.restore_user('+1555')", "PT404 user_not_found: There is no user +1555"},
			{"select postern.restore_user('eve')", "PT400 validation_failed: Name a user by id, e-mail address or phone number with a leading +, not by 'eve'"},
			{"select postern.restore_user(null)", "PT400 validation_failed: Name a user by id, e-mail address or phone number with a leading +, not by ''"},
			{"select postern.restore_user('" + ann + "')", "PT400 validation_failed: Say the e-mail address or the phone number that the user had"},
			{"select postern.restore_user('" + ann + "', 'eve@example.com')", "PT400 validation_failed: The deleted user did not have the e-mail address eve@example.com"},
			{"select postern.restore_user('" + ann + "', phone => '+15550008')", "PT400 validation_failed: The deleted user did not have the phone number +15550008"},
			{"select postern.restore_user('ann@example.com', phone => '+15550008')", "PT400 validation_failed: The deleted user did not have the phone number +15550008"},
			{`select postern.restore_user('ann@example.com', identities => '{"github": "8"}')`, "PT400 validation_failed: The deleted user did not have the identity 8 at github"},
			{`select postern.restore_user('ann@example.com', identities => '{"github": ["7", "8"]}')`, "PT400 validation_failed: The deleted user did not have the identity 8 at github"},
			{"select postern.restore_user('ann@example.com', identities => '[]')", "PT400 validation_failed: Identities are a JSON object: names of providers, and ids at them"},
			{recorded, "0,0"},
			{still, "1"},
		},
		"what somebody else has by now": {
			{"select postern.create_user('ann@example.com') is null", "f"},
			{"select postern.restore_user('ann@example.com')", "PT422 email_exists: A user with this email address has already been registered"},
			{"select postern.create_user(phone => '15550009') is null", "f"},
			{"select postern.restore_user('+15550009')", "PT422 phone_exists: Phone number already registered by another user"},
			{"update auth.users set aud = 'elsewhere' where phone = '15550009'", ""},
			{"select postern.restore_user('+15550009')", "PT422 phone_exists: Phone number already registered by another user"},
			{"delete from auth.users where email = 'ann@example.com'", ""},
			{"insert into auth.identities (provider_id, user_id, provider, identity_data) values ('7', " + bobID + ", 'github', '{\"email\": \"b@example.com\"}')", ""},
			{`select postern.restore_user('ann@example.com', identities => '{"github": "7"}')`, "PT422 identity_already_exists: Identity is already linked to another user"},
			{"select count(*) from auth.identities where identity_data = '{}'", "3"},
			// An identity with the address is somebody's account as well.
			{"update auth.identities set identity_data = '{\"email\": \"ann@example.com\"}' where provider_id = '7'", ""},
			{"select postern.restore_user('ann@example.com')", "PT422 email_exists: A user with this email address has already been registered"},
			{still, "1"},
		},
		"deleted twice": {
			{"select postern.create_user('ann@example.com') is null", "f"},
			{"select postern.delete_user('ann@example.com', soft => true) is null", "f"},
			{"select postern.restore_user('ann@example.com')", "PT409 conflict: Several deleted users had ann@example.com; say which by the id"},
			{"select postern.restore_user('" + ann + "', 'ann@example.com')", ann},
		},
		"neither address nor number": {
			{"insert into auth.users (instance_id, id, aud, role, is_anonymous) values ('00000000-0000-0000-0000-000000000000', " + otherID + ", 'authenticated', 'authenticated', true)", ""},
			{"select postern.delete_user(" + otherID + ", soft => true) is null", "f"},
			{"select postern.restore_user(" + otherID + ") is null", "f"},
			{"select email, phone, is_anonymous, deleted_at from auth.users where id = " + otherID, ",,t,"},
		},
		"set-wise, as the reference left it": {
			{"select count(postern.delete_user(id::text, soft => true)) from auth.users where deleted_at is null", "3"},
			{"select count(postern.restore_user(v.e)) from (values ('bob@example.com'), ('dan@example.com'), ('+15550001')) as v (e)", "3"},
			{"select string_agg(coalesce(email, phone), ' ' order by email) from auth.users where deleted_at is null", "bob@example.com dan@example.com 15550001"},
			{"select banned_until > now() from auth.users where email = 'dan@example.com'", "t"},
			// spec/01 section 12.5, the vector
			{"insert into auth.users (instance_id, id, aud, role, email, phone, deleted_at) values ('00000000-0000-0000-0000-000000000000', '11111111-1111-4111-8111-111111111111', 'authenticated', 'authenticated', 'JNNFKPMwTzY6tazyplX2wnB-uFqDwPNjj1Oke3LyIJg', 'vXZipe60FhTnINR', now())", ""},
			{"select postern.restore_user('c1new@example.com')", "11111111-1111-4111-8111-111111111111"},
			{"select email, phone from auth.users where id = '11111111-1111-4111-8111-111111111111'", "c1new@example.com,"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			if _, err := tx.Exec(t.Context(), deletedSoftly); err != nil {
				t.Fatal(err)
			}
			playSteps(t, tx, steps)
		})
	}
}

// Users who were deleted softly go for good, but for those whom a table holds on to.
func TestPurgeDeleted(t *testing.T) {
	t.Parallel()
	playSteps(t, admin(t), []step{
		{"select count(postern.delete_user(id::text, soft => true)) from auth.users where email <> ''", "3"},
		{"update auth.users set deleted_at = now() - interval '90 days' where id in (" + annID + ", " + bobID + ")", ""},
		{"select postern.create_user('eve@example.com', id => " + otherID + ") is null", "f"},
		{"create table postern.orders (buyer uuid references auth.users)", ""},
		{"create table postern.votes (voter uuid references auth.users deferrable initially deferred)", ""},
		{"insert into postern.orders values (" + bobID + "), (" + otherID + ")", ""},
		{"insert into postern.retention_refusals values (" + annID + ", 'x', now())", ""},
		{"delete from postern.events", ""},
		{"select * from postern.purge_deleted('91 days')", ""},
		{"select * from postern.purge_deleted(null)", "PT400 validation_failed: Say how long ago the users were deleted: 0 or more"},
		{"select * from postern.purge_deleted('-1 day')", "PT400 validation_failed: Say how long ago the users were deleted: 0 or more"},
		{"select * from postern.purge_deleted('90 days')", `purged,,1,{` + ann + `})` + "\n" +
			`(kept,"update or delete on table "users" violates foreign key constraint "orders_buyer_fkey" on table "orders"",1,{` + bob + `}`},
		{"select type, user_id, data, actor = session_user from postern.events", `user.deleted,` + ann + `,"{"soft": false}",t`},
		{"select count(*) from postern.retention_refusals", "0"},
		{"select string_agg(right(id::text, 1), '' order by id) from auth.users where deleted_at is not null", "bd"},
		{"delete from postern.orders", ""},
		{"insert into postern.votes select id from auth.users where right(id::text, 1) = 'd'", ""},
		{"select outcome, user_count, reason ~ 'votes_voter_fkey' from postern.purge_deleted('0')", "purged,1,)\n(kept,1,t"},
		{"select string_agg(right(id::text, 1), '' order by id) from auth.users", "cd2"},
	})
}
