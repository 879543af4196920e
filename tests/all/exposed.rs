//! What is gone from a configuration and kept datasets from being pruned: pruning waits for a person, and for nothing else.

use zam::core::config::Config;
use zam::core::exposed::exposed;
use zam::core::fault::Source;
use zam::core::load::load;

const AROUND: &str = "
hosts: {nas: {ssh: zam@nas}}
destinations: {here: {root: backup, prune-period: 1d, windows: [{max-age: 1d, period: 1h}]}}
templates: {short: {recursive: true, windows: [{max-age: 1d, period: 1h}]}, sent: {destinations: [here]}, kept: {windows: ~}}
";

fn config(text: String) -> Config {
    let path = "zam.yaml".into();
    let (config, faults) = load(&[Source { path, text }]).expect("it parses");
    assert!(faults.is_empty(), "{faults:?}");
    config
}

fn said(before: &Config, now: &Config) -> Vec<String> {
    let losses = exposed(before, now);
    losses.iter().map(ToString::to_string).collect()
}

fn entries(text: &str) -> Config {
    config(format!("{AROUND}datasets: {{{text}}}"))
}

#[test]
fn pruning_waits_where_something_is_gone() {
    for (before, after, expected) in [
        (
            "tank: {use: short}, tank/a: {snapshot-period: 1h}",
            "tank: {use: short}",
            "tank/a had an entry of its own and has none now, so that tank would prune it: exclude it there",
        ),
        (
            "tank: {use: short}, tank/a: {recursive: true}",
            "tank: {use: short}, tank/a: {}",
            "tank/a was recursive and is not now, so that tank would prune what is below it: exclude tank/a there",
        ),
        (
            "tank: {use: short, exclude: [tank/a, tank/b]}",
            "tank: {use: short, exclude: [tank/b]}",
            "tank excludes tank/a no more, so that what this names would be pruned: put it back",
        ),
        (
            "tank: {use: short, exclude: ['tank/*/old']}",
            "tank: {use: short}",
            "tank excludes tank/*/old no more, so that what this names would be pruned: put it back",
        ),
        (
            "tank: {use: short, exclude: ['/old$/']}",
            "tank: {use: short, exclude: ['/older$/']}",
            "tank excludes /old$/ no more, so that what this names would be pruned: put it back",
        ),
        // Its children go to the entry above.
        (
            "tank: {use: short, exclude: [tank/a]}, tank/a: {}",
            "tank: {use: short}, tank/a: {}",
            "tank excludes tank/a no more, so that what this names would be pruned: put it back",
        ),
        (
            "tank: {use: short, windows: ~}",
            "tank: {use: short}",
            "a `windows` that tank went by is gone, so that more would be pruned by what stands elsewhere: put it back",
        ),
        (
            "tank: {use: short, windows: [{period: 1h}]}",
            "tank: {use: short}",
            "a `windows` that tank went by is gone, so that more would be pruned by what stands elsewhere: put it back",
        ),
        (
            "tank: {use: [short, kept]}",
            "tank: {use: short}",
            "a `windows` that tank went by is gone, so that more would be pruned by what stands elsewhere: put it back",
        ),
        (
            "tank: {use: short, recursive: false}",
            "tank: {use: short}",
            "a `recursive` that tank went by is gone, so that more would be pruned by what stands elsewhere: put it back",
        ),
        (
            "tank: {destinations: [{to: here, windows: ~}]}",
            "tank: {destinations: [here]}",
            "a `windows` that tank to here went by is gone, so that more would be pruned by what stands elsewhere: put it back",
        ),
        (
            "tank: {destinations: [{to: here, prune-period: ~}]}",
            "tank: {destinations: [{to: here, parallel: 2}]}",
            "a `prune-period` that tank to here went by is gone, so that more would be pruned by what stands elsewhere: put it back",
        ),
        (
            "tank: {destinations: [{to: here, root: backup/apart}]}",
            "tank: {destinations: [here]}",
            "a `root` that tank to here went by is gone, so that more would be pruned by what stands elsewhere: put it back",
        ),
        (
            "tank: {use: sent, destinations: ~}",
            "tank: {use: sent}",
            "a `destinations` that tank went by is gone, so that more would be pruned by what stands elsewhere: put it back",
        ),
        (
            "'nas:tank': {recursive: true, destinations: [here]}, 'nas:tank/a': {destinations: [{to: here, windows: ~}]}",
            "'nas:tank': {recursive: true, destinations: [here]}",
            "nas:tank/a had an entry of its own and has none now, so that nas:tank would prune it: exclude it there",
        ),
        (
            "'nas:tank': {recursive: true, exclude: [tank/a], destinations: [here]}",
            "'nas:tank': {recursive: true, destinations: [here]}",
            "nas:tank excludes tank/a no more, so that what this names would be pruned: put it back",
        ),
    ] {
        let reasons = said(&entries(before), &entries(after));
        assert_eq!(reasons, [expected], "{before} {after}");
    }
}

