# machines: debian12 (timers, windows and retention together, with the older systemd; main.sh has the newer)
# A week by the clock, every job started by its timer; the destination is away for three days of it.
clock '2026-11-02 00:00:30'
zfs create tank/home
zfs create tank/home/kid
zfs create backup/zam
config <<EOF
destinations:
  local: {root: backup/zam, replication-period: 12h, prune-period: 1d, windows: [{max-age: 2d, period: 12h}, {period: 1d}]}
datasets:
  tank/home:
    {recursive: true, snapshot-period: 12h, prune-period: 1d, windows: [{max-age: 1d, period: 12h}], destinations: [local]}
EOF
alert=/var/lib/zam/alerts/replicate:local-tank-home.json
# By the minute: a job starts a second or two after its slot.
held() { owned "$1" creation | while read -r time; do date -u -d "@$((time / 60 * 60))" +%FT%TZ; done; }
foretold() {
  zam simulate --json --from 2026-11-02T00:00:30Z --for 2d tank/home | jq -r ".[0].sides[] | select(.destination == $1).holds[]"
}
alerts=0
for ((time = $(date -ud '2026-11-02 12:00' +%s); time <= $(date -ud '2026-11-08 12:00' +%s); time += 12 * 3600)); do
  slot=$(date -ud "@$time" +%Y%m%dT%H%M)
  [[ $slot != 20261104T12* ]] || {
    say "after two days both sides hold what zam simulate foretold"
    expect 0 zam prune tank/home
    expect 0 zam prune --to local tank/home
    for dataset in tank/home tank/home/kid; do
      equal "$(held $dataset)" "$(foretold null)"
      equal "$(held backup/zam/$dataset)" "$(foretold '"local"')"
    done
    held backup/zam/tank/home | xargs
    say "away"
    zpool export backup
  }
  [[ $slot != 20261107T12* ]] || { say "back"; zpool import -N backup; }
  fill tank/home/kid 20K
  clock "@$((time - 2))"
  wait_for has_snapshot tank/home/kid "$slot"
  sleep 1
  wait_for idle
  [[ ! -s $alert ]] || alerts=$((alerts + 1))
done

say "while it was away, each run failed and said so; now nothing is left of that"
equal "$alerts" 6
test ! -e "$alert"
equal "$(systemctl list-units --failed --no-legend 'zam*')" ''

say "what each side holds is what the windows promise"
slots() { snapshots "$1" | sed -E 's/zam_202611(..)T(..)00..Z/\1-\2/' | xargs; }
expect 0 systemctl start zam@prune-tank-home.service
contains "$(journalctl -q -o cat -t zam -n 1 -u zam@prune-tank-home.service)" 'not now: it is not due: done 1[123]h ago, and wanted every 1d'
expect 0 zam prune tank/home
expect 0 zam prune --to local tank/home
for dataset in tank/home tank/home/kid; do
  # A day back from the newest, and the bucket that ends after that.
  equal "$(slots $dataset)" '07-12 08-00 08-12'
  # Two days of every 12 hours, and the first of each day; of the days away there came what the source still had.
  equal "$(slots backup/zam/$dataset)" '02-12 03-00 04-00 06-00 06-12 07-00 07-12 08-00 08-12'
  equal "$(comm -23 <(guids $dataset | sort) <(guids backup/zam/$dataset | sort))" ''
  equal "$(zfs list -H -t bookmark -o name $dataset | wc -l)" 1
done
equal "$(content backup/zam/tank/home/kid)" "$(content tank/home/kid@"$(snapshots tank/home/kid | tail -n 1)")"
