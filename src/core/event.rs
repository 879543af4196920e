//! The kinds of events in the journal, by their MESSAGE_ID (systemd.journal-fields(7)). units/zam.catalog says of each what
//! to do, which `journalctl -x` shows.

/// Snapshots were taken.
pub const TAKEN: &str = "0c4a3f4b3f5c4d1f8f0d6f3a51b6a001";
/// Snapshots have arrived at a destination.
pub const ARRIVED: &str = "7d7b6ac1f0f94a0f8a8f3c4a61d7a003";
/// Snapshots of a dataset were destroyed, because no window keeps them.
pub const PRUNED: &str = "fdedc195e6ed4645b36ecabce88cc31c";
/// Another machine asked for something that its key may not do.
pub const REFUSED: &str = "7d7b6ac1f0f94a0f8a8f3c4a61d7a004";
/// A job has failed.
pub const FAILED: &str = "faa23f558e6243638c0e4556713f10a9";
/// A job that had failed works again, or is gone.
pub const RECOVERED: &str = "b3238a035e0e45d2869dc08f3d73809d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_entry_in_the_catalog() {
        let catalog = include_str!("../../units/zam.catalog");
        let heads = catalog.lines().filter_map(|line| line.strip_prefix("-- "));
        let told: Vec<&str> = heads.collect();
        assert_eq!(told, [TAKEN, ARRIVED, PRUNED, REFUSED, FAILED, RECOVERED]);
    }
}
