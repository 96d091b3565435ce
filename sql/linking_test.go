package sql_test

import (
	"fmt"
	"testing"
)

// link ends a flow that ann, or the user of that id, began, with an identity of GitHub's.
func link(user, subject, emails, more string) string {
	return fmt.Sprintf(`select coalesce(failure ->> 'code', (account).email || ' ' || ((account).email_confirmed_at is not null) || ' ' || ((account).is_anonymous))
		from postern_internal.link_identity(%s, 'github', '{"sub": "%s", "data": {"sub": "%[2]s"}, "emails": [%[3]s]}', postern_internal.context() || '%[4]s')`,
		user, subject, emails, more)
}

const (
	anonymousID = "'00000000-0000-4000-8000-0000000000e0'"
	anonymous   = `insert into auth.users (instance_id, id, aud, is_anonymous, raw_user_meta_data) values
		('00000000-0000-0000-0000-000000000000', ` + anonymousID + `, 'authenticated', true, '{"kept": 1}')`
	freeEmail = `{"email": "Free@example.com", "verified": true, "primary": true}`
	noProof   = `{"email": "free@example.com", "verified": false, "primary": true}`
	bobEmail  = `{"email": "bob@example.com", "verified": true, "primary": true}`
)

func TestLinking(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]step{
		"an account with an address keeps it": {
			{link(annID, "7", freeEmail, `{"ip": "192.0.2.1", "notifications": {"identity_linked": true}}`), "ann@example.com true false"},
			{"select raw_app_meta_data, raw_user_meta_data from auth.users where id = " + annID, `{"provider": "email", "providers": ["email", "github"]}","{"full_name": "Ann Lee", "email_verified": true}`},
			{"select payload ->> 'action', (payload -> 'traits')::jsonb - 'identity_id', ip_address from auth.audit_log_entries", `identity_linked,"{"provider": "github", "provider_id": "7"}",192.0.2.1`},
			{"select template, recipient, payload ->> 'provider' from postern.outbox", "identity_linked_notification,ann@example.com,github"},
			{link(annID, "7", freeEmail, "{}"), "PT422 identity_already_exists: Identity is already linked"},
			{link("'00000000-0000-4000-8000-00000000000b'", "7", freeEmail, "{}"), "PT422 identity_already_exists: Identity is already linked to another user"},
		},
		"somebody who is gone": {
			{link("gen_random_uuid()", "7", freeEmail, "{}"), "PT422 user_not_found: Linking target user not found"},
		},
		"an anonymous account becomes permanent": {
			{anonymous, ""},
			{link(anonymousID, "7", freeEmail, "{}"), "free@example.com true false"},
			{"select raw_app_meta_data, raw_user_meta_data from auth.users where id = " + anonymousID, `{"provider": "github", "providers": ["github"]}","{"kept": 1, "email_verified": true}`},
		},
		"an address nobody proved": {
			{anonymous, ""},
			{link(anonymousID, "7", noProof, "{}"), "email_not_confirmed"},
			{"select email, email_confirmed_at is null, is_anonymous, raw_app_meta_data from auth.users where id = " + anonymousID, "free@example.com,t,t,"},
			{"select template, recipient from postern.outbox", "confirmation,free@example.com"},
			{"select effective_type from postern_internal.verify_otp('signup', (select payload ->> 'token_hash' from postern.outbox where user_id = " + anonymousID + "), '', '', '', false, postern_internal.context())", "signup"},
			{"select email_confirmed_at is null, is_anonymous, raw_app_meta_data from auth.users where id = " + anonymousID, `f,f,"{"provider": "github", "providers": ["github"]}`},
			{"select identity_data ->> 'email_verified' from auth.identities where user_id = " + anonymousID, "true"},
		},
		"an address nobody proved, autoconfirm": {
			{anonymous, ""}, {link(anonymousID, "7", noProof, `{"autoconfirm": true}`), "free@example.com true false"},
		},
		"an address that is taken": {
			{anonymous, ""}, {link(anonymousID, "7", bobEmail, "{}"), "PT400 email_exists: A user with this email address has already been registered"},
			{"select count(*) from auth.identities where provider = 'github'", "0"},
		},
		"no address": {
			{anonymous, ""}, {link(anonymousID, "7", "", "{}"), "PT500 unexpected_failure: Error sending confirmation email"},
		},
		"an account with a phone": {
			{link("'00000000-0000-4000-8000-00000000000c'", "7", freeEmail, "{}"), "free@example.com true false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			if _, err := tx.Exec(t.Context(), "update postern.settings set value = value || '{\"verify_urls\": {\"confirmation\": \"https://api/verify\"}}'"); err != nil {
				t.Fatal(err)
			}
			playSteps(t, tx, steps)
		})
	}
}

