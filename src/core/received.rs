//! What a replica must not take from a stream, which may come from a machine that somebody else has taken over.

/// Properties by which a hostile stream could do harm: choose where a replica is mounted at the next boot, share it, or
/// take the pool's room. zfs would warn each time of those that do not apply to a volume. What the first stream sets by
/// `receive -o` stays.
pub fn unwanted(is_volume: bool, is_first: bool) -> Vec<&'static str> {
    let mut unwanted = vec!["reservation", "refreservation"];
    if !is_volume {
        unwanted.extend(["mountpoint", "sharenfs", "sharesmb", "quota", "refquota"]);
    }
    if !is_first {
        unwanted.push(match is_volume {
            true => "volmode",
            false => "canmount",
        });
    }
    unwanted
}
