#!/usr/bin/env bash
# make verify: generated files are current, Go is formatted and passes vet and staticcheck, and PL/pgSQL fits the
# catalog. Arguments: the commands of sqlc and staticcheck.
set -euo pipefail
cd "$(dirname "$0")/.."
sqlc=$1 staticcheck=$2
failed=0
complain() { printf 'verify: %s\n' "$*"; failed=1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
go run ./sql/dump "$scratch/schema.sql"
cmp -s "$scratch/schema.sql" sql/schema.sql || complain "sql/schema.sql is out of date: make generate"
$sqlc diff || complain "gen/ is out of date: make generate"

unformatted=$(gofmt -l $(git ls-files '*.go' | grep -v '^gen/'))
[ -z "$unformatted" ] || complain "gofmt wants: $unformatted"
go vet ./... || complain "go vet failed"
$staticcheck ./... || complain "staticcheck failed"
go run ./sql/check || complain "plpgsql_check failed"
[ "$failed" = 0 ] && echo "verify: all is current and clean"
exit "$failed"