func TestUnlinking(t *testing.T) {
	t.Parallel()
	const session = "'00000000-0000-4000-8000-0000000000aa'"
	unlink := func(provider, more string) string {
		return fmt.Sprintf(`select postern_internal.unlink_identity(%s, %s, coalesce((select id from auth.identities
			where user_id = %[1]s and provider = '%[3]s'), gen_random_uuid()), postern_internal.context() || '%[4]s') is null`, annID, session, provider, more)
	}
	add := func(provider, email, isVerified, at string) step {
		return step{fmt.Sprintf(`insert into auth.identities (id, provider_id, user_id, provider, identity_data, created_at, updated_at)
			values (gen_random_uuid(), '7', %s, '%s', jsonb_strip_nulls(jsonb_build_object('email', nullif('%s', ''), 'email_verified', %s)), '%s', now())`,
			annID, provider, email, isVerified, at), ""}
	}
	const account = "select coalesce(email, 'none'), email_confirmed_at is not null, raw_user_meta_data ->> 'email_verified', raw_app_meta_data ->> 'providers' from auth.users where id = " + annID
	for name, steps := range map[string][]step{
		"the only one": {
			{unlink("email", "{}"), "PT422 single_identity_not_deletable: User must have at least 1 identity after unlinking"},
		},
		"one of somebody else": {
			add("github", "ann@example.com", "true", "2026-01-01"), {unlink("gitlab", "{}"), "PT422 identity_not_found: Identity doesn't exist"},
		},
		"the address is another identity's as well": {
			add("github", "ann@example.com", "false", "2026-01-01"),
			{"update auth.users set recovery_token = 'kept' where id = " + annID, ""},
			{unlink("email", `{"ip": "192.0.2.1", "notifications": {"identity_unlinked": true}}`), "f"},
			{account, `ann@example.com,t,true,"["github"]`},
			{"select recovery_token from auth.users where id = " + annID, "kept"},
			{"select payload ->> 'action', (payload -> 'traits')::jsonb - 'identity_id', ip_address from auth.audit_log_entries", `identity_unlinked,"{"provider": "email", "provider_id": "00000000-0000-4000-8000-00000000000a"}",192.0.2.1`},
			{"select template, recipient, payload ->> 'provider' from postern.outbox", "identity_unlinked_notification,ann@example.com,email"},
			{"select type from postern.events", "identity.deleted"},
		},
		"a verified address moves up": {
			add("gitlab", "unproved@example.com", "false", "2026-01-01"), add("github", "new@example.com", "true", "2026-01-02"), add("figma", "", "false", "2025-01-01"),
			{"update auth.users set recovery_token = 'void', email_change = 'x@example.com' where id = " + annID, ""},
			{unlink("email", `{"notifications": {"identity_unlinked": true}}`), "f"},
			{account, `new@example.com,t,true,"["figma", "gitlab", "github"]`},
			{"select recovery_token || email_change from auth.users where id = " + annID, ""},
			{"select recipient from postern.outbox", "ann@example.com"},
		},
		"an unproved address moves up": {
			add("github", "new@example.com", "false", "2026-01-01"), add("figma", "", "false", "2025-01-01"),
			{unlink("email", "{}"), "f"}, {account, `new@example.com,f,false,"["figma", "github"]`},
		},
		"an unproved address moves up, autoconfirm": {
			add("github", "new@example.com", "false", "2026-01-01"), {unlink("email", `{"autoconfirm": true}`), "f"}, {account, `new@example.com,t,true,"["github"]`},
		},
		"no address is left": {
			add("figma", "", "false", "2025-01-01"), {unlink("email", "{}"), "f"}, {account, `none,f,false,"["figma"]`},
		},
		"only taken addresses are left": {
			add("github", "bob@example.com", "true", "2026-01-01"),
			{unlink("email", "{}"), "PT422 email_conflict_identity_not_deletable: Unable to unlink identity due to email conflict"},
			{"select count(*) from auth.identities where user_id = " + annID, "2"},
		},
		"an address that another audience has": {
			add("github", "other@example.com", "true", "2026-01-01"),
			{"insert into auth.users (instance_id, id, aud, email) values ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'other', 'other@example.com')", ""},
			{unlink("email", "{}"), "PT422 email_conflict_identity_not_deletable: Unable to unlink identity due to email conflict"},
		},
		"a phone": {
			{"update auth.users set phone = '15550002', phone_confirmed_at = now() where id = " + annID, ""}, add("phone", "", "false", "2026-01-01"),
			{unlink("phone", "{}"), "f"},
			{"select phone, phone_confirmed_at, email from auth.users where id = " + annID, ",,ann@example.com"},
		},
		"a user without a session": {
			{"delete from auth.sessions", ""}, {unlink("email", "{}"), "PT403 session_not_found: Session from session_id claim in JWT does not exist"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}
