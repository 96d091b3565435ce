delete from postern.outbox; delete from postern.events; delete from postern.session_ends;
