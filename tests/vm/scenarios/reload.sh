# machines: debian12 (the older systemd, which hangs up when it is asked to reload twice)
# How a changed configuration comes into force: by hand, or by the path unit; what a mistake does; what is left of what
# was taken out.
clock '2026-11-23 10:01:00'
for dataset in tank/home tank/other tank/big backup/zam; do zfs create $dataset; done
timers() { systemctl list-timers --all --no-legend --no-pager 'zam-*' | grep -oE 'zam-[^ ]*\.timer' | sed -E '/^zam-(check|units)/d' | sort | xargs; }
stamps() { ls /var/lib/systemd/timers | grep stamp-zam | sort | xargs; }
config <<EOF
defaults: {snapshot-period: 10min}
destinations:
  local: {root: backup/zam, replication-period: 1h, rate-limit: 1MiB/s}
datasets:
  tank/home: {}
  tank/other: {}
  tank/big: {destinations: [local]}
EOF
all='zam-replicate:local-tank-big.timer zam-snapshot-tank-big.timer zam-snapshot-tank-home.timer zam-snapshot-tank-other.timer'
equal "$(timers)" "$all"

say "a job that runs goes on"
fill tank/big 12M
zam snapshot tank/big >/dev/null
systemctl start --no-block zam@replicate:local-tank-big.service
wait_for pgrep -f '^zfs receive'
started=$(systemctl show -p ExecMainPID zam@replicate:local-tank-big.service)
expect 0 zam reload
equal "$(systemctl show -p ExecMainPID zam@replicate:local-tank-big.service)" "$started"
wait_for idle replicate:local-tank-big
equal "$(guids backup/zam/tank/big)" "$(guids tank/big)"

say "a new period is in force, and no timer stood still for it"
since() { systemctl show -p ActiveEnterTimestampMonotonic --value zam-snapshot-tank-home.timer; }
before=$(since)
sed -i 's/10min/20min/' /etc/zam/zam.yaml
expect 0 zam reload
equal "$(since)" "$before"
expect 0 systemctl show -p NextElapseUSecRealtime --value zam-snapshot-tank-home.timer
has ':[024]0:00'
sed -i 's/20min/10min/' /etc/zam/zam.yaml
expect 0 zam reload

say "killed at any moment, it leaves the timers running"
for seconds in 0.05 0.2 0.5 1; do
  timeout -s KILL $seconds zam reload >/dev/null 2>&1 || true
  expect 0 systemctl is-active zam.target zam-snapshot-tank-home.timer zam-snapshot-tank-other.timer zam-snapshot-tank-big.timer
done
expect 0 zam reload

clock '2026-11-23 10:01:00' # as above
say "an entry taken out leaves no failed timer, no stamp, no alert, and comes back as a new one"
zfs rename tank/other tank/hidden
expect 1 systemctl start zam@snapshot-tank-other.service
wait_for test -e /var/lib/zam/alerts/snapshot-tank-other.json
zfs rename tank/hidden tank/other
cp /etc/zam/zam.yaml /root/zam.yaml
sed -i '/tank\/other/d' /etc/zam/zam.yaml
expect 0 zam reload
has 'zam@snapshot-tank-other.service is no job of the configuration any more; it had failed once'
lacks "$(timers)" other
lacks "$(stamps)" other
lacks "$(ls /var/lib/zam/alerts /var/lib/zam/done)" other
expect 0 systemctl --failed --no-legend
equal "$output" ''
cp /root/zam.yaml /etc/zam/zam.yaml
expect 0 zam reload
equal "$(timers)" "$all"
sleep 2
equal "$(snapshots tank/other)" ''

say "a slip that puts every entry at fault stops nothing, neither by a reload of ours nor by somebody else's"
sed -i 's/10min/10 fortnights/' /etc/zam/zam.yaml
expect 78 zam reload
has 'zam.yaml:1:29: .10 fortnights. is not a span'
has 'the last good configuration is in force instead'
equal "$(timers)" "$all"
expect 0 systemctl daemon-reload
expect 0 systemctl restart zam.target
equal "$(timers)" "$all"
wait_for systemctl is-failed --quiet zam-config.service
wait_for bash -c "journalctl -q -o cat -t zam-generator | grep -q 'the last good configuration is in force instead'"
expect 0 zam snapshot tank/other
has 'fortnights'
cp /root/zam.yaml /etc/zam/zam.yaml
expect 0 zam reload
expect 0 systemctl --failed --no-legend
equal "$output" ''

