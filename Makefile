# make demo | test | test-all | bench | fuzz | install | deb | rpm. Directories come from systemd's own pkg-config file.
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
SYSCONFDIR ?= /etc
# Where units look for zam, and zam for zfs and ssh, whatever PATH the service manager has.
EXECPATH ?= $(BINDIR):/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
CARGO ?= cargo
BUILD ?= $(or $(CARGO_TARGET_DIR),target)/release
systemd = $(or $(shell pkg-config --variable=$(1) systemd 2>/dev/null),$(2))
UNITDIR ?= $(call systemd,systemdsystemunitdir,/usr/lib/systemd/system)
GENERATORDIR ?= $(call systemd,systemdsystemgeneratordir,/usr/lib/systemd/system-generators)
TMPFILESDIR ?= $(call systemd,tmpfilesdir,/usr/lib/tmpfiles.d)
CATALOGDIR ?= $(call systemd,catalogdir,/usr/lib/systemd/catalog)
SYSUSERSDIR ?= $(call systemd,sysusersdir,/usr/lib/sysusers.d)

all: build

build:
	$(CARGO) build --release --locked

# Installs what is built already: root may have no cargo.
install: $(if $(or $(NOBUILD),$(wildcard $(BUILD)/zam)),,build)
	install -Dm755 -t $(DESTDIR)$(BINDIR) $(BUILD)/zam
	install -Dm755 -t $(DESTDIR)$(GENERATORDIR) $(BUILD)/zam-generator
	install -Dm644 -t $(DESTDIR)$(UNITDIR) units/zam@.service units/zam-notify@.service units/zam-recovered@.service units/zam-reload.path units/zam-reload.service units/zam-units.service units/zam-units.timer units/zam.target
	install -Dm644 units/timers.conf $(DESTDIR)$(UNITDIR)/timers.target.d/50-zam-units.conf
	for unit in zam@ zam-notify@ zam-recovered@ zam-reload zam-units zam-config; do install -Dm644 units/path.conf $(DESTDIR)$(UNITDIR)/$$unit.service.d/10-path.conf; done
	sed -i 's|@EXECPATH@|$(EXECPATH)|' $(DESTDIR)$(UNITDIR)/zam*.service.d/10-path.conf
	install -Dm644 units/zam.tmpfiles $(DESTDIR)$(TMPFILESDIR)/zam.conf
	install -Dm644 units/zam.sysusers $(DESTDIR)$(SYSUSERSDIR)/zam.conf
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/doc/zam README.md packaging/prometheus-rules.yml packaging/grafana-dashboard.json
	install -Dm644 zam.yaml.example $(DESTDIR)$(PREFIX)/share/doc/zam/examples/zam.yaml
	sed -i 's|/usr/local/|$(PREFIX)/|' $(DESTDIR)$(PREFIX)/share/doc/zam/examples/zam.yaml
	install -Dm644 -t $(DESTDIR)$(PREFIX)/share/zam zam.schema.json
	install -Dm644 units/zam.catalog $(DESTDIR)$(CATALOGDIR)/zam.catalog
	for section in 5 7 8; do install -Dm644 -t $(DESTDIR)$(PREFIX)/share/man/man$$section man/*.$$section; done
	install -d $(DESTDIR)$(SYSCONFDIR)/zam
	install -Dm644 units/profile.sh $(DESTDIR)$(SYSCONFDIR)/profile.d/zam.sh
	install -Dm644 units/profile.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_conf.d/zam.fish
	install -d $(DESTDIR)$(ZSHDIR) $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions fish/vendor_completions.d)
	# Each has zam itself print what its shell runs, so that the two are always of one version.
	printf 'source <(COMPLETE=bash zam 2>/dev/null)\n' >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/zam
	printf '#compdef zam\neval "$$(COMPLETE=zsh zam)" && _clap_dynamic_completer_zam "$$@"\n' >$(DESTDIR)$(ZSHDIR)/_zam
	printf 'COMPLETE=fish zam | source\n' >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/zam.fish
ifeq ($(DESTDIR),)
	systemd-sysusers zam.conf
	systemd-tmpfiles --create zam.conf
	journalctl --update-catalog
	systemctl daemon-reload
endif

# A package holds what `make install` installs, and the licences of what is linked.
deb: build
	tests/setup cargo-deb
	packaging/stage /usr/share/zsh/vendor-completions
	$(CARGO) deb --no-build --no-strip --output target/debian/

rpm: build
	tests/setup cargo-generate-rpm
	packaging/stage /usr/share/zsh/site-functions
	$(CARGO) generate-rpm

setup:
	tests/setup

test:
	tests/setup cargo-nextest cargo-deny cargo-deb
	tests/run

# Every scenario on both machines; a release needs it.
test-all:
	tests/setup cargo-nextest cargo-deny cargo-deb
	tests/run --run-ignored all

bench: setup build
	tests/bench

# Ten minutes of anything for `zam serve`; needs a nightly Rust.
fuzz:
	tests/setup cargo-fuzz
	cd fuzz && cargo +nightly fuzz run serve -- -dict=serve.dict -max_total_time=600 -max_len=400

demo: setup build
	tests/demo

.PHONY: all build install deb rpm setup test test-all bench fuzz demo
