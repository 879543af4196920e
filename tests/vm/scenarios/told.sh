# machines: debian12 (the older systemd; noticed.sh has other failures with the newer)
# Failures of what zam needs around it are noticed too; and every way of logging in tells them, and the desktop.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
unmask_hourly
zfs create tank/home
zfs create backup/zam
install -d -m 700 /etc/zam/keys /root/.ssh
cat /root/.ssh/authorized_keys >/root/machine.pub
ssh-keygen -q -t ed25519 -N '' -f /etc/zam/keys/there
cat /etc/zam/keys/there.pub >>/root/.ssh/authorized_keys
start_sshd
cat >/etc/zam/zam.yaml <<EOF
notify: ['echo "\$ZAM_EVENT \$ZAM_UNIT" >>/root/told']
metrics-file: /root/zam.prom
hosts:
  there: {ssh: root@localhost, identity: /etc/zam/keys/there}
destinations:
  away: {host: there, root: backup/zam, replication-period: 1h, alert-after: 2d}
datasets:
  tank/home: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1d}], destinations: [away]}
EOF
expect 0 zam reload
jobs="snapshot-tank-home replicate:away-tank-home prune-tank-home"
for job in $jobs; do run_job $job; done
hourly_check
expect 0 zam check
equal "$(login)" ''
: >/root/told

say "a login without anything to tell looks at one file of zam's"
strace -f -e trace=%file -o /root/looked bash -lic true 2>/dev/null
equal "$(grep -cE '(stat|access)[a-z0-9]*\(.*/run/zam-well' /root/looked)" 1
lacks "$(cat /root/looked)" 'exec.*zam'
lacks "$(bash -lc true 2>&1; ssh -i /etc/zam/keys/there root@localhost true 2>&1)" zam

say "the key is refused"
cp /root/.ssh/authorized_keys /root/keys
cp /root/machine.pub /root/.ssh/authorized_keys
run_job snapshot-tank-home
run_job replicate:away-tank-home
noticed zam@replicate:away-tank-home.service
has 'Permission denied .*zam setup --on there'

say "at each kind of login, until its user has acknowledged it"
echo '. /etc/profile.d/zam.sh' >>/etc/zsh/zprofile
useradd -m -s /bin/bash somebody
touch /home/somebody/.zshrc # without it zsh asks a new user for its settings
mkfifo /root/never
# tells COMMAND: it makes a login at a terminal that shows the alert.
tells() {
  local screen
  screen=$(mktemp)
  script -qfec "$1" "$screen" <>/root/never >/dev/null 2>&1 3>&- &
  wait_for grep -q 'zam: 1 alert (zam status tells more, zam ack silences this)' "$screen" || fail "$1: $(cat "$screen")"
  kill $!
}
for shell in bash zsh fish dash; do
  chsh -s "$(command -v $shell)" somebody
  tells 'su - somebody'
done
chsh -s /bin/bash somebody
cp /root/keys /root/.ssh/authorized_keys
tells 'ssh -tt -i /etc/zam/keys/there root@localhost'
tells 'sudo -i'
# Debian 13 can do without login(1), and does so here.
if type -P login >/dev/null; then tells 'login -f somebody'; fi
his() { su - somebody -c 'bash -lic true' 2>/dev/null; }
expect 0 su - somebody -c 'zam ack'
lacks "$(his)" 'zam: '
run_job replicate:away-tank-home
over zam@replicate:away-tank-home.service

