//! A record for tests.

use crate::verbs::check::record::Record;

/// Of a dataset with two replicas, of which one is stale and one cannot be reached.
pub(super) fn record() -> Record {
    let text = r#"{
    "time": "2027-01-15T08:00:00Z",
    "is_config_valid": true,
    "troubles": [
    {"gravity": "critical", "about": "tank/my \"data\" to nas", "kind": "stale", "why": "stale: old | new", "told": false},
    {"gravity": "warning", "about": "pool tank", "kind": "full", "why": "95 % full", "told": false}
    ],
    "datasets": [{
    "dataset": "tank/my \"data\"", "recursive": false, "snapshots": 12, "newest": "2027-01-15T07:00:00Z",
    "state": "ok", "why": null,
    "jobs": [{
        "unit": "zam@x.service", "next": null, "last": "2027-01-14T04:13:20Z", "result": "success",
        "verb": "replicate", "destination": "nas", "success": "2027-01-14T04:13:20Z", "seconds": 7,
        "bytes": 4096, "alert": null
    }],
    "destinations": [
        {"name": "nas", "replica": "b/x", "snapshots": 3, "newest": "2027-01-11T08:00:00Z",
         "lag_seconds": 342000, "alert_after_seconds": 259200, "state": "stale", "why": null},
        {"name": "usb", "replica": "u/x", "snapshots": null, "newest": null,
         "lag_seconds": null, "alert_after_seconds": null, "missing_since": "2027-01-03T18:13:20Z",
         "state": "unreachable", "why": "no pool"}
    ]
    }]
}"#;
    serde_json::from_str(text).expect("a record")
}
