# machines: debian13 (the gate asks logind, which answers both alike)
# A replication that is due each night from 22:00 to 06:00, when nobody uses the machine; through three days and the end
# of summer time. It waits for the user, runs once a night, pauses at 06:00 and finishes the next night.
ln -sf /usr/share/zoneinfo/Europe/Berlin /etc/localtime
clock '2026-10-23 19:30:00'
systemctl restart systemd-logind.service
zfs create tank/home
zfs create backup/zam
config <<EOF
destinations:
  night: {root: backup/zam, replication-period: 1d, rate-limit: 1MiB/s, idle: {windows: ["22:00-06:00"], user-idle: 15min}}
datasets:
  tank/home: {snapshot-period: 1h, destinations: [night]}
EOF
unit=zam@replicate:night-tank-home.service
expect 0 systemctl cat "$unit"
has 'ExecCondition=.zam gate replicate --to night -- "tank/home"'
expect 0 systemctl list-timers --no-pager 'zam-replicate*'
has '2026-10-23 22:00:00 CEST'
said() { journalctl -q -o cat -u "$unit"; }
# says NUMBER PATTERN: at least so many lines of its journal.
says() { (($(said | grep -cE "$2") >= $1)); }

say "somebody is at the machine, at a terminal"
systemd-run -q --unit user -p PAMName=login -p User=root -p StandardInput=tty -p TTYPath=/dev/tty8 sleep infinity
wait_for bash -c 'loginctl list-sessions --no-legend | grep -q tty8'
skips=0
for before in 19:59:57 20:14:57 20:29:57; do
  clock "2026-10-23 $before"
  touch -a /dev/tty8
  wait_for says "$((++skips))" 'not now: the machine (is|was) in use'
done
wait_for idle
expect 0 systemctl show -p Result,ActiveState "$unit"
has 'Result=exec-condition'
has 'ActiveState=inactive'
expect 0 systemctl --failed --no-legend
equal "$output" ''

say "it is not in use any more: one run, and no other that night"
systemctl stop user.service
wait_for bash -c '! loginctl list-sessions --no-legend | grep -q .'
clock '2026-10-23 20:59:58'
wait_for says 1 'tank/home -> backup/zam/tank/home'
wait_for idle
clock '2026-10-24 00:14:58'
wait_for says 1 'not now: it is not due: done 3h ago, and wanted every 1d'
equal "$(said | grep -c 'tank/home -> backup/zam/tank/home')" 1

say "in the morning nothing is made up for outside the window"
clock '2026-10-24 08:00:00'
wait_for says 1 'not now: outside its windows'

say "the next night, in which summer time ends: it pauses at 06:00"
fill tank/home 20M
zam snapshot tank/home >/dev/null
clock '2026-10-24 19:59:58'
wait_for streaming backup/zam/tank/home
clock '2026-10-25 04:59:57'
wait_for says 1 'the window has closed'
wait_for idle
says 1 'tank/home to night: the transfer was stopped; the next run resumes it'
contains "$(zfs get -Hpo value receive_resume_token backup/zam/tank/home)" '^1-'

say "and finishes in the night after that"
clock '2026-10-25 20:00:00'
sleep 3
contains "$(zfs get -Hpo value receive_resume_token backup/zam/tank/home)" '^1-'
clock '2026-10-25 20:59:58'
wait_for bash -c "[[ \$(zfs get -Hpo value receive_resume_token backup/zam/tank/home) == - ]]"
wait_for idle
equal "$(guids backup/zam/tank/home)" "$(guids tank/home)"
expect 0 zam replicate tank/home
said
expect 0 systemctl --failed --no-legend
equal "$output" ''