#[test]
fn what_somebody_writes_anew_waits_for_nobody() {
    for (before, after) in [
        ("tank: {}", "tank: {use: short}"),
        (
            "tank: {use: short}",
            "tank: {use: short}, tank/a: {use: short}",
        ),
        (
            "tank: {use: short}, tank/a: {}",
            "tank: {use: short, exclude: [tank/a]}",
        ),
        ("tank: {use: short}, tank/a: {}", "tank: {recursive: true}"),
        ("tank: {use: short}, tank/a: {}", "tank/a: {use: short}"),
        (
            "tank: {use: short}, tank/a: {}",
            "tank: {use: short}, tank/a: {recursive: true}",
        ),
        (
            "tank: {use: short}, tank/a: {recursive: true}",
            "tank: {use: short, exclude: [tank/a]}, tank/a: {}",
        ),
        (
            "tank: {use: short, exclude: [tank/a]}",
            "tank: {use: short, exclude: ['tank/a*']}",
        ),
        (
            "tank: {use: short, exclude: [tank/a]}",
            "tank: {recursive: true}",
        ),
        (
            "tank: {use: short, exclude: [tank/a]}",
            "tank: {use: short}, tank/a: {use: short}",
        ),
        ("tank: {use: short}", "tank: {use: short, recursive: false}"),
        ("tank: {use: kept}", "tank: {use: short}"),
        // It kept nothing: another entry has it, before and after.
        (
            "tank: {use: short, exclude: [tank/a/x]}, tank/a: {use: short}",
            "tank: {use: short}, tank/a: {use: short}",
        ),
        // The same, said elsewhere.
        (
            "tank: {use: short, windows: [{max-age: 1d, period: 1h}]}",
            "tank: {use: short}",
        ),
        (
            "tank: {destinations: [{to: here, prune-period: 1h}]}",
            "tank: {destinations: [here]}",
        ),
        (
            "tank: {use: short, windows: {period: 1h, max-age: 24h}}",
            "tank: {use: short}",
        ),
        (
            "tank: {use: short, windows: [{period: 1h}]}",
            "tank: {use: short, windows: [{max-age: 1h, period: 10min}]}",
        ),
    ] {
        let reasons = said(&entries(before), &entries(after));
        assert!(reasons.is_empty(), "{before} {after}: {reasons:?}");
    }
}

#[test]
fn everything_that_is_gone_is_named() {
    let before = entries("tank: {use: short, exclude: [tank/a]}, tank/b: {}, tank/c: {}");
    let reasons = said(&before, &entries("tank: {use: short}"));
    assert_eq!(reasons.len(), 3, "{reasons:?}");
}

