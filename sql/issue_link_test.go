package sql_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each link opens what it is for: its token and its code are those that verification looks for.
func TestIssueLink(t *testing.T) {
	t.Parallel()
	const opens = `from postern_internal.find_link(l.hashed_token, enum_range(null::auth.one_time_token_type)) as f`
	link := func(call, columns string) string {
		return fmt.Sprintf("select %s from postern.issue_link(%s) as l", columns, call)
	}
	issue := func(call string) step {
		return step{"create temp table l on commit drop as select * from postern.issue_link(" + call + ")", ""}
	}
	const all = `select verification_type, length(email_otp), substring(action_link from '^[^?]*'), substring(action_link from 'token=([^&]*)') = hashed_token,
		substring(action_link from 'type=(.*)$'), (select f.token_type || '/' || f.relates_to ` + opens + `),
		(select f.token_hash = postern_internal.otp_hash(f.relates_to, l.email_otp) ` + opens + `) from l`
	const verify = ",6,https://api/verify,t,"
	const site = "&redirect_to=https://app.example.com,"
	const confirm = "'bob@example.com', 'signup', password_hash => '$2a$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
	for name, steps := range map[string][]step{
		"sign in": {issue("'ANN@example.com', 'magiclink'"), {all, "magiclink" + verify + "magiclink" + site + "recovery_token/ann@example.com,t"}},
		"by id": {issue("'" + ann + "', 'recovery', 'https://app.example.com/hi'"),
			{all, "recovery" + verify + "recovery&redirect_to=https://app.example.com/hi,recovery_token/ann@example.com,t"}},
		"confirm": {issue(confirm), {all, "signup" + verify + "signup" + site + "confirmation_token/bob@example.com,t"}},
		"invite": {issue("'Eve@example.com', 'invite', user_metadata => '{\"team\": 1}'"), {all, "invite" + verify + "invite" + site + "confirmation_token/eve@example.com,t"},
			{"select raw_user_meta_data, invited_at is null from auth.users where email = 'eve@example.com'", `{"team": 1}",f`}},
		"current side": {issue("'ann@example.com', 'email_change_current', new_email => 'New@example.com'"),
			{all, "email_change_current" + verify + "email_change" + site + "email_change_token_current/ann@example.com,t"},
			{"select email_change from auth.users where email = 'ann@example.com'", "new@example.com"}},
		"new side": {issue("'ann@example.com', 'email_change_new', new_email => 'New@example.com'"),
			{all, "email_change_new" + verify + "email_change" + site + "email_change_token_new/new@example.com,t"}},
		"nobody to sign in": {
			issue("'eve@example.com', 'magiclink'"), {all, "signup" + verify + "signup" + site + "confirmation_token/eve@example.com,t"},
			{link("'eve@example.com', 'magiclink'", "user_id = (select id from auth.users where email = 'eve@example.com')"), "t"},
		},
		"a new sign-up": {
			{link("'eve@example.com', 'signup', password_hash => '$2a$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "verification_type"), "signup"},
			{"select left(encrypted_password, 9), email_confirmed_at from auth.users where email = 'eve@example.com'", "$2a$10$aa,"},
		},
		"an address that an import left in capitals": {
			{"update auth.users set email = 'Bob@Example.com' where email = 'bob@example.com'", ""},
			issue("'" + bob + "', 'magiclink'"),
			{all, "magiclink" + verify + "magiclink" + site + "recovery_token/bob@example.com,t"},
		},
		"it is recorded, and mails nothing": {
			{link("'ann@example.com', 'recovery'", "verification_type"), "recovery"},
			{"select type, data, actor = session_user from postern.events", `link.generated,"{"type": "recovery"}",t`},
			{"select payload ->> 'action' from auth.audit_log_entries", "user_recovery_requested"},
			{"select count(*) from postern.outbox", "0"},
		},
		"set-wise": {
			{"select count(distinct l.email_otp || l.hashed_token) from auth.users as u, postern.issue_link(u.id::text, 'magiclink') as l where u.email <> ''", "3"},
		},
		"refusals": {
			{link("'eve@example.com', 'recovery'", "1"), "PT404 user_not_found: User with this email not found"},
			{link("'+15559999', 'recovery'", "1"), "PT404 user_not_found: There is no user +15559999"},
			{link("'+15550001', 'recovery'", "1"), "PT400 validation_failed: The user +15550001 cannot sign in by mail"},
			{link("'eve', 'invite'", "1"), "PT400 validation_failed: Name a user by id, e-mail address or phone number with a leading +, not by 'eve'"},
			{link("'a b@example.com', 'invite'", "1"), "PT400 validation_failed: Unable to validate email address: invalid format"},
			{link("null, 'invite'", "1"), "PT400 validation_failed: Name a user by id, e-mail address or phone number with a leading +, not by ''"},
			{link("'ann@example.com', 'x'", "1"), "PT400 validation_failed: Invalid email action link type requested: x"},
			{link("'ann@example.com', null", "1"), "PT400 validation_failed: Invalid email action link type requested: "},
			{link("'ann@example.com', 'signup', password_hash => '$2a$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "1"), "PT422 email_exists: A user with this email address has already been registered"},
			{link("'ann@example.com', 'invite'", "1"), "PT422 email_exists: A user with this email address has already been registered"},
			{link("'eve@example.com', 'signup'", "1"), "PT400 validation_failed: Signup requires a valid password"},
			{link("'eve@example.com', 'signup', password_hash => 'x'", "1"), "PT400 validation_failed: Not a password hash of a known format: bcrypt, Argon2, scrypt, PBKDF2, LDAP, sha-crypt, phpass, Django, ASP.NET or Keycloak, within the limits of docs/passwords.md"},
			{link("'eve@example.com', 'invite', user_metadata => '[]'", "1"), "PT400 validation_failed: Metadata has to be a JSON object"},
			{link("'ann@example.com', 'email_change_new'", "1"), "PT400 validation_failed: An email address is required"},
			{link("'ann@example.com', 'email_change_new', new_email => 'bob@example.com'", "1"), "PT422 email_exists: A user with this email address has already been registered"},
			{"update auth.users set is_sso_user = true where email = 'bob@example.com'", ""},
			{link("'bob@example.com', 'magiclink'", "1"), "PT400 validation_failed: The user bob@example.com cannot sign in by mail"},
			{"delete from postern.settings", ""},
			{link("'ann@example.com', 'recovery'", "1"), "PT422 feature_disabled: No server has run on this database yet, so the address for links in mails is unknown: start \"postern serve\" once"},
			{"select count(*) from auth.users", "4"},
			{"select (select count(*) from postern.events), (select count(*) from auth.audit_log_entries), (select count(*) from auth.one_time_tokens)", "0,0,0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}

func TestResend(t *testing.T) {
	t.Parallel()
	const mails = "select coalesce(string_agg(concat_ws(' ', kind, template, recipient), ', ' order by id), 'none') from postern.outbox"
	const bySMS = `update postern.settings set value = value || '{"sms_provider": "twilio"}'`
	for name, steps := range map[string][]step{
		"sign-up, as often as wanted": {
			{"select postern.resend('bob@example.com', 'signup', 'https://app.example.com/hi')", "t"},
			{"select postern.resend('bob@example.com', 'signup')", "t"},
			{mails, "mail confirmation bob@example.com, mail confirmation bob@example.com"},
			{"select payload ->> 'redirect_to' from postern.outbox order by id limit 1", "https://app.example.com/hi"},
			{"select count(*) from auth.one_time_tokens", "1"},
			{"select string_agg(payload ->> 'action', ' ') from auth.audit_log_entries", "user_confirmation_requested user_confirmation_requested"},
		},
		"change of address": {
			{"select postern.resend('ann@example.com', 'email_change')", "f"},
			{"update auth.users set email_change = 'new@example.com', email_change_sent_at = now() where email = 'ann@example.com'", ""},
			{"select postern.resend('" + ann + "', 'email_change')", "t"},
			{mails, "mail email_change new@example.com, mail email_change ann@example.com"},
		},
		"numbers": {
			{bySMS, ""},
			{"select postern.resend('+15550001', 'sms'), postern.resend('+15550001', 'phone_change')", "f,f"},
			{"update auth.users set phone_confirmed_at = null, confirmation_sent_at = now(), phone_change = '15550009', phone_change_sent_at = now() where phone = '15550001'", ""},
			{"select postern.resend('+15550001', 'sms')", "t"},
			{"select postern.resend('+15550001', 'phone_change')", "t"},
			{mails, "sms confirmation 15550001, sms phone_change 15550009"},
		},
		"nothing pending": {
			{"select postern.resend('ann@example.com', 'signup'), postern.resend('bob@example.com', 'sms'), postern.resend('+15550001', 'signup')", "f,f,f"},
			{"update auth.users set is_sso_user = true where email = 'bob@example.com'", ""},
			{"select postern.resend('bob@example.com', 'signup')", "f"},
			{mails, "none"},
		},
		"refusals": {
			{"select postern.resend('eve@example.com', 'signup')", "PT404 user_not_found: There is no user eve@example.com"},
			{"select postern.resend('bob@example.com', 'recovery')", "PT400 validation_failed: Missing one of these types: signup, email_change, sms, phone_change"},
			{"select postern.resend('bob@example.com', null)", "PT400 validation_failed: Missing one of these types: signup, email_change, sms, phone_change"},
			{mails, "none"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playSteps(t, admin(t), steps)
		})
	}
}

// generate is the call of POST /admin/generate_link, with random values that are the same in every call; postern.issue_link is
// compared with it.
func generate(link string) string {
	return seeded + `select postern_internal.generate_link('{"new_email": "", "data": {}, "redirect_to": "https://app.example.com"}'::jsonb || '` +
		link + "', null, null, postern_internal.context())"
}

const seeded = "set local postern.seed = 'a seed'; set local postern.draw = ''; "

// again is the call of POST /resend.
func again(kind, email string) string {
	return fmt.Sprintf("%sselect postern_internal.resend('%s', '%s', '', '', '', postern_internal.mail_context(null))", seeded, kind, email)
}

var unusable = regexp.MustCompile(`"encrypted_password": "[^"]*"`)

// The functions leave what their endpoints leave, to the last row.
func TestLinksInSQLLeaveWhatHTTPLeaves(t *testing.T) {
	t.Parallel()
	const hash = "'$2a$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
	for _, pair := range [][2]string{
		{seeded + "select * from postern.issue_link('ann@example.com', 'magiclink')", generate(`{"type": "magiclink", "email": "ann@example.com"}`)},
		{seeded + "select * from postern.issue_link('" + ann + "', 'recovery')", generate(`{"type": "recovery", "email": "ann@example.com"}`)},
		{seeded + "select * from postern.issue_link('eve@example.com', 'invite')", generate(`{"type": "invite", "email": "eve@example.com"}`)},
		{seeded + "select * from postern.issue_link('eve@example.com', 'magiclink')", generate(`{"type": "magiclink", "email": "eve@example.com"}`)},
		{seeded + "select * from postern.issue_link('bob@example.com', 'signup', user_metadata => '{\"a\": 1}', password_hash => " + hash + ")",
			generate(`{"type": "signup", "email": "bob@example.com", "data": {"a": 1}}`)},
		{seeded + "select * from postern.issue_link('ann@example.com', 'email_change_new', new_email => 'New@example.com')",
			generate(`{"type": "email_change_new", "email": "ann@example.com", "new_email": "new@example.com"}`)},
		{seeded + "select postern.resend('bob@example.com', 'signup')", again("signup", "bob@example.com")},
	} {
		t.Run(pair[0], func(t *testing.T) {
			t.Parallel()
			tx := admin(t)
			before, bySQL, byHTTP := leaves(t, tx, "select 1"), leaves(t, tx, pair[0]), leaves(t, tx, pair[1])
			for i := range min(len(bySQL), len(byHTTP)) { // of a new account: random
				bySQL[i], byHTTP[i] = unusable.ReplaceAllString(bySQL[i], ""), unusable.ReplaceAllString(byHTTP[i], "")
			}
			diff(t, "SQL and HTTP", byHTTP, bySQL)
			if cmp.Equal(before, bySQL) || len(grep(bySQL, "token ")) == 0 {
				t.Error("nothing was made")
			}
		})
	}
}
