# `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := bash
GO ?= go
SEEDS ?= 1000
DRAWS ?= 1000000

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

build: ## build ./sluice
	$(GO) build -o sluice .

run: build ## everything in one process, on embedded stores in ./data
	./sluice run

test: ## all tests; needs the Debian packages that .ci/run installs
	@bash .ci/need
	$(GO) test $(RACE) -pgo=off -timeout 15m ./...

lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet -pgo=off ./...
	GOFLAGS="$(GOFLAGS) -pgo=off" $(GO) tool staticcheck ./...

simulate: ## deterministic simulation of money: make simulate SEEDS=100000
	$(GO) run ./gateway/redpacket/sim/cmd -seeds $(SEEDS)

drill: ## a million draws (DRAWS=...) while every process is killed and stopped, again and again; then the proof
	SLUICE_DRILL=$(DRAWS) $(GO) test ./gateway/e2e -run TestNoFenIsLostThroughKills -v -timeout 120m

drill-sync: ## every line between regions cut for half a minute, ten joins, a region cut off for ten minutes
	SLUICE_DRILL=1 $(GO) test ./cachesync -run 'TestRegionsBecomeEqual|TestRegionCutOff' -v -timeout 60m

simulate-sync: ## deterministic simulation of the regions
	$(GO) run ./cachesync/sim/cmd -seeds $(SEEDS)

conformance: ## OpenResty's own test blocks: make conformance CORPUS=FILE
	$(GO) run ./lua/conformance -corpus $(CORPUS)

regions: build ## three regions on this machine, to watch and to draw in
	$(GO) run ./bench/regions

pgo: build ## the CPU profile that builds are optimised by, from the mix of requests
	$(GO) run ./bench/peers -sluice $(CURDIR)/sluice -cases mixed,lose,win,enter,hello -connections 64,512 -run 10s -profile default.pgo

bench: bench-money bench-winners bench-sync bench-warm bench-lua bench-peers ## all benchmarks

bench-money: ## split, ledger, reconcile
	$(GO) run ./gateway/ledger/moneybench

bench-winners: ## memory of a home's Redis with ten million winners; takes minutes and 3 GB
	$(GO) run ./bench/winners

bench-sync: ## commit to visible, apply, backlog, join
	$(GO) run ./bench/sync

bench-warm: ## a million users into memcached
	$(GO) run ./bench/warm

bench-lua: ## a handler's overhead, beside nginx+LuaJIT
	$(GO) run ./bench/lua

bench-peers: build ## the same work on nginx+Lua and plain Go clients; QUICK=1 is short
	$(GO) run ./bench/peers -sluice $(CURDIR)/sluice

.PHONY: help build run test lint simulate drill drill-sync simulate-sync conformance regions pgo bench bench-money bench-winners bench-sync bench-warm bench-lua bench-peers
