# machines: debian12 (the rig and its words are the same for both)
# The rig itself: without this, no other scenario proves anything.
say "versions"
expect 0 zfs version
expect 0 systemctl --version
expect 0 uname -r

say "zam is installed as a user would"
expect 0 make -C /root/zam install NOBUILD=1 PREFIX=/usr
expect 0 zam --version
contains "$(journalctl --list-catalog)" ' zam: .* has failed$'

say "both pools are there and healthy"
expect 0 zpool list -H -o name,health
equal "$output" $'backup\tONLINE\ntank\tONLINE'
equal "$(systemctl is-system-running)" running

say "the clock follows the host, and moves"
(($(date +%Y) >= 2025)) || fail "the clock is off: $(date)"
clock '2026-11-23 10:00:00'
contains "$(date -u +%FT%T)" '^2026-11-23T10:0'
advance '10 hours'
contains "$(date -u +%FT%T)" '^2026-11-23T20:0'

say "a snapshot, its content, and a copy of it"
zfs create tank/a
fill tank/a 1M
zfs snapshot tank/a@zam_20261123T101000Z
zfs snapshot tank/a@by-hand
equal "$(snapshots tank/a)" zam_20261123T101000Z
before=$(content tank/a)
fill tank/a 100K
zfs send tank/a@zam_20261123T101000Z | zfs receive -u -o canmount=noauto backup/a
equal "$(guids backup/a)" "$(guids tank/a)"
equal "$(content tank/a@zam_20261123T101000Z)" "$before"
equal "$(content backup/a)" "$before"
[[ $(content tank/a) != "$before" ]] || fail "content sees no difference"

say "a failed expectation fails"
for wrong in 'expect 0 false' 'expect 1 true' 'expect 0' 'equal a b' 'contains abc d' 'lacks abc b' "lacks abc '('" 'arrived backup tank' 'PATIENCE=1 wait_for false' 'false | true'; do
  code=0
  out=$(bash -c ". /root/vm/lib.sh; $wrong; echo went on" 2>&1) || code=$?
  equal "$code" 1
  contains "$out" 'FAILED at'
  lacks "$out" 'went on'
done

say "what was synced survives a power cut, and the clock goes on"
echo synced >/tank/a/before-the-cut
echo 3600 >/sys/module/zfs/parameters/zfs_txg_timeout
zpool sync # and ends the wait that began with the old value
echo lost >/tank/a/unsynced
cut_power
fail "the power is still there"
#--- power cut
equal "$(cat /tank/a/before-the-cut)" synced
[[ ! -e /tank/a/unsynced ]] || fail "nothing was lost: that was no power cut"
contains "$(date -u +%FT%T)" '^2026-11-23T2[0-3]:'
equal "$(zpool list -Ho health)" $'ONLINE\nONLINE'
