# machines: debian12 (the older systemd; main.sh has timers that catch up with the newer)
# A machine that was off: each of ten overdue jobs catches up once, and one that takes long does not keep the boot
# "starting".
clock '2026-11-23 00:10:00'
zfs create backup/zam
{
  echo 'destinations:'
  echo '  local: {root: backup/zam, replication-period: 4h, rate-limit: 64KiB/s}'
  echo 'datasets:'
  for i in 1 2 3 4; do echo "  tank/d$i: {snapshot-period: 4h, windows: [{max-age: 1w, period: 4h}], prune-period: 4h}"; done
  echo '  tank/long: {snapshot-period: 4h, destinations: [local]}'
} >/etc/zam/zam.yaml
for dataset in tank/d1 tank/d2 tank/d3 tank/d4 tank/long; do zfs create $dataset; done
expect 0 zam reload
has '10 jobs are in force'
# Each has run once, so that all have a stamp.
clock '2026-11-23 03:59:57'
stamped() {
  local stamps=(/var/lib/systemd/timers/stamp-zam*)
  ((${#stamps[@]} == 10))
}
wait_for stamped
wait_for has_snapshot tank/long 20261123T0400
sleep 3
wait_for idle
fill tank/long 16M
zam snapshot tank/long >/dev/null
clock '2026-11-23 04:30:00'
sync
cut_power
#--- power cut
# The boot's clock is hours before 08:00; nothing is overdue yet.
systemctl stop zam.target
clock '2026-11-24 09:30:00'
systemctl stop zam.target
cut_power
#--- power cut
begun=$(uptime_seconds)
wait_for bash -c '[[ $(systemctl is-system-running) == running ]]'
say "running $(uptime_seconds) s after the boot began: $(systemd-analyze | head -n 1)"
expect 0 systemctl is-active 'zam@replicate:local-tank-long.service'
wait_for bash -c "systemctl show -p StatusText zam@replicate:local-tank-long.service | grep -q 'tank/long to local: [0-9.]* [KM]iB'"
say "each caught up once"
for i in 1 2 3 4; do
  wait_for has_snapshot tank/d$i 20261124T09
  equal "$(snapshots tank/d$i | grep -c 20261124T09)" 1
done
long=replicate:local-tank-long
for job in snapshot-tank-d1 snapshot-tank-d2 snapshot-tank-d3 snapshot-tank-d4 snapshot-tank-long prune-tank-d1 prune-tank-d2 \
  prune-tank-d3 prune-tank-d4 $long; do
  [[ $job == "$long" ]] || wait_for idle $job
  equal "$(journalctl -q -b -o cat -u "zam@$job.service" | grep -cE '^(Finished|Started) ')" 1
done

say "stopped, it goes on without its limit"
expect 0 systemctl stop "zam@$long.service"
sed -i 's/, rate-limit: 64KiB.s//' /etc/zam/zam.yaml
expect 0 systemctl start "zam@$long.service"
wait_for idle $long
equal "$(guids backup/zam/tank/long | tail -n 1)" "$(guids tank/long | tail -n 1)"
expect 0 systemctl --failed --no-legend
equal "$output" ''
