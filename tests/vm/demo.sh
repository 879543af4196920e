# timeout: 600
# What `make demo` shows, in the guest.
export PAGER=cat SYSTEMD_PAGER=cat SYSTEMD_COLORS=0
title() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() { printf '\033[1m$ %s\033[0m\n' "$1"; eval "$1"; }
waited() { while systemctl is-active --quiet "$1" || [[ $(systemctl is-active "$1") == activating ]]; do sleep 0.3; done; }

clock '2026-11-23 09:58:00'
for dataset in tank/home tank/home/ann tank/home/ann/cache tank/vm backup/zam; do zfs create "$dataset"; done
fill tank/home/ann 5M
fill tank/vm 3M

title "A person writes /etc/zam/zam.yaml"
cat >/etc/zam/zam.yaml <<'EOF'
templates:
  often:
    snapshot-period: 10min
    windows: [{max-age: 30min, period: 10min}, {max-age: 1w, period: 1h}]
    destinations: [local]
destinations:
  local: {root: backup/zam, replication-period: 1h, prune-period: 1d, windows: [{max-age: 6w, period: 1h}, {period: 1mo}]}
datasets:
  tank/home: {use: often, recursive: true, exclude: ["tank/home/*/cache"]}
  tank/vm: {use: often, snapshot-period: 1h}
EOF
show "cat /etc/zam/zam.yaml"
show "zam reload"

title "Every job is a timer and a service of its own"
show "systemctl list-timers 'zam-*'"

title "An hour passes (the machine's clock is set on); the timers fire"
for time in 10:00 10:10 10:20 10:30 10:40 10:50 11:00; do
  clock "@$(($(date -u -d "2026-11-23 $time" +%s) - 1))"
  wait_for bash -c "zfs list -H -t snapshot -o name tank/home | grep -q T${time/:/}"
  echo "$time: $(zfs list -H -t snapshot -o name -r tank | wc -l) snapshots in tank"
done
sleep 3
for job in replicate:local-tank-home replicate:local-tank-vm prune-tank-home prune-tank-vm; do waited "zam@$job.service"; done

title "A snapshot, a replication and a pruning, run by their units"
show "systemctl start zam@snapshot-tank-home.service"
show "zam replicate --dry-run tank/home"
show "systemctl start zam@replicate:local-tank-home.service"
waited zam@replicate:local-tank-home.service
show "zam prune --dry-run tank/home/ann"
show "systemctl start zam@prune-tank-home.service"

title "What is on both pools now"
show "zfs list -r -t all -o name,used,creation tank/home tank/vm"
show "zfs list -r -t all -o name,used,readonly,mounted backup/zam"

title "The journal"
show "journalctl -o short -u 'zam@*' -n 40"
title "Nothing failed"
show "systemctl list-units --failed 'zam*'"
