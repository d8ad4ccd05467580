# make run    build and start an evaluation organization in the foreground
# make test   install what the tests need, then run all of them
# make bench  the benchmarks
GO ?= go
BIN := bin/rialto
SOURCES := $(shell find cmd internal -type f -name '*.go') $(shell find internal -type f \( -name '*.tsv' -o -name '*.html' \)) go.mod go.sum
RUN_DATA ?= run
RUN_OFFSET ?= 20000
# How long each load of "make bench" runs; five minutes for figures to keep.
LOAD_TIME ?= 20s
# Debian packages of the programs that the tests drive. Of PostgreSQL only the
# programs are wanted: no cluster of the system's is made or started.
PACKAGES := swaks libnet-ssleay-perl curl mutt libsasl2-modules isync ldap-utils postfix openssl bsdutils postgresql-15

.PHONY: build run test bench lint unit race e2e setup fuzz clean

build: $(BIN)

$(BIN): $(SOURCES)
	CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./cmd/rialto

run: build
	$(BIN) quickstart --data $(RUN_DATA) --org Contoso --domain contoso.test --user alice:alice-pw --user bob:bob-pw \
		--admin-password admin-pw --host 127.0.0.1 --port-offset $(RUN_OFFSET) --enable pop3,imap4

test: setup lint unit race e2e

# House rules, import policy and the linters. The linters are a module of their
# own, so the program does not depend on them.
lint:
	@test -z "$$(gofmt -l cmd internal test bench)" || { gofmt -l cmd internal test bench; echo "these files are not formatted: run gofmt -w"; exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...

# Unit, transcript and conformance tests.
unit:
	$(GO) test $$($(GO) list ./... | grep -v /test/e2e)

# The packages with goroutines of their own, under the race detector.
race:
	$(GO) test -race ./internal/kv/... ./internal/store/... ./internal/directory/... ./internal/org/... ./internal/service/... \
		./internal/transport/... ./internal/attendant/... ./internal/protocol/... ./internal/server/...

# Real programs against the built binary.
e2e: build
	RIALTO_BIN=$(abspath $(BIN)) $(GO) test -count=1 -timeout 15m ./test/e2e

setup:
	@command -v dpkg-query >/dev/null 2>&1 || { echo "the end-to-end tests need Debian or a relative of it, with: $(PACKAGES)"; exit 1; }
	@missing=""; for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q '^install ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
		echo "installing for the tests:$$missing"; \
		as=""; [ "$$(id -u)" = 0 ] || as="sudo"; \
		echo "postfix postfix/main_mailer_type select No configuration" | $$as debconf-set-selections; \
		own=/etc/postgresql-common/createcluster.d/rialto-tests.conf; \
		case "$$missing" in *postgresql*) $$as mkdir -p "$${own%/*}"; echo "create_main_cluster = false" | $$as tee $$own >/dev/null;; esac; \
		$$as apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
		done=$$?; [ ! -e $$own ] || $$as rm $$own; exit $$done; \
	fi

# A minute of each fuzz target; findings land in testdata/fuzz.
fuzz:
	@for p in $$(grep -rl '^func Fuzz' --include='*_test.go' internal | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$p/*_test.go | cut -c6-); do \
			echo "$$p $$f"; $(GO) test ./$$p -run '^$$' -fuzz "^$$f\$$" -fuzztime 1m || exit 1; done; done

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./internal/kv/... ./internal/store/... ./internal/message ./internal/protocol/... ./internal/transport
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; $(GO) build -o "$$dir/storeload" ./bench/storeload && \
	cat doc/decisions/*.md *.md bench/*.md > "$$dir/english" && \
	for load in "-senders 16 -mailboxes 1" "-senders 64 -mailboxes 100" "-senders 128 -mailboxes 100" \
		"-senders 1 -mailboxes 1000 -recipients 1000 -count 50" "-senders 16 -mailboxes 100 -size 4096" \
		"-senders 16 -mailboxes 100 -text $$dir/english" "-senders 16 -mailboxes 100 -size 40960 -random" "-senders 16 -mailboxes 100 -mix"; do \
		"$$dir/storeload" -dir "$$dir/db" -t $(LOAD_TIME) $$load || exit 1; done

clean:
	rm -rf bin run
