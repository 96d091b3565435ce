# Postern. `make help` lists the targets.

GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.release=$(VERSION) -X github.com/postern-auth/postern/api.Version=$(VERSION)
BINARY  := bin/postern

# Tools of the build, pinned here and not in go.mod.
SQLC        := $(GO) run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help run build test unit verify generate e2e conformance bench dist

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

run: build ## start a server on a private database, with a mail catcher and printed keys
	@exec $(BINARY) dev

build: ## compile bin/postern
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/postern

test: verify unit e2e conformance ## everything: verify, Go and SQL tests with -race, real clients, conformance

unit: ## Go tests with -race; they include the SQL tests
	$(GO) test -race -timeout 30m ./...

verify: ## generated code is current, formatting, go vet, staticcheck, plpgsql_check
	@e2e/verify.sh '$(SQLC)' '$(STATICCHECK)'

generate: ## write sql/schema.sql and gen/ from sql/ and queries/
	$(GO) run ./sql/dump sql/schema.sql
	$(SQLC) generate

e2e: build ## tests with the real JavaScript client and a real browser
	@e2e/clients.sh $(abspath $(BINARY))

conformance: build ## replay the recorded scenarios, where ../shared/conformance exists
	@$(GO) run ./e2e/conformance $(BINARY)

bench: build ## measure requests per second beside the floors of the same machine
	@$(GO) run ./e2e/bench

dist: ## binaries for Linux and macOS in dist/
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do \
		echo "dist/postern-$${target%/*}-$${target#*/}"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -trimpath -ldflags '$(LDFLAGS)' \
			-o dist/postern-$${target%/*}-$${target#*/} ./cmd/postern || exit 1; \
	done