say "the generator crashes"
generator=$(dirname "$(readlink -f /usr/lib/systemd/system-generators/zam-generator)")/zam-generator
mv "$generator" /root/generator
printf '#!/bin/sh\nkill -SEGV $$\n' >"$generator"
chmod +x "$generator"
expect 1 zam reload
has 'zam-generator has not made all units'
systemctl start zam-units.service 2>/dev/null || true
wait_for grep -qF 'failed zam-units.service' /root/told
contains "$(systemctl --failed --no-legend)" zam-units.service
contains "$(journalctl -u 'zam*' -o cat)" 'zam-generator has not made all units'
contains "$(login)" 'zam-units.service failed'
contains "$(zam status)" ' ago: zam-units.service failed'
wait_for grep -q '^zam_alerts 1$' /root/zam.prom
expect 1 zam check
has 'zam-snapshot-tank-home.timer: it is not active'
contains "$(his)" 'zam-units.service failed'
contains "$(systemctl show -p Wants --value timers.target)" zam-units.timer
mv /root/generator "$generator"
expect 0 zam reload
wait_for grep -qF 'recovered zam-units.service' /root/told
systemctl start zam-units.service
wait_for idle
for job in $jobs; do run_job $job; done
hourly_check
expect 0 zam check
equal "$(systemctl list-units --failed --no-legend 'zam*')" ''
wait_for grep -q '^zam_alerts 0$' /root/zam.prom
lacks "$(zam status)" failed
equal "$(login)" ''

say "no room where alerts are kept"
: >/root/told
cp -a /var/lib/zam /root/records
mount -t tmpfs -o size=1M tmpfs /var/lib/zam
cp -a /root/records/. /var/lib/zam
dd if=/dev/zero of=/var/lib/zam/full bs=4k 2>/dev/null || true
hourly_check
wait_for grep -qF 'failed zam@check.service' /root/told
contains "$(systemctl --failed --no-legend)" zam@check.service
contains "$(journalctl -u zam@check.service -o cat)" 'there is no room in /var/lib/zam'
contains "$(login)" 'zam: there is no room in /var/lib/zam, so failures cannot be kept'
contains "$(zam status)" 'there is no room in /var/lib/zam'
expect 1 zam check
has '^records: there is no room in /var/lib/zam'
has '^zam_alerts 1$' /root/zam.prom
rm /var/lib/zam/full
hourly_check
expect 0 zam check
wait_for grep -q '^zam_alerts 0$' /root/zam.prom
lacks "$(zam status)" 'no room'
equal "$(systemctl list-units --failed --no-legend 'zam*')" ''
equal "$(login)" ''
say "a disk that has become read-only"
[[ -e /run/zam-well/all ]]
: >/root/told
mount -o remount,ro /var/lib/zam
hourly_check
wait_for grep -qF 'failed zam@check.service' /root/told
contains "$(login)" 'zam: /var/lib/zam is read-only, so failures cannot be kept'
contains "$(zam status)" '/var/lib/zam is read-only'
expect 1 zam check
has '^records: /var/lib/zam is read-only'
has '^zam_alerts 1$' /root/zam.prom
mount -o remount,rw /var/lib/zam
hourly_check
expect 0 zam check
wait_for grep -q '^zam_alerts 0$' /root/zam.prom
equal "$(systemctl list-units --failed --no-legend 'zam*')" ''
equal "$(login)" ''
umount /var/lib/zam
rm -r /var/lib/zam
mv /root/records /var/lib/zam

say "the desktop of a user whose graphical session is active, unless it is told not to"
systemd-run -q --uid=somebody -p PAMName=login -E XDG_SESSION_TYPE=wayland --unit=session sleep 3600
user=$(id -u somebody)
wait_for test -S /run/user/$user/bus
wait_for bash -c "loginctl list-sessions --no-legend | grep -q somebody"
as_user() { setpriv --reuid=$user --regid=$user --clear-groups env DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$user/bus "$@"; }
as_user busctl --user monitor >/root/heard 2>&1 3>&- &
wait_for grep -q . /root/heard
expect 0 zam notify --test
wait_for grep -q 'A ZFS job has failed' /root/heard
grep -q 'Member=Notify' /root/heard
: >/root/heard
sed -i '1i desktop: false' /etc/zam/zam.yaml
expect 0 zam notify --test
lacks "$(cat /root/heard)" 'ZFS job'