/// Its replica stays where it is, and is then another entry's.
#[test]
fn a_host_that_is_called_otherwise_is_still_the_one_in_its_place() {
    let keeps = "{destinations: [{to: here, windows: ~}]}";
    let whole = "{recursive: true, destinations: [here]}";
    let before = entries(&format!("'nas:tank': {whole}, 'nas:tank/a': {keeps}"));
    for left in ["", ", 'nas:tank/a': {snapshot-period: 1h}"] {
        let text = format!("{AROUND}datasets: {{'box:tank': {whole}{left}}}");
        let after = config(text.replace("{nas: {ssh", "{box: {ssh"));
        let reasons = said(&before, &after);
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(
            reasons[0].starts_with(
                "nas:tank/a had an entry of its own and has none now, so that box:tank"
            ),
            "{reasons:?}"
        );
    }
    let after = entries(&format!("'nas:tank': {whole}"));
    let moved = AROUND.replace("zam@nas", "zam@elsewhere");
    let before = config(format!(
        "{moved}datasets: {{'nas:tank': {whole}, 'nas:tank/a': {keeps}}}"
    ));
    assert_eq!(exposed(&before, &after).len(), 1, "at another address");
}

/// Under another prefix other snapshots are ours.
#[test]
fn pruning_waits_where_the_prefix_is_another() {
    let before = config(format!(
        "prefix: old\n{AROUND}datasets: {{tank: {{use: short}}}}"
    ));
    assert_eq!(
        said(&before, &entries("tank: {use: short}")),
        ["the prefix was old and is zam now, so that other snapshots would be pruned: put it back"]
    );
    assert!(exposed(&before, &entries("tank: {}")).is_empty());
}

/// `defaults` hold for what used a template, and for what an exclude of theirs had no meaning for.
#[test]
fn what_is_left_to_the_defaults_counts() {
    let with = |defaults: &str, datasets: &str| {
        config(format!(
            "{AROUND}defaults: {{{defaults}}}\ndatasets: {{{datasets}}}"
        ))
    };
    let daily = "windows: [{max-age: 1d, period: 1h}]";
    let before = with(daily, "tank: {use: kept, recursive: true}");
    assert_eq!(
        said(&before, &with(daily, "tank: {recursive: true}")),
        [
            "a `windows` that tank went by is gone, so that more would be pruned by what stands elsewhere: put it back"
        ]
    );
    let tree = "tank: {use: short, exclude: [tank/b]}, tank/a: {snapshot-period: 1h}";
    let before = with("exclude: [tank/a]", tree);
    assert_eq!(said(&before, &entries(tree)), [""; 0]);
}

/// The same line may stand in a template, in one that another uses, or in `defaults`.
#[test]
fn a_line_is_missed_wherever_it_stood() {
    let short = "short: {recursive: true, windows: [{max-age: 1d, period: 1h}]}";
    for (others, entry) in [
        ("templates: {SHORT, t: {use: short, LINE}}", "{use: t}"),
        (
            "templates: {SHORT, t: {LINE}, u: {use: [short, t]}}",
            "{use: u}",
        ),
        (
            "templates: {SHORT, t: {use: short, LINE}, u: {use: t}}",
            "{use: u}",
        ),
        ("templates: {SHORT}, defaults: {use: short, LINE}", "{}"),
        (
            "templates: {SHORT, t: {LINE}}, defaults: {use: short}",
            "{use: t}",
        ),
    ] {
        let with = |line: &str| {
            let others = others.replace("SHORT", short).replace("LINE", line);
            config(format!("{{{others}, datasets: {{tank: {entry}}}}}"))
        };
        assert_eq!(
            said(&with("windows: ~"), &with("snapshot-period: 1h")),
            [
                "a `windows` that tank went by is gone, so that more would be pruned by what stands elsewhere: put it back"
            ],
            "{others}"
        );
    }
}

