#!/bin/sh
# Runs the tests on a database of their own, in the cluster that DATABASE names: with pg_prove where it is installed, else
# with psql. POSTERN is the program; default: postern.
set -eu
: "${DATABASE:?the address of a database whose owner may create others, as make run prints it}"
cd "$(dirname "$0")"
name="testing_$$"
url=$(printf %s "$DATABASE" | sed "s|^\(postgres[a-z]*://[^/]*\)/[^?]*|\1/$name|")
psql "$DATABASE" -Xq -c "create database $name"
trap 'psql "$DATABASE" -Xq -c "drop database $name"' EXIT
DATABASE_URL=$url "${POSTERN:-postern}" migrate --test-kit 2>/dev/null
psql "$url" -Xq -v ON_ERROR_STOP=1 -f schema.sql
if command -v pg_prove >/dev/null; then
  pg_prove -d "$url" tests/*.sql
else
  for test in tests/*.sql; do
    echo "# $test"
    lines=$(psql "$url" -XqAt -v ON_ERROR_STOP=1 -f "$test") || { printf '%s\n' "$lines"; exit 1; }
    printf '%s\n' "$lines" | sed -n -e '/^ok /p' -e '/^1\.\./p'
  done
fi
