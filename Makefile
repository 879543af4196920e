# make demo | test | test-all | bench | fuzz | install. Directories come from systemd's own pkg-config file.
PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
BUILD ?= $(or $(CARGO_TARGET_DIR),target)/release
systemd = $(or $(shell pkg-config --variable=$(1) systemd 2>/dev/null),$(2))
UNITDIR ?= $(call systemd,systemdsystemunitdir,/usr/lib/systemd/system)
GENERATORDIR ?= $(call systemd,systemdsystemgeneratordir,/usr/lib/systemd/system-generators)
TMPFILESDIR ?= $(call systemd,tmpfilesdir,/usr/lib/tmpfiles.d)
SYSUSERSDIR ?= $(call systemd,sysusersdir,/usr/lib/sysusers.d)

all: build

build:
	$(CARGO) build --release --locked

# Installs what is built already: root may have no cargo.
install: $(if $(or $(NOBUILD),$(wildcard $(BUILD)/zam)),,build)
	install -Dm755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD)/zam
	install -Dm755 -t $(DESTDIR)$(GENERATORDIR) $(BUILD)/zam-generator
	install -Dm644 -t $(DESTDIR)$(UNITDIR) units/zam@.service units/zam-notify@.service units/zam-reload.path units/zam-reload.service units/zam.target
	install -Dm644 units/zam.tmpfiles $(DESTDIR)$(TMPFILESDIR)/zam.conf
	install -Dm644 units/zam.sysusers $(DESTDIR)$(SYSUSERSDIR)/zam.conf
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/zam zam.yaml.example README.md
	sed -i 's|/usr/local/|$(PREFIX)/|' $(DESTDIR)$(PREFIX)/share/doc/zam/zam.yaml.example
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/zam zam.schema.json
	$(if $(wildcard man/*.8),install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man8 $(wildcard man/*.8))
	$(if $(wildcard man/*.7),install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man7 $(wildcard man/*.7))
	$(if $(wildcard man/*.5),install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man5 $(wildcard man/*.5))
	install -d $(DESTDIR)/etc/zam
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	# Each has zam itself print what its shell runs, so that the two are always of one version.
	printf 'source <(COMPLETE=bash zam 2>/dev/null)\n' >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/zam
	printf '#compdef zam\neval "$$(COMPLETE=zsh zam)" && _clap_dynamic_completer_zam "$$@"\n' >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_zam
	printf 'COMPLETE=fish zam | source\n' >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/zam.fish
ifeq ($(DESTDIR),)
	systemd-sysusers zam.conf
	systemd-tmpfiles --create zam.conf
	systemctl daemon-reload
endif

setup:
	tests/setup

test:
	tests/setup cargo-nextest cargo-deny
	tests/run

# Every scenario on both machines; a release needs it.
test-all:
	tests/setup cargo-nextest cargo-deny
	tests/run --run-ignored all

bench: setup build
	tests/bench

# Ten minutes of anything for `zam serve`; needs a nightly Rust.
fuzz:
	tests/setup cargo-fuzz
	cd fuzz && cargo +nightly fuzz run serve -- -dict=serve.dict -max_total_time=600 -max_len=400

demo: setup build
	tests/demo

.PHONY: all build install setup test test-all bench fuzz demo