/// Without the host in its definition a destination's root is one of this machine.
#[test]
fn a_destination_that_lost_its_host_is_elsewhere() {
    let with = |host: &str| {
        config(format!(
            "hosts: {{nas: {{ssh: zam@nas}}}}
destinations: {{there: {{{host} root: backup, prune-period: 1d, windows: [{{max-age: 1d, period: 1h}}]}}}}
datasets: {{tank: {{destinations: [there]}}}}"
        ))
    };
    assert_eq!(
        said(&with("host: nas,"), &with("")),
        [
            "a `host` that tank to there went by is gone, so that more would be pruned by what stands elsewhere: put it back"
        ]
    );
}

const SHORT: &str = "windows: [{max-age: 1d, period: 1h}]";
const LONG: &str = "windows: [{max-age: 1w, period: 1h}]";

fn pair(before: &str, after: &str) -> Vec<String> {
    let read = |text: &str| config(text.replace("SHORT", SHORT).replace("LONG", LONG));
    said(&read(before), &read(after))
}

/// Something new below it does not make up for a line that is gone.
#[test]
fn what_is_new_elsewhere_hides_no_loss() {
    let here = "destinations: {here: {root: b, prune-period: 1d";
    for (before, after) in [
        (
            "{templates: {t: {SHORT}}, datasets: {tank: {use: t, windows: ~}}}".to_owned(),
            "{defaults: {LONG}, templates: {t: {SHORT}}, datasets: {tank: {use: t}}}".to_owned(),
        ),
        (
            "{datasets: {tank: {snapshot-period: 1h, windows: [{period: 1h}]}}}".into(),
            "{defaults: {SHORT}, datasets: {tank: {snapshot-period: 1h}}}".into(),
        ),
        (
            "{templates: {t: {recursive: true, SHORT}}, datasets: {tank: {use: t, recursive: false}}}".into(),
            "{defaults: {recursive: true}, templates: {t: {recursive: true, SHORT}}, datasets: {tank: {use: t}}}".into(),
        ),
        (
            "{templates: {short: {SHORT}, kept: {windows: ~}}, datasets: {tank: {use: kept}}}".into(),
            "{defaults: {use: short}, templates: {short: {SHORT}, kept: {windows: ~}}, datasets: {tank: {snapshot-period: 1h}}}".into(),
        ),
        (
            format!("{{{here}}}}}, datasets: {{tank: {{destinations: [{{to: here, windows: [{{period: 1d}}]}}]}}}}}}"),
            format!("{{{here}, LONG}}}}, datasets: {{tank: {{destinations: [here]}}}}}}"),
        ),
    ] {
        assert_eq!(pair(&before, &after).len(), 1, "{before} {after}");
    }
}

#[test]
fn another_template_and_a_tidied_file_wait_for_nobody() {
    let templates =
        "templates: {base: {LONG}, server: {use: base, windows: [{period: 1h}]}, laptop: {SHORT}}";
    for (before, after) in [
        (
            format!("{{{templates}, datasets: {{tank: {{use: server}}}}}}"),
            format!("{{{templates}, datasets: {{tank: {{use: laptop}}}}}}"),
        ),
        (
            format!("{{{templates}, datasets: {{tank: {{use: [base, server]}}}}}}"),
            format!("{{{templates}, datasets: {{tank: {{use: laptop}}}}}}"),
        ),
        (
            "{defaults: {windows: [{period: 1h}]}, datasets: {tank: {LONG}}}".into(),
            "{datasets: {tank: {SHORT}}}".into(),
        ),
        (
            "{templates: {a: {LONG}}, datasets: {tank: {use: a}}}".into(),
            "{templates: {b: {LONG}}, datasets: {tank: {use: b}}}".into(),
        ),
        (
            "{datasets: {tank: {LONG}}}".into(),
            "{templates: {b: {LONG}}, datasets: {tank: {use: b}}}".into(),
        ),
    ] {
        assert_eq!(pair(&before, &after), [""; 0], "{before} {after}");
    }
}
