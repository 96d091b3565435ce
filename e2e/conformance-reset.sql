delete from postern.outbox; delete from postern.events; delete from postern.session_ends;
delete from postern.limits; delete from postern.quotas; delete from postern.code_guesses;
