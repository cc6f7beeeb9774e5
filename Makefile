# What each target does is in contrib/dev; a target that needs Debian packages
# installs those that are missing.
GO = contrib/dev/tagged.sh go
LAB = contrib/dev/in_lab.sh

COUNT = 2000

.PHONY: help build test soak lint demo man bench test-debian13 test-units test-driver test-openstack test-openstack-full bench-openstack breakage fuzz record golden deps clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 21

build: ## compile bin/rbdctl
	contrib/dev/install.sh build
	$(GO) build -trimpath -o bin/rbdctl ./cmd/rbdctl

man: build ## write the manual page build/man/rbdctl.1
	mkdir -p build/man
	bin/rbdctl manual >build/man/rbdctl.1

test: deps build ## run every test, with a short soak, against one lab of real daemons
	$(LAB) go test -race -count 1 -p 2 -timeout 45m $(TESTFLAGS) ./test/kill ./rbd ./...

soak: deps build ## COUNT (2000) requests over sidecars that are killed, and all kill points
	RBDCTL_TEST_SOAK=$(COUNT) RBDCTL_TEST_STRIDE=1 RBDCTL_TEST_INSIDE=100 $(LAB) go test -v -count 1 -timeout 5h -run 'TestSoak|Killed' ./test/kill

lint: ## check format, style and import directions
	contrib/dev/lint.sh

demo: deps build ## from nothing to a booted guest, on real daemons
	contrib/demo/demo.sh

bench: deps build ## compare with the bare calls and the usual tools
	contrib/dev/install.sh bench
	$(GO) run ./bench -out bench/RESULTS.md $(BENCHFLAGS)

test-debian13: ## build and run every test in a Debian 13 in a folder, without -race
	contrib/dev/debian13.sh env RBDCTL_TEST_CLONES=30 make test TESTFLAGS=-race=false

test-units: ## have systemd run the sidecar by contrib/systemd, in that Debian 13
	test/units/run.sh

test-driver: ## run the tests of Cinder's driver that need no cluster, and make its packages
	contrib/dev/install.sh driver
	contrib/dev/test_driver.sh

test-openstack: build ## run rbdctl under a real OpenStack, some of Tempest: 15 minutes
	test/openstack/run.sh

test-openstack-full: build ## both drivers, all of Tempest's volume tests
	test/openstack/run.sh --full --both

bench-openstack: build ## measure either driver under Cinder, into bench/OPENSTACK.md
	test/openstack/run.sh --measure

breakage: deps ## take one safeguard after the other out of a copy: tests must fail
	contrib/dev/breakage.sh

fuzz: ## fuzz each parser for FUZZTIME (30s)
	contrib/dev/fuzz.sh

record: deps build ## record the monitors' answers that tests replay
	$(GO) run ./test/record

golden: deps build ## rewrite the files that tests compare with
	$(LAB) contrib/dev/golden.sh

deps: ## install the Debian packages that are missing
	contrib/dev/install.sh build lab guest

clean: ## remove what was built; the Debian 13 folder stays
	rm -rf bin build
