#!/usr/bin/env bash
# freeze.sh BINARY VERSION: makes testdata/VERSION.tar.gz, a data directory as the
# binary of that version writes it. Needs swaks and curl.
set -eu
bin=$(realpath "$1") version=$2 here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) offset=${OFFSET:-31000}
trap 'kill $pid 2>/dev/null || true; rm -rf "$dir"' EXIT
"$bin" quickstart --data "$dir/data" --org Contoso --domain contoso.test --user alice:pw1 --user bob:pw2 \
	--admin-password pw --port-offset "$offset" --enable pop3,imap4 >"$dir/out" 2>&1 & pid=$!
for _ in $(seq 100); do grep -q '^ready$' "$dir/out" && break; sleep .2; done
smtp=$((25 + offset)) imap=$((143 + offset))
"$bin" group create staff alice bob --data "$dir/data" >/dev/null
swaks --silent --server 127.0.0.1 --port $smtp --from x@outside.test --to alice@contoso.test,bob@contoso.test --header "Subject: frozen small" --body "small"
seq 30000 | sed 's/.*/0123456789/' >"$dir/large"
swaks --silent --server 127.0.0.1 --port $smtp --from x@outside.test --to alice@contoso.test --header "Subject: frozen large" --body "@$dir/large"
curl -s --user alice:pw1 --url "imap://127.0.0.1:$imap/INBOX" -X 'STORE 1 FLAGS (\Seen \Flagged)' >/dev/null
kill $pid
wait $pid || true
rm -f "$dir/data/admin.sock" "$dir"/data/*/ballast "$dir"/data/stores/*/*/ballast
tar -C "$dir/data" -czf "$here/testdata/$version.tar.gz" .
ls -l "$here/testdata/$version.tar.gz"
