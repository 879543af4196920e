# machines: debian12 (its ZFS knows the weaker permissions alone; serve.sh has the stronger)
# Jobs that are not root's: what `zam setup` gives the two users, that all jobs then run, and what neither user can do.
clock '2026-11-23 10:01:00' # no timer fires meanwhile
unmask_hourly
echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout # so that short streams leave something to resume
for dataset in tank/home tank/home/kid tank/alone; do zfs create $dataset; done
start_sshd
cat >/etc/zam/zam.yaml <<EOF
notify: ['echo "\$ZAM_EVENT \$ZAM_UNIT" >>/root/told']
metrics-file: /root/zam.prom
hosts: {nas: {ssh: far@localhost, identity: /etc/zam/keys/nas}}
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1h, windows: [{max-age: 1d, period: 1d}]}
  nas: {host: nas, root: backup/far, replication-period: 1h, prune-period: 1h, windows: [{max-age: 1d, period: 1d}]}
datasets:
  tank/home: {recursive: true, snapshot-period: 1h, windows: [{max-age: 1d, period: 1d}], destinations: [local, nas]}
  tank/alone: {snapshot-period: 1h, windows: [{max-age: 1d, period: 1d}], destinations: [local], hooks: {before: "bash -c 'exec 3<>/dev/tcp/127.0.0.1/22 && id -un >/root/hooked'", after: ["exit \$(cat /root/code || echo 0)", "id -un >/root/thawed"]}}
EOF
# run JOB [RESULT [EXIT]]: has systemd run a job to its end.
run() {
  local said
  systemctl start "zam@$1.service" || true
  wait_for idle "$1"
  said=$(systemctl show -p Result -p ExecMainStatus "zam@$1.service" | sort | xargs)
  [[ $said == "ExecMainStatus=${3-0} Result=${2-success}" ]] ||
    fail "$1: $said: $(journalctl -u "zam@$1.service" -o cat | tail -n 20)"
}
said() { journalctl -u "zam@$1.service" -o cat; }
users_of() { for job in "$@"; do systemctl show -p User --value "zam@$job.service"; done | sort -u; }
take() {
  fill tank/home/kid "$1"
  advance '2 sec'
  run snapshot-tank-home
}

say "a configuration that names no user leaves all jobs to root"
expect 0 zam reload
take 100K
equal "$(users_of snapshot-tank-home prune-tank-home)" root
equal "$(snapshots tank/home/kid | wc -l)" 1

say "zam setup gives them away, here and on the other machine; then nothing is missing"
chmod 640 /etc/zam/zam.yaml
expect 1 zam setup --check
has 'zam lacks snapshot,hold,bookmark,destroy on tank/home'
has 'all jobs run as root'
zam setup >/root/setup
expect 0 sh /root/setup
zam setup --on nas >/root/setup
expect 0 sh /root/setup
expect 0 zam reload
for words in 'setup' 'setup --on nas'; do
  expect 0 zam $words
  equal "$output" ''
  expect 0 zam $words --check
done
equal "$(stat -c '%a %G' /var/lib/zam/last-good.yaml)" '640 zam'

