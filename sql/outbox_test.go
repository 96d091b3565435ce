package sql_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestCancelAndRetry(t *testing.T) {
	t.Parallel()
	const queue = "select from postern_internal.queue_mail('invite', '%s', null, '{\"token\": \"1\"}')"
	const row = "select recipient, state, attempts, payload <> '{}' as has_payload, last_error = 'cancelled by ' || session_user as by_me from postern.outbox order by id"
	take(t,
		turn{forget},
		turn{fmt.Sprintf(queue, "a@example.com"), "()"}, turn{fmt.Sprintf(queue, "b@example.com"), "()"},
		turn{"select postern.cancel_outbox(id) from postern.list_outbox() where recipient = 'a@example.com'", `("")`},
		turn{row, "(a@example.com,dropped,0,f,t)\n(b@example.com,queued,0,t,)"},
		turn{"select postern.cancel_outbox(id) from postern.list_outbox() where recipient = 'a@example.com'",
			"PT422 outbox_not_cancellable: A message that is dropped cannot be cancelled"},
		turn{"select postern.cancel_outbox(0)", "PT404 outbox_not_found: No such message"},
		turn{"update postern.outbox set state = 'sending' where recipient = 'b@example.com'"},
		turn{"select postern.cancel_outbox(id) from postern.list_outbox('sending')", "PT422 outbox_not_cancellable: A message that is sending cannot be cancelled"},
		turn{"update postern.outbox set state = 'dead', attempts = 4, finished_at = now() where recipient = 'b@example.com'"},
		turn{"insert into postern.outbox (kind, template, recipient, state, expires_at, finished_at) values ('mail', 'x', 'c', 'dead', '2001-01-01', now()), ('sms', 'x', 'd', 'dead', null, now())"},
		turn{"select postern.retry_dead_outbox('fax')", "PT400 validation_failed: The kind is mail, sms, hook or webhook"},
		turn{"select postern.retry_dead_outbox(null)", "PT400 validation_failed: The kind is mail, sms, hook or webhook"},
		turn{"select postern.retry_dead_outbox('mail')", "(1)"},
		turn{"select recipient, state, attempts, finished_at is null as is_open from postern.outbox order by id",
			"(a@example.com,dropped,0,f)\n(b@example.com,queued,0,t)\n(c,dead,0,f)\n(d,dead,0,f)"},
	)
}

// The outbox says why nothing went out, also for what was queued before, by whatever kind of message.
func TestSuppressedAddresses(t *testing.T) {
	t.Parallel()
	const list = "select address, reason, actor = session_user as by_me from postern.list_suppressed_addresses()"
	take(t,
		turn{forget},
		turn{"select postern.suppress_address('Ann@Example.com ', ' bounced ')", `("")`},
		turn{"select postern.suppress_address('+1 555 0001', 'on request')", `("")`},
		turn{"select postern.suppress_address('15550001', 'complaint')", `("")`},
		turn{list, "(15550001,complaint,t)\n(ann@example.com,bounced,t)"},
		turn{"select address from postern.list_suppressed_addresses('15550001', 5)", "(ann@example.com)"},
		turn{"select address from postern.list_suppressed_addresses(max_rows => 1)", "(15550001)"},
		turn{"select postern.suppress_address('ann', 'x')", "PT400 validation_failed: Invalid phone number format (E.164 required)"},
		turn{"select postern.suppress_address('a@b@c', 'x')", "PT400 validation_failed: Unable to validate email address: invalid format"},
		turn{"select postern.suppress_address(null, 'x')", "PT400 validation_failed: Name an e-mail address or a phone number"},
		turn{"select postern.suppress_address('a@example.com', ' ')", "PT400 validation_failed: A reason is required"},
		turn{"select postern.send_magic_link('ann@example.com')", "(" + strings.Trim(annsID, "'") + ")"},
		turn{"select from postern_internal.queue_mail('invite', 'ANN@example.com', null, '{}')", "()"},
		turn{"select from postern_internal.queue_mail('invite', 'bob@example.com', null, '{}')", "()"},
		turn{"insert into postern.outbox (kind, template, recipient) values ('sms', 'confirmation', '15550001'), ('hook', 'send-email', 'ann@example.com')"},
		turn{"select c.recipient from unnest(array['mail', 'sms', 'hook']) as kind cross join postern_internal.claim_outbox(kind, 10, '1 minute') as c", "(bob@example.com)"},
		turn{"select recipient, state, attempts, payload <> '{}' as has_payload, last_error from postern.outbox order by id", strings.Join([]string{
			`(ann@example.com,dropped,0,f,"the address is suppressed: bounced")`, `(ANN@example.com,dropped,0,f,"the address is suppressed: bounced")`,
			`(bob@example.com,sending,1,f,)`, `(15550001,dropped,0,f,"the address is suppressed: complaint")`, `(ann@example.com,dropped,0,f,"the address is suppressed: bounced")`,
		}, "\n")},
		turn{"select postern.unsuppress_address('ANN@example.com'), postern.unsuppress_address('ann@example.com')", "(t,f)"},
		turn{"select from postern_internal.queue_mail('invite', 'ann@example.com', null, '{}')", "()"},
		turn{"select c.recipient from postern_internal.claim_outbox('mail', 10, '1 minute') as c", "(ann@example.com)"},
	)
}
