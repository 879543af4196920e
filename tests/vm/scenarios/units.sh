# machines: debian13 (the newer systemd; reload.sh looks at the older)
# What an administrator does with the units: edit all or one, read them, switch off, change the configuration.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
zfs create tank/home
zfs create 'tank/my-data x'
config <<EOF
datasets:
  tank/home: {snapshot-period: 10min}
  "tank/my-data x": {snapshot-period: 1h}
EOF

say "systemctl edit zam@.service reaches every job, and one of them alone"
# systemd takes override.conf of one job instead of the template's, so the two have different names here.
cat >/root/editor <<'EOF'
#!/bin/bash
printf '[Service]\nEnvironment=ALL=1\n' >"${@: -1}"
EOF
chmod +x /root/editor
expect 0 script -qec 'SYSTEMD_EDITOR=/root/editor systemctl edit zam@.service' /dev/null
mkdir -p /etc/systemd/system/zam@snapshot-tank-home.service.d
printf '[Service]\nEnvironment=ONE=1\n' >/etc/systemd/system/zam@snapshot-tank-home.service.d/60-one.conf
systemctl daemon-reload
odd="zam@$(systemd-escape 'snapshot/tank/my-data x').service"
expect 0 systemctl show -p Environment zam@snapshot-tank-home.service
has 'ALL=1.*ONE=1|ONE=1.*ALL=1'
expect 0 systemctl show -p Environment "$odd"
has 'ALL=1'
lacks "$output" 'ONE=1'

say "systemctl cat reads well"
expect 0 systemctl cat zam@snapshot-tank-home.service
has '^ExecStart=zam snapshot -- "tank/home"$'
has '^SourcePath=/etc/zam/zam.yaml$'
has '^Description=Snapshot tank/home$'

say "a name with a space and a dash is one job like others"
expect 0 systemctl start "$odd"
equal "$(snapshots 'tank/my-data x' | wc -l)" 1
expect 0 journalctl -q --no-pager -o cat "ZAM_DATASET=tank/my-data x"
has 'tank/my-data x@zam_'

say "a failing job leaves an alert with its last words, told once; its next success takes it back"
name=$(systemd-escape 'snapshot/tank/my-data x')
zfs rename 'tank/my-data x' tank/hidden
expect 1 systemctl start "$odd"
wait_for test -e "/var/lib/zam/alerts/$name.json"
expect 0 jq -r '.unit, .result, .status, .lines[-1]' "/var/lib/zam/alerts/$name.json"
has '^zam@snapshot-tank-my.x2ddata.x20x.service$'
has '^exit-code$'
has 'tank/my-data x does not exist'
expect 0 journalctl -q --no-pager -o cat -u "zam-notify@$name.service"
has 'failed .exit-code, 1.: .*does not exist'
expect 1 systemctl start "$odd"
wait_for bash -c "[[ \$(jq .count '/var/lib/zam/alerts/$name.json') == 2 ]]"
equal "$(journalctl -q --no-pager -o cat -p err -u "zam-notify@$name.service" | grep -c failed)" 1
zfs rename tank/hidden 'tank/my-data x'
expect 0 systemctl start "$odd"
wait_for test ! -e "/var/lib/zam/alerts/$name.json"

say "a job that the configuration does not know"
expect 1 systemctl start zam@snapshot-tank-nowhere.service
expect 0 journalctl -q --no-pager -o cat -u zam@snapshot-tank-nowhere.service
has 'no such job'
systemctl reset-failed zam@snapshot-tank-nowhere.service

say "a removed entry leaves no failed timer, a new one is there at once"
config <<EOF
datasets:
  "tank/my-data x": {snapshot-period: 1h}
  tank: {snapshot-period: 1d}
EOF
expect 0 systemctl list-timers --all --no-pager 'zam-*'
lacks "$output" 'tank-home'
has 'zam-snapshot-tank.timer'
expect 0 systemctl --no-legend --failed
equal "$output" ''

say "the off switch"
expect 0 systemctl mask --now zam.target
expect 0 systemctl list-timers --no-pager 'zam-*'
has '0 timers listed'
expect 0 systemctl unmask zam.target
expect 0 zam reload
expect 0 systemctl list-timers --no-pager 'zam-*'
has '2 timers listed'
#--- reboot
say "after a boot the timers are there by themselves"
wait_for systemctl is-active --quiet zam.target
expect 0 systemctl list-timers --no-pager 'zam-*'
has '2 timers listed'
