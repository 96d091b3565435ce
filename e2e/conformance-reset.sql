delete from postern.outbox; delete from postern.events; delete from postern.session_ends; delete from postern.totp_steps; delete from postern.challenge_guesses; delete from postern.session_upgrades;
delete from postern.limits; delete from postern.quotas; delete from postern.code_guesses;