say "each permission that is taken away is the one that setup gives again"
receive=receive
! zfs allow backup/zam | grep -q receive:append || receive=receive:append
taken=0
for grant in zam:tank/home:snapshot,send,hold,bookmark,destroy zam-prune:tank/home:destroy,mount \
  zam:tank/alone:snapshot,send,hold,bookmark,destroy zam-prune:tank/alone:destroy,mount \
  zam:backup/zam:receive,create,mount,readonly,canmount,volmode zam-prune:backup/zam:destroy,mount; do
  IFS=: read -r user dataset permissions <<<"$grant"
  for permission in ${permissions//,/ }; do
    zfs unallow -u "$user" "${permission/receive/$receive}" "$dataset"
    expect 0 zam setup
    equal "$(grep -c '^# .* lacks ' <<<"$output")" 1
    has "^zfs allow (-[ld] )?-u $user ${permission/receive/receive:append} $dataset"
    sh -c "$output"
    taken=$((taken + 1))
  done
done
say "$taken permissions"
expect 0 zam setup --check

say "all jobs run, none as root"
run snapshot-tank-alone
advance '2 sec'
for dataset in tank/home tank/home/kid tank/alone; do zfs snapshot $dataset@zam_20261101T000000Z; done
take 200K
for job in replicate:local-tank-home replicate:nas-tank-home prune-tank-home prune:local-tank-home prune:nas-tank-home \
  snapshot-tank-alone replicate:local-tank-alone prune-tank-alone; do
  run $job
done
equal "$(users_of snapshot-tank-home snapshot-tank-alone replicate:local-tank-home replicate:local-tank-alone \
  replicate:nas-tank-home prune:nas-tank-home)" zam
equal "$(users_of prune-tank-home prune:local-tank-home prune-tank-alone)" zam-prune
equal "$(cat /root/hooked)" root # a hook is root's, and has the network
arrived backup/zam tank/home/kid
arrived backup/far tank/home/kid
arrived backup/zam tank/alone
equal "$(zfs get -Ho value readonly,canmount backup/zam/tank/home/kid | xargs)" 'on noauto'
for dataset in tank/home/kid tank/alone; do lacks "$(snapshots $dataset)" 20261101; done
lacks "$(zam status)" failed

say "a hook that fails keeps no other from thawing, and is told"
equal "$(cat /root/thawed)" root
rm /root/thawed
echo 3 >/root/code
advance '2 sec'
run snapshot-tank-alone exit-code
equal "$(cat /root/thawed)" root
noticed zam@snapshot-tank-alone.service
rm /root/code
advance '2 sec'
run snapshot-tank-alone
over zam@snapshot-tank-alone.service

say "without a permission a job fails and says so; its alert ends with its next success"
zfs unallow -u zam snapshot tank/home
advance '2 sec'
run snapshot-tank-home exit-code 1
contains "$(said snapshot-tank-home)" 'permission denied.*zam setup prints what is missing'
noticed zam@snapshot-tank-home.service
zam setup | sh
take 10K
over zam@snapshot-tank-home.service

say "what fits nothing any more is given up by the user who prunes"
base=$(snapshots backup/zam/tank/home/kid | tail -n 1)
take 4M
last=$(snapshots tank/home/kid | tail -n 1)
zfs send -i "@$base" "tank/home/kid@$last" | head -c 2000000 | zfs receive -s -u backup/zam/tank/home/kid 2>/dev/null || true
contains "$(zfs get -Hpo value receive_resume_token backup/zam/tank/home/kid)" '^1-'
zfs bookmark "tank/home/kid@$last" tank/home/kid#known
zfs destroy "tank/home/kid@$last"
take 100K
run replicate:local-tank-home success 75
contains "$(said replicate:local-tank-home)" 'its pruning gives that up: zam prune --to local'
expect 0 zam prune -n --to local tank/home
has 'backup/zam/tank/home/kid holds part of a stream that fits nothing any more: it would be given up'
contains "$(zfs get -Hpo value receive_resume_token backup/zam/tank/home/kid)" '^1-'
run prune:local-tank-home
run replicate:local-tank-home
arrived backup/zam tank/home/kid

say "the user who has the keys destroys nothing"
as() { setpriv --reuid="$1" --regid=zam --init-groups env PATH="$PATH" "${@:2}"; }
state() { zfs list -Hp -r -t filesystem,snapshot -o name,guid,readonly,mountpoint,compression tank backup && zfs allow tank/home/kid; }
kept=$(state)
tried=0
for at in tank/home/kid backup/zam/tank/home/kid; do
  newest=$at@$(snapshots $at | tail -n 1)
  oldest=$at@$(snapshots $at | head -n 1)
  for words in "destroy $newest" "destroy -r tank/home" "destroy $at" "destroy -r $at" "destroy -R $newest" "rollback -r $oldest" \
    "rename $newest ${newest}x" "rename $at ${at}x" "promote $at" "clone $newest tank/home/clone" "release x $newest" \
    "receive -A $at" "set mountpoint=/x $at" "inherit -r compression $at" "allow everyone destroy $at" "upgrade -V 4 $at" \
    "destroy tank/alone" "load-key $at" "destroy $at@%" "unallow everyone $at"; do
    as zam zfs $words >/dev/null 2>&1 </dev/null || true
    tried=$((tried + 1))
  done
done
if [[ $receive == receive:append ]]; then
  zfs send tank/alone@"$(snapshots tank/alone | tail -n 1)" | as zam zfs receive -F backup/zam/tank/home/kid 2>/dev/null || true
fi
equal "$(state)" "$kept"
say "$tried ways refused"

say "the user who destroys reaches no network, no key, and no file of others"
cat >/usr/local/bin/reach <<'EOF'
#!/bin/bash
for to in /dev/tcp/127.0.0.1/22 /dev/udp/127.0.0.1/53 /dev/tcp/::1/22 /dev/tcp/10.0.2.2/80; do
  (exec 3<>$to) 2>/dev/null && echo "reached $to"
done
ssh -o BatchMode=yes -o StrictHostKeyChecking=no far@localhost true 2>/dev/null && echo "reached by ssh"
ping -c 1 -W 1 127.0.0.1 >/dev/null 2>&1 && echo "reached by ping"
cat /etc/zam/keys/nas 2>/dev/null && echo "read a key"
for file in /etc/zam/zam.d/planted /usr/local/bin/planted /var/lib/zam/users/zam/done/planted /var/lib/zam/planted; do
  touch $file 2>/dev/null && echo "wrote $file"
done
echo "tried as $(id -un)"
EOF
chmod 755 /usr/local/bin/reach
contains "$(as zam /usr/local/bin/reach)" '^reached /dev/tcp/127.0.0.1/22' # outside of a job it can
override=/run/systemd/system/zam@prune-tank-home.service.d
mkdir -p $override
printf '[Service]\nExecStart=\nExecStart=/usr/local/bin/reach\n' >$override/99-reach.conf
systemctl daemon-reload
run prune-tank-home
contains "$(said prune-tank-home)" '^tried as zam-prune'
lacks "$(said prune-tank-home)" '^(reached|read a|wrote)'
rm -r $override
systemctl daemon-reload

say "a link that one user plants is not followed by the other"
echo precious >/root/precious
lock=/run/zam/prune-tank-home.lock
rm $lock
as zam ln -s /root/precious $lock
! as zam touch /var/lib/zam/users/zam-prune/done/prune-tank-home 2>/dev/null || fail "zam wrote another user's record"
run prune-tank-home exit-code 1
contains "$(said prune-tank-home)" 'cannot open the lock'
equal "$(cat /root/precious)" precious
rm $lock
run prune-tank-home

say "an account may also be one that had no shell, such as that of the other machine's own jobs"
sed -i 's/far@localhost/zam@localhost/' /etc/zam/zam.yaml
zam setup --on nas >/root/setup
expect 0 sh /root/setup
expect 0 zam setup --on nas --check
take 10K
run replicate:nas-tank-home
arrived backup/far tank/home/kid

say "what the one user has sent, the other keeps, though no bookmark says so any more"
for mark in $(zfs list -H -d 1 -t bookmark -o name tank/home/kid); do zfs destroy "$mark"; done
common=$(snapshots backup/far/tank/home/kid | tail -n 1)
expect 0 as zam-prune zam prune -n tank/home
has "keep +tank/home/kid@$common .*a destination may have it"
