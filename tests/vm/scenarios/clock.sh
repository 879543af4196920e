# machines: debian13 (what zam makes of a wrong clock; week.sh has the timers of the older systemd)
# A clock that jumps a year ahead and back, and another time zone: nothing is lost by it, and the timers go on.
clock '2026-11-23 10:01:00'
zfs create tank/home
zfs create backup/zam
config <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1h, windows: [{max-age: 1d, period: 10min}]}
  night: {root: backup, replication-period: 1d, idle: {windows: ["22:00-06:00"]}}
datasets:
  tank/home: {snapshot-period: 10min, windows: [{max-age: 1d, period: 10min}], destinations: [local, night]}
EOF
# at CLOCK SLOT: its snapshot is taken.
at() {
  clock "$1"
  wait_for has_snapshot tank/home "$2"
  sleep 1
  wait_for idle
}
for minute in 10 20 30; do at "2026-11-23 10:$((minute - 1)):58" "20261123T10$minute"; done
before=$(guids tank/home)
equal "$(wc -l <<<"$before")" 3

say "a year ahead: a gap like that is not believed, and nothing goes"
at '2027-11-23 10:10:01' 20271123T1010
expect 0 zam prune tank/home
has 'more than half of the snapshots would go just after a gap of more than 30 days'
equal "$(comm -23 <(sort <<<"$before") <(guids tank/home | sort))" ''
# What windows pass over is never sent: by this clock they would pass over all that was waiting.
expect 0 zam replicate tank/home --to local
equal "$(comm -23 <(sort <<<"$before") <(guids backup/zam/tank/home | sort))" ''

say "and back: the timers fire again at once, what is dated in the future stays"
at '2026-11-23 10:39:54' 20261123T1040
expect 0 zam prune -n tank/home
has 'keep .*@zam_20271123T1010..Z .*dated in the future'
expect 0 zam prune tank/home
equal "$(snapshots tank/home | sed -E 's/zam_(....).*T(....)..Z/\1-\2/' | xargs)" \
  '2026-1010 2026-1020 2026-1030 2027-1010 2026-1040'

say "a replica goes on, and is pruned, in the order of the pool and not of the clock"
expect 0 zam replicate tank/home --to local
equal "$(guids backup/zam/tank/home | tail -n 1)" "$(guids tank/home | tail -n 1)"
expect 0 zam prune tank/home --to local
expect 0 zam replicate tank/home --to local
has 'up to date'
expect 0 zam status

say "another time zone moves the windows, not the periods"
expect 0 systemctl list-timers --no-pager 'zam-*'
has '2026-11-23 22:00:00 UTC .*zam-replicate:night-tank-home.timer'
has '2026-11-23 10:50:00 UTC .*zam-snapshot-tank-home.timer'
ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime
wait_for bash -c "systemctl list-timers --no-pager 'zam-*' | grep -q '2026-11-23 22:00:00 JST .*zam-replicate:night-tank-home.timer'"
expect 0 systemctl list-timers --no-pager 'zam-*'
has '2026-11-23 19:50:00 JST .*zam-snapshot-tank-home.timer'
expect 0 systemctl --failed --no-legend
equal "$output" ''

say "a destination that is gone from the configuration leaves a bookmark and a record, of which check tells"
expect 0 zam replicate tank/home --to night
zam check >/root/checked || true
lacks "$(cat /root/checked)" 'forgets it here'
sed -i '/^  night:/d; s/, night\]/]/' /etc/zam/zam.yaml
expect 0 zam reload
zam check >/root/checked || true
command=$(sed -nE 's/^tank.home: it was sent to a destination .*, this forgets it here: //p' /root/checked)
contains "$command" "^zfs destroy 'tank/home#zam_[0-9a-f_]{25}' && rm /var/lib/zam/done/arrived-night-tank-home@[0-9a-f]{8}$"
expect 0 sh -c "$command"
zam check >/root/checked || true
lacks "$(cat /root/checked)" 'forgets it here'
equal "$(zfs list -H -o name -t bookmark tank/home | wc -l)" 1 # that of local
expect 0 zam prune -n tank/home
lacks "$output" 'may have it'
