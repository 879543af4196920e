//! The keys of each level of a configuration, in the order in which a message lists them.

/// At the top of a file.
pub const TOP: [&str; 11] = [
    "prefix",
    "user",
    "prune-user",
    "notify",
    "desktop",
    "metrics-file",
    "hosts",
    "defaults",
    "templates",
    "destinations",
    "datasets",
];
pub const HOST: [&str; 4] = ["ssh", "port", "identity", "options"];
/// Of an entry, a template, and `defaults`.
pub const SETTINGS: [&str; 8] = [
    "use",
    "snapshot-period",
    "prune-period",
    "windows",
    "destinations",
    "hooks",
    "recursive",
    "exclude",
];
/// Of a destination. An entry that uses one may override them, beside its `to`.
pub const DESTINATION: [&str; 12] = [
    "replication-period",
    "prune-period",
    "windows",
    "host",
    "idle",
    "root",
    "alert-after",
    "decrypt",
    "rate-limit",
    "compress",
    "stall-timeout",
    "parallel",
];
pub const WINDOW: [&str; 2] = ["max-age", "period"];
pub const HOOKS: [&str; 2] = ["before", "after"];
pub const IDLE: [&str; 6] = [
    "windows",
    "on-ac-power",
    "user-idle",
    "unmetered",
    "pool",
    "otherwise",
];
