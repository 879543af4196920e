# machines: debian12 (a table that zam makes from listings that both print alike)
# `zam status`: what there is, in a table and as JSON, for root and for everybody; late, stale, diverged, unreachable.
clock '2026-11-23 00:01:00'
for dataset in tank/home tank/home/kid tank/away backup/zam; do zfs create $dataset; done
config <<EOF
hosts:
  nowhere: {ssh: root@localhost, port: 9}
destinations:
  local: {root: backup/zam, replication-period: 1h, alert-after: 1d}
  far: {root: backup/zam, host: nowhere, replication-period: 1h}
datasets:
  tank/home: {recursive: true, snapshot-period: 10min, windows: [{max-age: 1d, period: 1h}], destinations: [local]}
  tank/away: {snapshot-period: 1h, destinations: [far]}
EOF
# of QUERY: what `zam status --json` says.
of() { zam status --json | jq -r "$1"; }
home='.datasets[] | select(.dataset == "tank/home")'
local=".datasets[] | select(.dataset == \"tank/home\").destinations[0]"

say "before anything was done"
expect 0 zam status
has '^DATASET +STATE +NEWEST +BEHIND +SNAPSHOTS$'
has '^tank/home and below +never +- +0$'
has '^JOB +SUCCEEDED +TOOK +SENT +NEXT$'
has '^snapshot tank/home +- +in [0-9]+(s|min)$'
equal "$(of "$local.state")" never

say "done: times, counts, and when it comes next, as systemd says"
zam snapshot tank/home >/dev/null
expect 0 systemctl start zam@snapshot-tank-home.service zam@replicate:local-tank-home.service
wait_for idle replicate:local-tank-home
expect 0 zam status
has '^tank/home and below +ok +[0-9]+(s|min) ago +4$'
has '^  to local +ok +[0-9]+(s|min) ago +- +4$'
has '^snapshot tank/home +[0-9]+(s|min) ago +(< 1|[0-9]+)s +in [0-9]+(s|min)$'
has '^replicate tank/home --to local +[0-9]+(s|min) ago +(< 1|[0-9]+)s +[0-9.]+ KiB +in [0-9]+(s|min|h)$'
equal "$(of "$local | .state, .lag_seconds, .replica, .snapshots" | xargs)" 'ok 0 backup/zam/tank/home 4'
equal "$(of "$local.newest")" "$(date -u -d "@$(owned tank/home creation | tail -n 1)" +%FT%TZ)"
equal "$(of "$home | .jobs[0] | .unit, .next, .result" | xargs)" 'zam@snapshot-tank-home.service 2026-11-23T00:10:00Z success'
[[ $(of "$home | .jobs[0].last") == 2026-11-23T00:0* ]]

say "a destination that cannot be reached is said so, and the rest is there"
has '^  to far +unreachable '
has '^tank/away to far: cannot reach nowhere .*Connection refused'

say "for an ordinary user"
before=$(of "$home")
equal "$(setpriv --reuid=65534 --regid=65534 --clear-groups zam status --json tank/home | jq -r '.datasets[0]')" "$before"
expect 0 setpriv --reuid=65534 --regid=65534 --clear-groups zam status
has '^  to far +unreachable '

say "coloured on a terminal, unless NO_COLOR says not to"
expect 0 script -qec 'zam status tank/home' /dev/null
has $'\x1b\\[32mok'
expect 0 env NO_COLOR=1 script -qec 'zam status tank/home' /dev/null
lacks "$output" $'\x1b\\[32m'
expect 0 zam status --color always tank/home
has $'\x1b\\[32mok'
expect 0 script -qec 'zam status --color never tank/home' /dev/null
lacks "$output" $'\x1b\\['

say "late, then stale; of a tree the worst child"
systemctl stop zam.target
expect 0 zam status
has 'zam.target is inactive, so no timer fires; this starts them: systemctl start zam.target'
clock '2026-11-23 01:00:00'
zam snapshot tank/home >/dev/null
clock '2026-11-23 03:01:00'
equal "$(of "$local.state")" late
equal "$(of "$home.state")" late
clock '2026-11-24 01:00:00'
equal "$(of "$local | .state, .lag_seconds >= 3000" | xargs)" 'stale true'
zfs set readonly=off backup/zam/tank/home/kid
zfs mount backup/zam/tank/home/kid
echo foreign >"$(zfs get -Ho value mountpoint backup/zam/tank/home/kid)/file"
zpool sync
equal "$(of "$local.state")" diverged
contains "$(of "$local.why")" 'zfs rollback -r backup/zam/tank/home/kid@'
expect 0 zam status tank/home
has '^  to local +diverged '
has '^tank/home to local: .*was written to'
equal "$(zam status --json tank/home/kid | jq -r '.datasets[0] | .dataset, .snapshots' | xargs)" 'tank/home/kid 3'

say "what failed, with its last words"
expect 0 systemctl start zam@replicate:local-tank-home.service
wait_for systemctl is-failed --quiet zam@replicate:local-tank-home.service
wait_for test -e /var/lib/zam/alerts/replicate:local-tank-home.json
expect 0 zam status tank/home
has 'ago: zam@replicate:local-tank-home.service failed .exit-code, 1.: .*the replica diverged'
equal "$(of "$home | .jobs[] | select(.unit | contains(\"replicate\")).result")" exit-code

say "the pool is not there"
zfs unmount backup/zam/tank/home/kid
zpool export backup
equal "$(of "$local.state")" unreachable
contains "$(of "$local.why")" 'zpool import backup.*the last replication that succeeded was at 2026-11-23 00:0'
expect 2 zam status tank/nowhere

say "a source that is not there"
zfs rename tank/away tank/gone
expect 0 zam status tank/away
has '^tank/away +unreachable '
has '^tank/away: tank/away does not exist'
