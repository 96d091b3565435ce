#!/bin/sh
# Tests with the real JavaScript client and a real browser against a running server. $1 is the binary.
set -eu
cd "$(dirname "$0")"
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0] < 20))'; then
  echo "these tests need Node 20 or later, with npm" >&2
  exit 1
fi
if ! cmp -s package-lock.json node_modules/.installed; then
  echo "fetching the JavaScript packages of e2e/package-lock.json"
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.installed
fi
POSTERN=$1 exec node --test --test-concurrency=1
