# machines: debian13 (what zam is for, with the newer systemd and ZFS; week.sh has the same jobs with the older)
# The main job: three entries, timers that fire as time passes, replicas that arrive, pruning by the windows.
clock '2026-11-23 00:00:30'
zfs create tank/home
zfs create tank/home/ann
zfs create tank/home/ann/cache
zfs create tank/home/vm
zfs create tank/root
zfs create backup/zam
fill tank/home/ann 1M
config <<EOF
templates:
  often:
    snapshot-period: 10min
    windows: [{max-age: 1h, period: 10min}, {max-age: 1d, period: 1h}]
    destinations: [local]
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1d, windows: [{max-age: 3h, period: 1h}, {period: 1d}]}
datasets:
  tank/home: {use: often, recursive: true, exclude: ["tank/*/*/cache"]}
  tank/home/vm: {use: often, snapshot-period: 1h}
  tank/root: {snapshot-period: 1h}
EOF

say "list-timers names every job"
expect 0 systemctl list-timers --no-pager 'zam-*'
for timer in snapshot-tank-home prune-tank-home replicate:local-tank-home prune:local-tank-home snapshot-tank-home-vm \
  prune-tank-home-vm replicate:local-tank-home-vm prune:local-tank-home-vm snapshot-tank-root; do
  has "zam-$timer\.timer"
done
has '9 timers listed'
has '00:10:00 UTC .*zam-snapshot-tank-home.timer'

# minutes DATASET: when its snapshots were taken, as HHMM.
minutes() { snapshots "$1" | sed -E 's/.*T(....)..Z/\1/' | xargs; }

say "the timers fire as time passes"
for hour in 00 01; do
  for minute in 10 20 30 40 50; do
    clock "2026-11-23 $hour:$((minute - 1)):58"
    wait_for has_snapshot tank/home/ann "20261123T$hour$minute"
  done
  next=$(printf '%02d' $((10#$hour + 1)))
  clock "2026-11-23 $hour:59:58"
  wait_for has_snapshot tank/home/ann "20261123T${next}00"
  wait_for has_snapshot tank/root "20261123T${next}00"
  sleep 2
  wait_for idle
done
equal "$(minutes tank/root)" '0100 0200'
equal "$(minutes tank/home/vm)" '0100 0200'
equal "$(snapshots tank/home/ann/cache)" ''

say "pruning leaves exactly what the windows say"
expect 0 systemctl start zam@prune-tank-home.service
for dataset in tank/home tank/home/ann; do
  # An hour back from the newest every 10 minutes (the bucket from 0050 ended an hour ago), and the first of each hour.
  equal "$(minutes $dataset)" '0010 0100 0110 0120 0130 0140 0150 0200'
done
equal "$(minutes tank/home/vm)" '0100 0200'
# It is as `zam simulate` foretold.
foretold=$(zam simulate --json --from 2026-11-23T00:00:30Z --for 2h tank/home | jq -r '.[0].sides[0].holds[]')
equal "$(sed -E 's/.*T(..):(..):00Z/\1\2/' <<<"$foretold" | xargs)" "$(minutes tank/home)"

say "replicas arrived, and hold what their windows want"
expect 0 systemctl start zam@replicate:local-tank-home.service zam@replicate:local-tank-home-vm.service
wait_for idle
for dataset in tank/home tank/home/ann; do
  # The first of each hour, and what was the newest when a run began.
  contains "$(minutes backup/zam/$dataset)" '^0010 (0050 )?0100 (0150 )?0200$'
  equal "$(guids backup/zam/$dataset | tail -n 1)" "$(guids $dataset | tail -n 1)"
done
expect 1 zfs list backup/zam/tank/home/ann/cache
equal "$(content backup/zam/tank/home/ann)" "$(content tank/home/ann@"$(snapshots tank/home/ann | tail -n 1)")"
equal "$(zfs get -Hpo value readonly,canmount,mounted backup/zam/tank/home/ann | xargs)" 'on noauto no'

say "the replica is pruned by its own windows"
expect 0 systemctl start zam@prune:local-tank-home.service
equal "$(minutes backup/zam/tank/home/ann)" '0010 0100 0200'

say "a day later: the first of each day, of each of the last three hours (one, caught up), and the newest stay"
clock '2026-11-24 00:00:01'
wait_for has_snapshot tank/root 20261124T0000
sleep 3
wait_for idle
expect 0 systemctl start zam@snapshot-tank-home.service
expect 0 systemctl start zam@replicate:local-tank-home.service
sleep 1
wait_for idle
# Its own job ran at midnight, and is not due again.
expect 0 zam prune --to local tank/home
contains "$(minutes backup/zam/tank/home/ann)" '^0010 0000( 00..)?$'
equal "$(guids backup/zam/tank/home/ann | tail -n 1)" "$(guids tank/home/ann | tail -n 1)"

say "no job failed, and the journal tells what was done"
expect 0 systemctl --no-legend --failed
equal "$output" ''
expect 0 journalctl -q --no-pager -o cat -u 'zam@*'
has 'tank/home/ann -> backup/zam/tank/home/ann: [0-9]+ snapshot'
has 'snapshots? destroyed'
