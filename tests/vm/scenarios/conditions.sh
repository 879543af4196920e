# machines: debian13 (the gate asks logind and zpool, which answer both alike)
# What else a job waits for: mains power, a pool that is not being scrubbed; and `otherwise: run` at its last slot.
mkdir /root/power
mount -t tmpfs none /root/power
# A mains adapter and a battery as the kernel shows them, where logind looks for them.
supply() { # NAME TYPE
  mkdir "/root/power/$1"
  ln -s ../../../class/power_supply "/root/power/$1/subsystem"
  echo "POWER_SUPPLY_NAME=$1" >"/root/power/$1/uevent"
  echo "$2" >"/root/power/$1/type"
}
supply AC Mains
supply BAT Battery
echo 0 >/root/power/AC/online
echo 1 >/root/power/BAT/present
echo Discharging >/root/power/BAT/status
mount --bind /root/power /sys/class/power_supply
mkdir -p /run/systemd/system/systemd-logind.service.d
printf '[Service]\nEnvironment=SYSTEMD_DEVICE_VERIFY_SYSFS=0\n' >/run/systemd/system/systemd-logind.service.d/power.conf
systemctl daemon-reload
systemctl restart systemd-logind.service
clock '2026-11-23 22:01:00'
for dataset in tank/home tank/late backup/zam; do zfs create $dataset; done
config <<EOF
destinations:
  mains: {root: backup/zam, replication-period: 1h, idle: {on-ac-power: true}}
  quiet: {root: backup/zam, replication-period: 1h, idle: {pool: true}}
  last: {root: backup/zam, replication-period: 1d, idle: {windows: ["22:00-23:00"], on-ac-power: true, otherwise: run}}
datasets:
  tank/home: {snapshot-period: 1h, destinations: [mains, {to: quiet, root: backup}]}
  tank/late: {snapshot-period: 1h, destinations: [last]}
EOF
zam snapshot tank/home >/dev/null
zam snapshot tank/late >/dev/null
# What zam itself says: whether systemd adds what a run consumed depends on how long that took.
said() { journalctl -q -o cat -t zam -u "zam@replicate:$1.service"; }
start() { expect 0 systemctl start "zam@replicate:$1.service"; wait_for idle "replicate:$1"; }

say "on battery: not now; on mains: at once"
expect 0 busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager OnExternalPower
equal "$output" 'b false'
start mains-tank-home
contains "$(said mains-tank-home)" '^not now: the machine runs on battery$'
expect 1 zfs list backup/zam/tank/home
echo 1 >/root/power/AC/online
start mains-tank-home
equal "$(guids backup/zam/tank/home)" "$(guids tank/home)"

say "a pool that is being scrubbed, on either side: not now; afterwards: at once"
echo 1 >/sys/module/zfs/parameters/zfs_scan_suspend_progress
for pool in backup tank; do
  zpool scrub $pool
  start quiet-tank-home
  contains "$(said quiet-tank-home | tail -n 1)" "^not now: the pool $pool is being scrubbed or resilvered$"
  zpool scrub -s $pool
done
expect 1 zfs list backup/tank/home
start quiet-tank-home
equal "$(guids backup/tank/home)" "$(guids tank/home)"
# Done in this hour already.
start quiet-tank-home
contains "$(said quiet-tank-home | tail -n 1)" 'not now: it is not due: done ([0-9]+(s|min)|1h) ago, and wanted every 1h'

say "otherwise: run: at the window's last slot it runs all the same"
echo 0 >/root/power/AC/online
for before in 22:14:57 22:29:57; do
  clock "2026-11-23 $before"
  wait_for bash -c "(( \$(journalctl -q -o cat -u zam@replicate:last-tank-late.service | grep -c 'not now: the machine runs on battery') >= ${before:3:1} ))"
done
expect 1 zfs list backup/zam/tank/late
clock '2026-11-23 22:44:57'
wait_for bash -c "journalctl -q -o cat -u zam@replicate:last-tank-late.service | grep -q 'tank/late -> backup/zam/tank/late'"
equal "$(guids backup/zam/tank/late)" "$(guids tank/late | head -n 1)"
expect 0 systemctl --failed --no-legend
equal "$output" ''
