//! Where a permission counts: on the dataset itself, on what is below it, or on both (zfs-allow(8), -l and -d). ZFS takes the
//! snapshots of a dataset for something below it when they are sent or destroyed (dsl_deleg_access() in its dsl_deleg.c), so
//! that nobody can be allowed to send the snapshots of one dataset alone, without those of its children.

use crate::core::name::Dataset;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reach {
    pub itself: bool,
    pub below: bool,
}

impl Reach {
    pub const NOWHERE: Reach = Reach::new(false, false);
    pub const ITSELF: Reach = Reach::new(true, false);
    pub const BELOW: Reach = Reach::new(false, true);
    pub const BOTH: Reach = Reach::new(true, true);

    const fn new(itself: bool, below: bool) -> Self {
        Reach { itself, below }
    }

    pub fn of_tree(is_recursive: bool) -> Self {
        Reach::new(true, is_recursive)
    }

    /// A heading of what `zfs allow` prints. Permission sets, and what is given to whoever creates a dataset, reach nothing.
    pub fn printed(scope: &str) -> Self {
        match scope {
            "Local" => Reach::ITSELF,
            "Descendent" => Reach::BELOW,
            "Local+Descendent" => Reach::BOTH,
            _ => Reach::NOWHERE,
        }
    }

    pub fn with(self, more: Reach) -> Self {
        Reach::new(self.itself || more.itself, self.below || more.below)
    }

    pub fn without(self, less: Reach) -> Self {
        Reach::new(self.itself && !less.itself, self.below && !less.below)
    }

    /// As `zfs allow` takes it, with a space after it.
    pub fn flag(self) -> &'static str {
        match (self.itself, self.below) {
            (true, false) => "-l ",
            (false, true) => "-d ",
            _ => "",
        }
    }

    /// In words.
    pub fn of(self, dataset: &Dataset) -> String {
        match (self.itself, self.below) {
            (false, true) => format!("the snapshots of {dataset} and, with them, on its children"),
            _ => dataset.to_string(),
        }
    }
}
