# machines: debian13 (the newer systemd and dpkg; users.sh has the same jobs with the older)
# package: deb
# From the installed package to jobs without root, which push and fetch; then an upgrade over a running job, a removal, and
# a purge.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout # so that a stream that is stopped leaves something to resume
ours() { find / -xdev \( -path /proc -o -path /sys -o -path /root \) -prune -o -name '*zam*' -print | sort; }
users() { grep -c zam /etc/passwd || true; }
before=$(ours)
equal "$(users)" 0
for dataset in tank/home tank/home/kid tank/far backup/pulled; do zfs create $dataset; done
start_sshd

say "the package installs, and starts nothing"
expect 0 dpkg -i /root/zam.deb
equal "$(systemctl is-active zam.target zam-reload.path | xargs)" 'inactive inactive'
equal "$(systemctl is-enabled zam-reload.path)" disabled
equal "$(stat -c %U:%a /etc/zam /run/zam /var/lib/zam | xargs)" 'root:755 root:3770 root:755'
equal "$(users)" 2
equal "$(systemctl list-units --failed --no-legend 'zam*')" ''

say "a configuration, zam setup, zam reload"
cat >/etc/zam/zam.yaml <<EOF2
hosts:
  nas: {ssh: far@localhost, identity: /etc/zam/keys/nas}
  site: {ssh: fetched@localhost, identity: /etc/zam/keys/site}
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1h, windows: [{max-age: 1d, period: 1d}]}
  nas: {host: nas, root: backup/far, replication-period: 1h, prune-period: 1h, rate-limit: 256KiB/s, windows: [{max-age: 1d, period: 1d}]}
  here: {root: backup/pulled, replication-period: 1h, prune-period: 1h, windows: [{max-age: 1d, period: 1d}]}
datasets:
  tank/home: {recursive: true, snapshot-period: 1h, windows: [{max-age: 1d, period: 1d}], destinations: [local, nas]}
  "site:tank/far": {destinations: [here]}
EOF2
zfs snapshot tank/far@zam_20261122T000000Z
for words in '' '--on nas' '--on site'; do
  zam setup $words >/root/setup
  expect 0 sh /root/setup
done
expect 0 zam reload
for words in '' '--on nas' '--on site'; do expect 0 zam setup $words --check; done

# run JOB: has systemd run it to its end.
run() {
  systemctl start "zam@$1.service"
  wait_for idle "$1"
  equal "$(systemctl show -p Result -p ExecMainStatus "zam@$1.service" | sort | xargs)" 'ExecMainStatus=0 Result=success'
}
take() {
  fill tank/home/kid "$1"
  advance '2 sec'
  run snapshot-tank-home
}
jobs() { systemctl show -p Id --value 'zam-*.timer' | grep . | sed 's/^zam-//; s/\.timer$//' | grep -vx -e check -e units | sort; }

say "all jobs run, push and fetch behind zam serve, none as root"
take 200K
for job in $(jobs | grep -v ^snapshot); do run "$job"; done
count=$(jobs | wc -l)
equal "$count" 8
for job in $(jobs); do systemctl show -p User --value "zam@$job.service"; done | sort | uniq -c | xargs >/root/users
has '^[0-9]+ zam [0-9]+ zam-prune$' /root/users
contains "$(cat ~far/.ssh/authorized_keys ~fetched/.ssh/authorized_keys)" 'command="zam serve .*--read-only'
for root in backup/zam backup/far; do arrived $root tank/home/kid; done
arrived backup/pulled tank/far
lacks "$(zam status)" failed
mkdir -p /etc/systemd/system/zam@check.service.d
printf '[Service]\nExecStartPre=\n' >/etc/systemd/system/zam@check.service.d/99-at-once.conf
systemctl daemon-reload
run check
rm -r /etc/systemd/system/zam@check.service.d
equal "$(stat -c %U /var/lib/zam/users/zam/done/check.json)" zam
[[ -e /run/zam-well/all ]]
expect 0 zam check
has '^all is as promised: 2 datasets and 3 replicas$'

say "an upgrade lets a job run on, keeps the configuration, and starts the timers anew"
dpkg-deb -R /root/zam.deb /root/newer
sed -i 's/^Version: .*/Version: 99-1/' /root/newer/DEBIAN/control
dpkg-deb -Zgzip -z1 -b /root/newer /root/newer.deb >/dev/null
sed -i 's/256KiB/32KiB/' /etc/zam/zam.yaml # it lasts until it is stopped
config=$(sha256sum /etc/zam/zam.yaml /etc/zam/zam.d/* /etc/zam/keys/*)
take 8M
push=zam@replicate:nas-tank-home.service
systemctl start $push
pid=$(systemctl show -p MainPID --value $push)
expect 0 dpkg -i /root/newer.deb
equal "$(systemctl show -p MainPID --value $push)" "$pid"
equal "$(systemctl is-active $push zam.target | xargs)" 'active active'
equal "$(sha256sum /etc/zam/zam.yaml /etc/zam/zam.d/* /etc/zam/keys/*)" "$config"
equal "$(systemctl list-timers --no-legend 'zam-*' | wc -l)" "$((count + 2))" # and zam-check.timer and zam-units.timer
equal "$(systemctl is-enabled zam-reload.path)" disabled

say "a removal stops it so that it can go on; the configuration and the replicas stay"
systemctl enable --now zam-reload.path
equal "$(systemctl is-active $push)" active
expect 0 dpkg -r zam
contains "$(journalctl -u $push -o cat)" 'stopped'
contains "$(zfs get -Hpo value receive_resume_token backup/far/tank/home/kid)" '^1-'
equal "$(systemctl list-units --all --no-legend 'zam*' | grep -v masked || true)" ''
equal "$(sha256sum /etc/zam/zam.yaml /etc/zam/zam.d/* /etc/zam/keys/*)" "$config"

say "installed again, it goes on"
sed -i 's/, rate-limit: 32KiB.s//' /etc/zam/zam.yaml
expect 0 dpkg -i /root/newer.deb
equal "$(systemctl is-active zam.target)" active
equal "$(systemctl is-enabled zam-reload.path)" enabled
run replicate:nas-tank-home
contains "$(journalctl -u $push -o cat)" 'resum'
arrived backup/far tank/home/kid

say "a mask holds off an upgrade too"
systemctl mask --now zam.target
expect 0 dpkg -i /root/newer.deb
equal "$(systemctl is-active zam.target)" inactive
systemctl unmask zam.target

say "a purge leaves the replicas and the users, and nothing else"
snapshots=$(zfs list -Hp -t snapshot -o name,guid)
expect 0 dpkg -P zam
equal "$(ours)" "$before"
equal "$(find /etc/systemd /var/lib/systemd -name '*zam*')" ''
equal "$(users)" 2
equal "$(zfs list -Hp -t snapshot -o name,guid)" "$snapshots"
equal "$(systemctl --failed --no-legend)" ''
