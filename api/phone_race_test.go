package api_test

import (
	"fmt"
	"slices"
	"testing"
)

// One code by text message opens one session, however many ask at once: a code of ours, and one of Twilio Verify.
func TestParallelPhoneVerifications(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{"ours": nil, "Twilio Verify": twilioVerifySettings} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupTexts(t, settings...)
			second := setupTexting(t, s.dsn, s.twilio, append(append([]string{}, twilioSettings...), settings...)...)
			on := [2]*server{s.server, second}
			const phone = "15551230000"
			for round := range rounds(3, 50) {
				if r := s.do("POST", "/otp", m{"phone": phone}); r.Status != 200 {
					t.Fatalf("%d %s", r.Status, r.Text)
				}
				take := s.code
				if settings != nil {
					take = s.peek
				}
				body := m{"type": "sms", "phone": phone, "token": take(phone)}
				answers := race(t, on, 60, func(s *server, i int) (response, error) {
					return s.try("POST", "/verify", body, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i)) // no limit of one client
				})
				wantOneSuccess(t, answers, "403 otp_expired")
				if got := s.scan("select count(*) from auth.sessions"); got != fmt.Sprint(round+1) {
					t.Errorf("%s sessions after %d codes", got, round+1)
				}
			}
		})
	}
}

// One number signs up many times at once: one user.
func TestParallelPhoneSignUps(t *testing.T) {
	t.Parallel()
	s := setupTexts(t, "GOTRUE_SMS_MAX_FREQUENCY=60s")
	on := [2]*server{s.server, setupTexting(t, s.dsn, s.twilio, append(twilioSettings, "GOTRUE_SMS_MAX_FREQUENCY=60s")...)}
	for round := range rounds(2, 50) {
		phone := fmt.Sprintf("1555124%04d", round)
		answers := race(t, on, 50, func(s *server, _ int) (response, error) {
			return s.try("POST", "/otp", m{"phone": phone, "data": m{"n": "1"}})
		})
		noServerErrors(t, answers)
		for outcome := range outcomes(answers) {
			if !slices.Contains([]string{"200", "429 over_sms_send_rate_limit"}, outcome) {
				t.Errorf("answered %s", outcome)
			}
		}
		if got := s.scan(`select concat_ws(' ', count(distinct u.id), count(distinct i.id),
			(select count(*) from postern.outbox as o where o.recipient = $1))
			from auth.users as u left join auth.identities as i on i.user_id = u.id where u.phone = $1`, phone); got != "1 1 1" {
			t.Errorf("users, identities and messages: %s", got)
		}
	}
}

// Two people want one number at the same moment: one gets it, the other a typed refusal.
func TestParallelPhoneChanges(t *testing.T) {
	t.Parallel()
	s := setupTexts(t)
	on := [2]*server{s.server, s.server}
	for round := range rounds(2, 20) {
		phone := fmt.Sprintf("1555125%04d", round)
		var bodies [2]m
		for i := range bodies {
			someone := s.newSession(fmt.Sprintf("user%d-%d@example.com", round, i))
			if r := s.do("PUT", "/user", m{"phone": phone}, bearer(someone.AccessToken)...); r.Status != 200 {
				t.Fatalf("%d %s", r.Status, r.Text)
			}
			bodies[i] = m{"type": "phone_change", "phone": phone, "token": s.code(phone)}
		}
		answers := race(t, on, 2, func(s *server, i int) (response, error) { return s.try("POST", "/verify", bodies[i]) })
		wantOneSuccess(t, answers, "422 phone_exists")
	}
}
