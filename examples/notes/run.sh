#!/bin/sh
# Shows with real tokens which rows of notes each user sees. Give it what `make run` prints:
# API, SERVICE_ROLE_KEY, and the address of the database as DATABASE.
set -eu
: "${API:?see what make run prints}" "${SERVICE_ROLE_KEY:?see what make run prints}" "${DATABASE:?the address of the database}"
cd "$(dirname "$0")"
password='correct horse battery'

post() { # path json: the answer's body
  curl -sS -X POST "$API$1" -H "Authorization: Bearer $SERVICE_ROLE_KEY" -H 'Content-Type: application/json' -d "$2"
}

claims() { # email: the claims of a fresh token, as PostgREST hands them to PostgreSQL
  token=$(post '/token?grant_type=password' "{\"email\":\"$1\",\"password\":\"$password\"}" |
    sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
  [ -n "$token" ] || { echo "$1 cannot sign in" >&2; exit 1; }
  payload=$(printf %s "$token" | cut -d. -f2 | tr '_-' '/+')
  while [ $((${#payload} % 4)) -ne 0 ]; do payload="$payload="; done
  printf %s "$payload" | base64 -d
}

as() { # email sql: runs it with the rights of that user
  # set_config comes from psql's variable, so that nothing of the token becomes SQL text
  printf '%s\n' "begin;" "set local role authenticated;" \
    "select set_config('request.jwt.claims', :'claims', true) \\g /dev/null" "$2" "commit;" |
    psql "$DATABASE" -X -q -v ON_ERROR_STOP=1 -v claims="$(claims "$1")"
}

psql "$DATABASE" -X -q -v ON_ERROR_STOP=1 -c 'set client_min_messages = warning' -f notes.sql
psql "$DATABASE" -X -q -c 'delete from public.notes'
for email in ann@acme.test bob@acme.test eve@other.test; do
  post /admin/users "{\"email\":\"$email\",\"password\":\"$password\",\"email_confirm\":true}" >/dev/null # may exist already
done

as ann@acme.test "insert into notes (body) values ('Ann''s diary');
  insert into notes (body, company) values ('Lunch is at noon', 'acme.test');"
as eve@other.test "insert into notes (body) values ('Eve''s diary');"

for email in ann@acme.test bob@acme.test eve@other.test; do
  echo "$email sees:"
  as "$email" "select body, company from notes order by body;"
done
