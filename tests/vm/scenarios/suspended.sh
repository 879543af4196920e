# machines: debian13 (a pool that hangs does so in both; it waits long)
# A receiver that lacks the permission to set properties; and a disk of the destination that stops in the middle of a stream:
# its pool hangs for ever, the job ends all the same (by its stall-timeout, or its watchdog), the others go on, and after a
# boot the next run resumes.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
zfs create tank/home
zfs create backup/zam
zfs create -o canmount=off backup/zam/tank
fill tank/home 2M

say "an ordinary user who may receive, but may not set what keeps the replica unmounted and unwritten"
useradd -m keeper
zfs allow keeper send,snapshot,bookmark,hold,destroy tank/home
zfs allow keeper receive,create,mount backup/zam
install -d -o keeper /home/keeper/run
cat >/home/keeper/zam.yaml <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h}
datasets:
  tank/home: {snapshot-period: 1h, destinations: [local]}
EOF
as_keeper() { runuser -u keeper -- env ZAM_CONFIG=/home/keeper/zam.yaml ZAM_RUN=/home/keeper/run zam "$@"; }
expect 0 as_keeper snapshot tank/home
expect 1 as_keeper replicate tank/home
has 'its properties could not be set; let somebody who may run: zfs set readonly=on canmount=noauto backup/zam/tank/home'
expect 0 as_keeper replicate tank/home
has 'backup/zam/tank/home is writable.*zfs set readonly=on backup/zam/tank/home'
zfs set readonly=on canmount=noauto backup/zam/tank/home
expect 0 as_keeper replicate tank/home
lacks "$output" writable

say "the disk stops; the job ends although its receiver cannot be killed, and it is told"
config <<EOF
destinations:
  local: {root: backup/zam, replication-period: 1h, rate-limit: 1MiB/s, stall-timeout: 5s}
datasets:
  tank/home: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1h}], destinations: [local]}
EOF
unit=zam@replicate:local-tank-home.service
mkdir -p "/etc/systemd/system/$unit.d"
printf '[Service]\nWatchdogSec=60s\nTimeoutStopSec=5s\n' >"/etc/systemd/system/$unit.d/90-test.conf"
systemctl daemon-reload
fill tank/home 12M
advance '2 sec'
zam snapshot tank/home
sync
expect 0 systemctl start "$unit"
wait_for pgrep -f '^zfs receive'
sleep 3
#--- stall backup
unit=zam@replicate:local-tank-home.service
wait_for bash -c "systemctl show -p Result --value $unit | grep -qE '^(exit-code|watchdog|timeout)'"
expect 0 systemctl show -p Result,ActiveState,SubState "$unit"
wait_for test -s "/var/lib/zam/alerts/replicate:local-tank-home.json"
cat "/var/lib/zam/alerts/replicate:local-tank-home.json"

say "the source's own jobs go on"
advance '2 sec'
expect 0 timeout 1000 zam snapshot tank/home
expect 0 timeout 1000 zam prune tank/home
zpool sync tank
sync -f / # not of the pool that hangs
#--- power cut
zpool list backup || zpool import -N backup
contains "$(zfs get -Hpo value receive_resume_token backup/zam/tank/home)" '^(1-|-)'
sed -i 's/, stall-timeout: 5s//' /etc/zam/zam.yaml
expect 0 zam replicate tank/home
equal "$(guids backup/zam/tank/home | tail -n 1)" "$(guids tank/home | tail -n 1)"
equal "$(content backup/zam/tank/home)" "$(content tank/home@"$(snapshots tank/home | tail -n 1)")"
