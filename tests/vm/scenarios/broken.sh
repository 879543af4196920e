# machines: debian12 (what zam reads and says; systemd only shows it)
# A configuration that is wrong in part, or not readable at all: what is right goes on, and the rest is said loudly.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
zfs create tank/home
zfs create tank/other
config <<EOF
# a comment with --- # in it
datasets:
  tank/home: {snapshot-period: 10min}
  tank/other: {snapshot-period: 1h}
EOF
cat >/etc/zam/zam.yaml <<EOF
datasets:
  tank/home: {snapshot-period: 10min}
  tank/other: {snapshot-period: 10 fortnights}
EOF

say "a broken entry: the others go on, and zam-config.service stands among the failed"
expect 78 zam reload
has "zam.yaml:3:33: .10 fortnights. is not a span"
expect 0 systemctl list-timers --no-pager 'zam-*'
has '1 timers listed'
has 'zam-snapshot-tank-home.timer'
wait_for systemctl is-failed --quiet zam-config.service
expect 0 systemctl --failed --no-legend
has 'zam-config.service'
expect 0 journalctl -q --no-pager -o cat -u zam-config.service
has '/etc/zam/zam.yaml:3:33: .10 fortnights. is not a span'
expect 0 journalctl -q --no-pager -o cat -t zam-generator
has '/etc/zam/zam.yaml:3:33'
wait_for test -e /var/lib/zam/alerts/config.json
expect 0 systemctl start zam@snapshot-tank-home.service
expect 78 zam snapshot tank/other
has '10 fortnights'
expect 0 zam snapshot tank/home
has '1 error in the configuration'

say "no YAML at all: the last configuration without a fault is in force, also by somebody else's reload that sees no /var"
printf 'datasets:\n  tank/home: {snapshot-period: [\n' >/etc/zam/zam.yaml
expect 78 zam reload
has 'zam.yaml:.*not valid YAML'
rm /var/lib/zam/last-good.yaml
expect 0 systemctl daemon-reload
expect 0 systemctl restart zam.target
expect 0 systemctl list-timers --no-pager 'zam-*'
has 'zam-snapshot-tank-home.timer'
has 'zam-snapshot-tank-other.timer'
expect 0 zam snapshot tank/other
has 'the last good configuration is in force'

say "mended, everything is as before"
config <<EOF
datasets:
  tank/home: {snapshot-period: 10min}
EOF
wait_for systemctl is-active --quiet zam.target
expect 0 systemctl --failed --no-legend
lacks "$output" 'zam-config'

say "empty, unreadable, absent"
: >/etc/zam/zam.yaml
expect 78 zam config
has 'the file is empty'
rm /etc/zam/zam.yaml
expect 78 zam snapshot tank/home
has 'no configuration at /etc/zam/zam.yaml'
mkdir /etc/zam/zam.yaml
expect 0 zam snapshot tank/home
has 'cannot read /etc/zam/zam.yaml'
has 'the last good configuration is in force'
expect 75 zam prune tank/home
has 'pruning waits: cannot read /etc/zam/zam.yaml'
rmdir /etc/zam/zam.yaml
expect 2 zam snapshot
expect 2 zam nonsense