say "a slip that stops one entry is told within the hour, although nobody but another package has systemd reload"
sed -i 's/tank.other: {}/tank\/other: {snapshot-period: 10 fortnights}/' /etc/zam/zam.yaml
expect 0 systemctl daemon-reload
expect 0 systemctl start zam-units.service
wait_for test -e /var/lib/zam/alerts/config.json
contains "$(systemctl status zam-config.service || true)" 'fortnights'
cp /root/zam.yaml /etc/zam/zam.yaml
expect 0 zam reload
[[ ! -e /var/lib/zam/alerts/config.json ]]
expect 0 systemctl --failed --no-legend
equal "$output" ''

say "the path unit: saved is in force; what is wrong fails, and nothing stops"
equal "$(systemctl is-enabled zam-reload.path || true)" disabled
expect 0 systemctl enable --now zam-reload.path
sed '/tank\/other/d' /root/zam.yaml >/etc/zam/zam.yaml
# A path unit looks away while its service ends: what is saved in that moment is seen with the next change alone.
ended() { [[ $(systemctl is-active zam-reload.service) == inactive ]]; }
gone() { [[ $(timers) != *other* ]] && ended; }
wait_for gone
sleep 1
echo 'datasets: {tank/other: {}}' >/etc/zam/zam.d/more.yaml
back() { [[ $(timers) == "$all" ]] && ended; }
wait_for back
echo 'datasets: [' >/etc/zam/zam.yaml
wait_for systemctl is-failed --quiet zam-reload.service
wait_for test -e /var/lib/zam/alerts/reload.json
equal "$(timers)" "$all"
sed '/tank\/other/d' /root/zam.yaml >/etc/zam/zam.yaml
wait_for bash -c '[[ ! -e /var/lib/zam/alerts/reload.json ]]'
wait_for bash -c '! systemctl is-failed --quiet zam-reload.service'
equal "$(timers)" "$all"
expect 0 systemctl --failed --no-legend
equal "$output" ''

say "what kept datasets from being pruned as others are is gone: pruning waits for a person, and the path unit is none"
expect 0 systemctl stop zam-reload.path
wait_for ended
zfs create -p tank/tree/kept/old
for day in 01 02 03; do zfs snapshot "tank/tree/kept/old@zam_202610${day}T000000Z"; done
rm /etc/zam/zam.d/more.yaml
printf '%s\n' 'datasets:' '  tank/tree: {recursive: true, windows: [{max-age: 2h, period: 1h}]}' '  tank/tree/kept: {recursive: true}' >/etc/zam/zam.yaml
expect 0 zam reload
has 'accepted: /etc/zam/zam.d/more.yaml was part of the configuration and is gone'
expect 0 systemctl start zam-reload.path
# Replaces the file, as editors do.
sed -i 's/kept: {.*/kept: {}/' /etc/zam/zam.yaml
wait_for bash -c "journalctl -q -o cat -u zam-reload.service | grep -q 'tank/tree/kept was recursive'"
wait_for ended
expect 75 zam prune tank/tree
has 'tank/tree/kept was recursive and is not now, so that tank/tree would prune what is below it: exclude tank/tree/kept there'
equal "$(snapshots tank/tree/kept/old | wc -l)" 3
expect 0 zam reload
has 'accepted: tank/tree/kept was recursive'
expect 0 zam prune tank/tree
equal "$(snapshots tank/tree/kept/old | wc -l)" 2

say "however often something is saved, the path unit sees the next change"
mkdir /run/systemd/system/zam-reload.service.d
printf '%s\n' '[Unit]' StartLimitBurst=1 '[Service]' ExecStart= ExecStart=true >/run/systemd/system/zam-reload.service.d/quick.conf
expect 0 systemctl daemon-reload
wait_for ended
for _ in {1..4}; do
  before=$(systemctl show -p ExecMainPID --value zam-reload.service)
  ran() { [[ $(systemctl show -p ExecMainPID --value zam-reload.service) != "$before" ]] && ended; }
  sleep 1
  cat /root/zam.yaml >/etc/zam/zam.yaml
  wait_for ran
done
equal "$(systemctl is-active zam-reload.path)" active
