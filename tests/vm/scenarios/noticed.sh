# machines: debian13 (zam tells, and systemd has it told; status.sh and units.sh look at the parts of it on the older)
# No failure and no silence goes unnoticed: by the journal, systemctl --failed, notify, the login, status, check and metrics.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
unmask_hourly
journalctl --update-catalog
zfs create tank/home
zfs create backup/zam
write_config() {
  mkdir -p /etc/zam
  cat >/etc/zam/zam.yaml <<EOF2
notify: ['echo "\$ZAM_EVENT \$ZAM_UNIT" >>/root/told']
metrics-file: /root/zam.prom
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1h, alert-after: 2d, windows: [{max-age: 1d, period: 1d}]}
datasets:
  tank/home: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1d}], destinations: [local]}
EOF2
}
write_config
expect 0 zam reload
jobs="snapshot-tank-home replicate:local-tank-home prune-tank-home prune:local-tank-home"
for job in $jobs; do run_job $job; done
hourly_check
expect 0 zam check
has '^all is as promised: 1 dataset and 1 replica$'
equal "$(login)" ''
has '^zam_replica_state\{dataset="tank/home",destination="local",state="ok"\} 1$' /root/zam.prom
has '^zam_job_last_bytes\{verb="replicate",dataset="tank/home",destination="local"\} [1-9]' /root/zam.prom
: >/root/told

say "each kind of job, killed"
for job in $jobs; do
  mkdir -p /run/systemd/system/zam@$job.service.d
  printf '[Service]\nExecStart=\nExecStart=/bin/sh -c "kill -9 $$$$"\n' >/run/systemd/system/zam@$job.service.d/99-killed.conf
done
systemctl daemon-reload
for job in $jobs; do
  run_job $job
  wait_for grep -qF "failed zam@$job.service" /root/told
done
rm -r /run/systemd/system/zam@*.service.d
systemctl daemon-reload
for job in $jobs; do noticed zam@$job.service; done
contains "$(journalctl -x -u zam@snapshot-tank-home.service)" 'The next run tries again'
contains "$(zam status)" 'zam@snapshot-tank-home.service failed .signal, KILL.'
equal "$(grep -c failed /root/told)" 4
equal "$(login | wc -l)" 5
say "an ordinary user is told too, until he has acknowledged it"
useradd -m -s /bin/bash somebody
his() { su - somebody -c 'bash -lic true' 2>/dev/null; }
contains "$(his)" 'zam: 4 alerts'
expect 0 su - somebody -c 'zam ack'
equal "$(his)" ''
contains "$(login)" 'zam: 4 alerts'
for job in $jobs; do run_job $job; done
for job in $jobs; do wait_for grep -qF "recovered zam@$job.service" /root/told; done
over zam@snapshot-tank-home.service

say "out of memory"
mkdir -p /run/systemd/system/zam@snapshot-tank-home.service.d
printf '[Service]\nMemoryMax=1M\n' >/run/systemd/system/zam@snapshot-tank-home.service.d/99-small.conf
systemctl daemon-reload
run_job snapshot-tank-home
noticed zam@snapshot-tank-home.service
contains "$(his)" 'zam: 1 alert '
contains "$(zam status)" 'failed .oom-kill'
rm -r /run/systemd/system/zam@snapshot-tank-home.service.d
systemctl daemon-reload
run_job snapshot-tank-home
over zam@snapshot-tank-home.service

say "a timer that somebody has stopped"
systemctl stop zam-prune-tank-home.timer
hourly_check
noticed zam@check.service 'not as promised: zam-prune-tank-home.timer .stopped.'
has 'zam-prune-tank-home.timer: it is not active; this starts it'
systemctl start zam-prune-tank-home.timer
over zam@check.service

say "snapshots that do not come any more"
systemctl stop zam.target # so that no timer catches up
advance '3 hours'
hourly_check
noticed zam@check.service 'not as promised: zam.target .stopped., tank/home .late.'
has '^tank/home: its newest snapshot is 3h old, although one is due every 1h$'
run_job snapshot-tank-home
run_job replicate:local-tank-home
systemctl start zam.target
wait_for idle
over zam@check.service

say "a destination that is gone for longer than alert-after"
zpool export backup
systemctl stop zam.target
advance '1 day'
run_job snapshot-tank-home
expect 1 zam check
has '^tank/home to local: backup/zam does not exist; if its pool backup is not imported, zpool import backup brings it'
lacks "$output" stale
advance '2 days'
run_job snapshot-tank-home
hourly_check
noticed zam@check.service 'stale: backup/zam does not exist'
has '^zam_replica_state\{dataset="tank/home",destination="local",state="unreachable"\} 1$' /root/zam.prom
expect 2 zam check --nagios
has '^ZAM CRITICAL - .* \| $'
expect 0 zam check --checkmk
has '^2 "zam tank/home to local" - stale: backup/zam does not exist'
zpool import backup
run_job replicate:local-tank-home
systemctl start zam.target
wait_for idle
over zam@check.service
expect 0 zam check --nagios
has "^ZAM OK - 1 dataset and 1 replica \| 'lag tank/home local'=0s;;172800;0$"

say "a clock that was a year ahead"
systemctl stop zam.target
advance '1 year'
run_job snapshot-tank-home
advance '-1 year'
hourly_check
noticed zam@check.service 'not as promised: zam.target .stopped., tank/home .ahead.'
has '^tank/home: its newest snapshot is dated 1y in the future; if the clock is right now .timedatectl., the next'
contains "$(zam status)" '^tank/home +ok +1y in the future'
run_job snapshot-tank-home
run_job replicate:local-tank-home
systemctl start zam.target
wait_for idle
over zam@check.service

say "an error in the configuration, and a command of notify that fails"
sed -i "s/^notify.*/&\n/; s/^datasets:/&\n  tank\/wrong: {snapshot-period: soon}/" /etc/zam/zam.yaml
sed -i "s|^notify: \[|&'echo no route >\&2; exit 7', |" /etc/zam/zam.yaml
expect 78 zam reload
noticed zam-config.service 'zam-config.service: Failed with result'
contains "$(journalctl -u zam-notify@config.service -o cat)" 'notify: echo no route >&2; exit 7: no route'
has '^the configuration: 1 error in the configuration; zam config tells them'
has '^zam_config_valid 0$' /root/zam.prom
contains "$(zam status --json | jq -r '.alerts[].unit')" '^zam-config.service$'
write_config
expect 0 zam reload
over zam-config.service

say "a destination that was never reached, until the configuration gives it up"
sed -i 's/^  local:.*/&\n  never: {root: backup\/never, replication-period: 1h, alert-after: 2d}/; s/\[local\]/[local, never]/' /etc/zam/zam.yaml
expect 0 zam reload
systemctl stop zam.target
run_job replicate:never-tank-home
noticed zam@replicate:never-tank-home.service
lacks "$output" stale
advance '3 days'
run_job snapshot-tank-home
run_job replicate:local-tank-home
hourly_check
noticed zam@check.service 'tank/home to never: stale: backup/never does not exist.*missing for 3d'
write_config
expect 0 zam reload
wait_for grep -qF 'recovered zam@replicate:never-tank-home.service' /root/told
lacks "$(systemctl --failed --no-legend)" never
wait_for idle
over zam@check.service

say "nobody has checked for a while"
systemctl stop zam.target
advance '5 hours'
systemctl start zam-units.service
[[ ! -e /run/zam-well/all ]]
contains "$(login)" 'zam: last checked 5h ago'
