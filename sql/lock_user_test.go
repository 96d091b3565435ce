package sql_test

import (
	"strings"
	"testing"
)

// Locks, what they end and leave, and bans beside them.
func TestLockedUsers(t *testing.T) {
	t.Parallel()
	const (
		lock   = "select postern.lock_user('ann@example.com', ' stolen phone ')"
		unlock = "select postern.unlock_user('ann@example.com')"
		ban    = "select banned_until - now() from auth.users where email = 'ann@example.com'"
	)
	// unlike an interval of days, that of years may differ by a leap day
	const isShut = "select banned_until = now() + interval '100 years' from auth.users where email = 'ann@example.com'"
	for name, steps := range map[string][]step{
		"ends and voids": {
			{"select postern.send_magic_link('ann@example.com')", ann},
			{"insert into auth.flow_state (id, user_id, provider_type, authentication_method) values (gen_random_uuid(), '" + ann + "', 'email', 'magiclink')", ""},
			{"delete from postern.events; delete from auth.audit_log_entries", ""},
			{lock, ann},
			{isShut, "t"},
			{"select (select count(*) from auth.sessions), (select count(*) from auth.one_time_tokens), (select count(*) from auth.flow_state)", "0,0,0"},
			{"select recovery_token = '' from auth.users where email = 'ann@example.com'", "t"},
			{"select reason, explanation, count(*) from postern.why_signed_out('ann@example.com') group by 1, 2 order by 1", "ban,\"The account was locked\",2)\n(lock,\"An administrator locked the account: stolen phone\",1"},
			{"select type, data, actor = session_user from postern.events where type like 'user.%'", `user.locked,"{"reason": "stolen phone"}",t`},
			{"select payload ->> 'action', payload -> 'traits' from auth.audit_log_entries",
				`user_modified,"{"user_id": "` + ann + `", "user_email": "ann@example.com", "user_phone": "", "lock_reason": "stolen phone"}`},
			{"select lock_reason from postern.find_users('ann@')", "stolen phone"},
			{"select lock_reason is null from postern.find_users('bob@')", "t"},
			{"select d -> 'lock' ->> 'reason', d -> 'lock' ->> 'actor' = session_user, d -> 'lock' ? 'at' from postern.get_user('ann@example.com') as d", `stolen phone",t,t`},
			{"select postern.get_user('bob@example.com') ?| '{lock,password_change}'", "f"},
		},
		"opens": {
			{lock, ann},
			{"select postern.send_magic_link('ann@example.com')", ann},
			{"delete from postern.events; delete from auth.audit_log_entries", ""},
			{unlock, ann},
			{"select banned_until, recovery_token = '' from auth.users where email = 'ann@example.com'", ",t"},
			{"select (select count(*) from auth.one_time_tokens), (select count(*) from postern.locked_users)", "0,0"},
			{"select type, data from postern.events", `user.unlocked,"{"reason": "stolen phone"}`},
			{"select payload ->> 'action' from auth.audit_log_entries", "user_modified"},
			{"select count(*) from postern.why_signed_out('ann@example.com') where reason = 'lock'", "0"},
			{unlock, "PT422 user_not_locked: The user is not locked; postern.unban_user() lifts a ban"},
		},
		"a ban before": {
			{"select postern.ban_user('ann@example.com', '7 days') is null", "f"},
			{lock, ann},
			{lock, ann},
			{isShut, "t"},
			{unlock, ann},
			{ban, "7 days"},
			{"select data ->> 'banned_until' = postern_internal.rfc3339(now() + interval '7 days') from postern.events where type = 'user.unlocked'", "t"},
			{"select reason from postern.why_signed_out('ann@example.com') limit 1", "ban"},
		},
		"a ban meanwhile": {
			{lock, ann},
			{"select postern.ban_user('ann@example.com', '7 days') = now() + interval '100 years'", "t"},
			{"select type, data ->> 'until' = postern_internal.rfc3339(now() + interval '7 days') from postern.events where type = 'user.banned'", "user.banned,t"},
			{isShut, "t"},
			{unlock, ann},
			{ban, "7 days"},
		},
		"a ban lifted meanwhile": {
			{"select postern.ban_user('ann@example.com', '7 days') is null", "f"},
			{lock, ann},
			{"select postern.unban_user('ann@example.com')", ann},
			{"select count(*) from postern.events where type = 'user.unbanned'", "1"},
			{isShut, "t"},
			{unlock, ann},
			{ban, ""},
		},
		"the lock lifted by somebody else": {
			{lock, ann},
			{"update auth.users set banned_until = null where email = 'ann@example.com'", ""},
			{"select count(*) from postern.why_signed_out('ann@example.com') where reason in ('lock', 'ban') and session_id is null", "0"},
			{"select lock_reason is null, postern.get_user('ann@example.com') ? 'lock' from postern.find_users('ann@')", "t,f"},
			{"select postern.ban_user('ann@example.com', '7 days') = now() + interval '7 days'", "t"},
			{unlock, ann},
			{ban, "7 days"},
			{"select postern.unban_user('ann@example.com')", ann},
			{lock, ann},
			{isShut, "t"},
			{unlock, ann},
			{ban, ""},
		},
		"refusals": {
			{"select postern.lock_user('ann@example.com', ' ')", "PT400 validation_failed: Say why the account is locked"},
			{"select postern.lock_user('ann@example.com', null)", "PT400 validation_failed: Say why the account is locked"},
			{"select postern.lock_user('eve@example.com', 'x')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select postern.unlock_user('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select (select count(*) from postern.events), (select count(*) from postern.locked_users), (select count(*) from auth.sessions)", "0,0,2"},
		},
		"set-wise, and deleted": {
			{"select count(postern.lock_user(id::text, 'leak')) from auth.users", "4"},
			{"select count(*) from auth.users where banned_until > now() + interval '99 years'", "4"},
			{"select postern.set_actor('alice@example.com'), postern.lock_user('ann@example.com', 'again')", "," + ann},
			{"select reason, actor from postern.locked_users where user_id = '" + ann + "'", "again,alice@example.com"},
			{"select postern.delete_user('ann@example.com'), postern.delete_user('bob@example.com', soft => true)", ann + "," + bob},
			{"select count(*) from postern.locked_users", "3"},
			{"select banned_until is null from auth.users where id = '" + bob + "'", "f"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}

// A password that has to be changed opens nothing and sends what leads to a new one, whoever sets that.
func TestDemandedPasswords(t *testing.T) {
	t.Parallel()
	const (
		hash   = "'$2a$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
		demand = "select postern.require_password_change('ann@example.com')"
		tokens = "select count(*) from auth.one_time_tokens"
		mails  = "select kind, template, recipient from postern.outbox"
	)
	context := `postern_internal.context() - 'by_sql' || '{"sms_provider": "twilio"}'`
	signIn := func(id, provider, more string) string {
		return "select coalesce(failure ->> 'code', 'a session') from postern_internal.sign_in_with_password('" + id + "', " + hash + ", '" + provider + "', " +
			context + " || '" + more + "', null)"
	}
	inByMail, inByPhone := signIn(ann, "email", "{}"), signIn(phone, "phone", "{}")
	begin := []step{{"update auth.users set encrypted_password = " + hash, ""}, {inByMail, "a session"}}
	for name, steps := range map[string][]step{
		"by mail": {
			{demand, ann},
			{"select type, data, actor = session_user from postern.events where type like 'user.%'", `user.password_change_required,"{"required": true}",t`},
			{"select payload ->> 'action' from auth.audit_log_entries where payload ->> 'actor_username' = session_user", "user_modified"},
			{"select d -> 'password_change' ->> 'actor' = session_user, d -> 'password_change' ? 'at' from postern.get_user('ann@example.com') as d", "t,t"},
			{inByMail, "password_change_required"},
			{mails, "mail,recovery,ann@example.com"},
			{tokens, "1"},
			{"select count(*) from auth.sessions", "3"},
			{inByMail, "password_change_required"}, // too soon for another mail
			{mails, "mail,recovery,ann@example.com"},
			{"select count(*) from auth.audit_log_entries where payload ->> 'action' = 'user_recovery_requested'", "1"},
			{"select failure ->> 'code' from postern_internal.sign_in_with_password('" + ann + "', null, 'email', " + context + ", null)", "invalid_credentials"},
			{"select postern.set_password_hash('ann@example.com', " + hash + ")", ann},
			{inByMail, "a session"},
		},
		"by phone": {
			{"select postern.require_password_change('+15550001')", phone},
			{inByPhone, "password_change_required"},
			{mails, "sms,confirmation,15550001"},
			{inByPhone, "password_change_required"},
			{mails, "sms,confirmation,15550001"},
		},
		"no provider of text messages": {
			{"select postern.require_password_change('+15550001')", phone},
			{signIn(phone, "phone", `{"sms_provider": ""}`), "PT500 unexpected_failure: Unable to get SMS provider"},
			{tokens, "0"},
		},
		"bans come first": {
			{demand, ann},
			{"select postern.ban_user('ann@example.com') is null", "f"},
			{inByMail, "user_banned"},
			{mails, ""},
		},
		"an address that is not confirmed gets nothing": {
			{"select postern.require_password_change('bob@example.com')", bob},
			{signIn(bob, "email", "{}"), "email_not_confirmed"},
			{mails, ""},
		},
		"limits on messages": {
			{demand, ann},
			{signIn(ann, "email", `{"account_limits": {"messages": {"every": 60, "burst": 0}}}`), "password_change_required"},
			{mails, ""},
		},
		"taken back": {
			{demand, ann},
			{"select postern.require_password_change('ann@example.com', required => false)", ann},
			{inByMail, "a session"},
			{"select data from postern.events where type = 'user.password_change_required' order by id desc limit 1", `{"required": false}`},
		},
		"met by the administrator": {
			{demand, ann},
			{"select postern.clear_password('ann@example.com')", ann},
			{"select count(*) from postern.password_demands", "0"},
			{demand, ann},
			{"select postern.update_user('ann@example.com', password_hash => " + hash + ")", ann},
			{inByMail, "a session"},
		},
		"an outdated hash is renewed by who may sign in only": {
			{demand, ann},
			{strings.Replace(inByMail, ", null)", ", 'better')", 1), "password_change_required"},
			{"select encrypted_password = " + hash + " from auth.users where email = 'ann@example.com'", "t"},
			{"select postern.require_password_change('ann@example.com', false)", ann},
			{strings.Replace(inByMail, ", null)", ", 'better')", 1), "a session"},
			{"select encrypted_password, last_sign_in_at = now() from auth.users where email = 'ann@example.com'", "better,t"},
		},
		"set-wise, and deleted": {
			{"select count(postern.require_password_change(id::text)) from auth.users", "4"},
			{"select postern.require_password_change('eve@example.com')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select postern.delete_user('ann@example.com'), postern.delete_user('bob@example.com', true)", ann + "," + bob},
			{"select count(*) from postern.password_demands", "2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), append(begin[:2:2], steps...))
		})
	}
}
