# machines: debian13 (the network and the pipe, neither of which is of ZFS)
# The network goes silent in the middle of a stream, pushed and pulled, or the receiver does: the run ends within
# stall-timeout, and the next resumes. Compressed on the way, too.
echo 1 >/sys/module/zfs/parameters/zfs_txg_timeout # so that a stream has soon left something to resume
install -d -m 700 /root/.ssh /run/sshd
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cat /root/.ssh/id_ed25519.pub >>/root/.ssh/authorized_keys
ip netns add far
ip link add near type veth peer name far netns far
ip addr add 10.99.0.1/24 dev near
ip link set near up
ip -n far addr add 10.99.0.2/24 dev far
ip -n far link set far up
ip netns exec far /usr/sbin/sshd -p 22 -o ListenAddress=10.99.0.2 -o UsePAM=no -o PidFile=/run/far.pid
wait_for meet 10.99.0.2
for dataset in tank/home tank/other backup/zam backup/pulled; do zfs create "$dataset"; done
cat >/etc/zam/zam.yaml <<EOF
hosts:
  far: {ssh: root@10.99.0.2}
destinations:
  away: {host: far, root: backup/zam, compress: zstd, rate-limit: 1MiB/s, stall-timeout: 10s}
  here: {root: backup/pulled, compress: zstd, rate-limit: 1MiB/s, stall-timeout: 10s}
datasets:
  tank/home: {snapshot-period: 1h, destinations: [away]}
  "far:tank/other": {destinations: [here]}
EOF
# silence ENTRY REPLICA: its replication, with the network cut in the first seconds of a stream of 24: what is in pipes and
# sockets by then, which may be 6 MiB, still arrives.
silence() {
  local run begun code=0
  zam replicate "$1" >/root/run.log 2>&1 &
  run=$!
  wait_for streaming "$2"
  ip -n far link set far down
  begun=$(uptime_seconds)
  wait "$run" || code=$?
  cat /root/run.log
  equal "$code" 75
  grep -q 'no byte moved for 10 s (stall-timeout)' /root/run.log
  echo "it ended $(($(uptime_seconds) - begun)) s later"
  # Before ssh itself would give up, after a minute.
  (($(uptime_seconds) - begun <= 50)) || fail "too late"
  equal "$(pgrep -f '^ssh .*10.99.0.2' || true)" ''
  ip -n far link set far up
  # The kernel says "No route to host" until it has found the neighbour again.
  wait_for meet 10.99.0.2
  wait_for bash -c '! pgrep -f "^zfs (send|receive)"'
}
for entry in tank/home far:tank/other; do
  dataset=${entry#far:}
  replica=backup/zam/tank/home
  [[ $entry == tank/home ]] || replica=backup/pulled/tank/other
  say "$entry"
  fill "$dataset" 24M
  zfs snapshot "$dataset@zam_20261101T000000Z"
  silence "$entry" "$replica"
  contains "$(zfs get -Hpo value receive_resume_token "$replica")" '^1-'
  sed -i 's/rate-limit: 1MiB/rate-limit: 1GiB/' /etc/zam/zam.yaml
  expect 0 zam replicate "$entry"
  sed -i 's/rate-limit: 1GiB/rate-limit: 1MiB/' /etc/zam/zam.yaml
  equal "$(guids "$replica")" "$(guids "$dataset")"
  equal "$(content "$replica")" "$(content "$dataset@zam_20261101T000000Z")"
done

say "a receiver that takes nothing: the last byte is on its way, and yet the run ends, by stall-timeout and by SIGTERM"
printf '#!/bin/bash\n[[ $1 != receive ]] || exec sleep 600\nexec /usr/sbin/zfs "$@"\n' >/usr/local/sbin/zfs
chmod +x /usr/local/sbin/zfs
fill tank/home 100K
zfs snapshot tank/home@zam_20261101T120000Z
for how in stall signal; do
  code=0
  zam replicate tank/home >/root/run.log 2>&1 &
  run=$!
  wait_for pgrep -f '^sleep 600'
  begun=$(uptime_seconds)
  [[ $how == stall ]] || kill "$run"
  wait "$run" || code=$?
  cat /root/run.log
  equal "$code" 75
  (($(uptime_seconds) - begun <= 35)) || fail "$how: $(($(uptime_seconds) - begun)) s"
  pkill -f '^sleep 600' || true
done
rm /usr/local/sbin/zfs
expect 0 zam replicate tank/home
equal "$(guids backup/zam/tank/home)" "$(guids tank/home)"

say "what is compressible is compressed: 8 MiB of text at 1 MiB/s in less than 8 s"
zfs set compression=off tank/home
head -c 8388608 < <(yes 'a line of text that says the same again and again') >/tank/home/text
zfs snapshot tank/home@zam_20261102T000000Z
expect 0 zam replicate tank/home
has '1 snapshot, [0-9.]+ KiB'
equal "$(content backup/zam/tank/home)" "$(content tank/home@zam_20261102T000000Z)"

say "no zstd there: said, and nothing lost"
mv /usr/bin/zstd /usr/bin/zstd.away
zfs snapshot tank/home@zam_20261103T000000Z
expect 1 zam replicate tank/home
has 'zstd'
mv /usr/bin/zstd.away /usr/bin/zstd
expect 0 zam replicate tank/home
kill "$(cat /run/far.pid)"
