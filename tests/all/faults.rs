//! What a fault stops: pruning waits wherever it could have meant another policy (invariant 10), whatever the files are;
//! and reading takes time and memory by the size of the configuration alone (invariant 9).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::{TempDir, tempdir};
use zam::core::fault::{Fault, Source, render};
use zam::core::load::load;
use zam::core::name::Dataset;
use zam::core::selection::governing;
use zam::edge::configuration::{Loaded, read};
use zam::edge::last_good;

/// Everything that is in force below says so.
const SHORT: &str =
    "  tank: {recursive: true, snapshot-period: 1h, windows: [{max-age: 1d, period: 1h}]}\n";

fn sources(text: &str) -> Vec<Source> {
    vec![Source {
        path: "zam.yaml".into(),
        text: text.into(),
    }]
}

fn faults(text: &str) -> Vec<Fault> {
    load(&sources(text)).map_or_else(|fault| vec![fault], |(_, faults)| faults)
}

fn waits(text: &str) -> Option<String> {
    load(&sources(text)).map_or_else(
        |fault| Some(fault.message),
        |(config, _)| config.pruning_waits,
    )
}

/// A configuration in a directory of its own.
fn written(text: &str) -> (TempDir, PathBuf) {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("zam.yaml");
    fs::create_dir(directory.path().join("zam.d")).expect("zam.d");
    fs::write(&path, text).expect("writing");
    (directory, path)
}

fn loaded(path: &Path) -> Loaded {
    read(path).expect("readable").expect("a configuration")
}

#[test]
fn pruning_waits_for_a_fault_that_could_have_meant_another_policy() {
    for slip in [
        "defaults: {exclude: [tank/archive], exclude: [tank/scratch]}\n",
        "default: {exclude: [tank/archive]}\n",
        "defaults:\n  - exclude: [tank/archive]\n",
        "defaults: {exlude: [tank/archive]}\n",
        "tank/vm: {windows: [{max-age: 1y, period: 1d}]}\n",
        "prefx: nas\n",
        "templates: {tank/vm: {snapshot-period: 1h}}\n",
        "templates: {long: {use: gone}}\n",
        "destinations: {tank/vm: {snapshot-period: 1h}}\n",
        "hosts: {laptop: {}}\n",
    ] {
        assert!(
            waits(&format!("{slip}datasets:\n{SHORT}")).is_some(),
            "{slip}"
        );
    }
    for entry in [
        "/tank/vm: {}",
        "tank//vm: {}",
        "./tank/vm: {}",
        "tank/vm@: {}",
        "tank/vm/*: {}",
        "exclude: [tank/archive]",
        "exclude:",
        "defaults: {windows: [{period: 1d}]}",
        "prefix: nas",
        "data: {tank/vm: {windows: [{period: 1d}]}}",
        "data: {tank/vm: }",
        "data: [tank/vm: {windows: [{period: 1d}]}]",
        "data: {defaults: {exclude: [tank/archive]}}",
        // It may be what another entry excludes, or the settings of one whose first line is gone.
        "tank/vm: {exclude: [tank/archive]}",
        "tank/vm: {exlude: [tank/vm/x, tank/archive]}",
        "tank/vm: {hooks: {before: x, exclude: [/archive$/]}}",
        "tank/vm: [tank/archive, tank/home]",
        "tank/vm: tank/archive",
        "tank/vm: {windows: [{period: 1d}], windows: [{period: 1w}]}",
        "tank/vm: {destinations: [{to: a, windows: [{period: 1d}], windows: [{period: 1w}]}]}",
    ] {
        assert!(
            waits(&format!("datasets:\n{SHORT}  {entry}\n")).is_some(),
            "{entry}"
        );
    }
}

#[test]
fn a_fault_inside_one_entry_stops_that_alone() {
    for entry in [
        "tank/vm: {recursive: maybe}",
        "tank/vm: {windws: [{period: 1d}]}",
        "tank/vm: {windows: [daily]}",
        "tank/vm: {use: gone}",
        "tank/vm: hourly",
        "tank/vm: {exclude: [tank/vm/x]}",
        "tank/vm: {recursive: maybe, hooks: {before: /usr/bin/true tank/vm}, destinations: [{to: a, root: backup/vm, rate-limit: 1MiB/s}]}",
    ] {
        let text = format!("datasets:\n{SHORT}  {entry}\n");
        let (config, faults) = load(&sources(&text)).expect("a configuration");
        assert_eq!(
            (config.pruning_waits, config.entries.len()),
            (None, 1),
            "{entry}"
        );
        assert!(
            !faults.is_empty() && config.dropped.contains("tank/vm"),
            "{entry}"
        );
    }
}

#[test]
fn a_value_that_is_gone_stops_the_pruning_that_it_may_have_kept_from() {
    let tank = "tank: {recursive: true, windows: [{max-age: 1d, period: 1h}]}";
    for (text, is_wide) in [
        (
            "datasets:\n  tank:\n    recursive: true\n    exclude:\n",
            false,
        ),
        ("datasets:\n  tank/vm:\n  TANK\n", false),
        ("datasets:\n  tank/vm: ~\n  TANK\n", false),
        (
            "datasets:\n  tank/vm: {windows: [{period: 1h}], recursive: }\n  TANK\n",
            false,
        ),
        (
            "templates: {a: {exclude: [tank/vm]}}\ndatasets:\n  tank: {use: , recursive: true}\n",
            false,
        ),
        (
            "templates:\n  a:\ndatasets: {tank: {use: a, recursive: true}}\n",
            true,
        ),
        ("defaults:\ndatasets:\n  TANK\n", true),
        ("hosts:\ndatasets:\n  TANK\n", true),
    ] {
        let text = text.replace("TANK", tank);
        let (config, faults) = load(&sources(&text)).expect("a configuration");
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert_eq!(config.pruning_waits.is_some(), is_wide, "{text}");
        let vm: Dataset = "tank/vm/disk".parse().expect("a name");
        assert!(is_wide || governing(&config, None, &vm).is_none(), "{text}");
    }
    let sound = format!(
        "defaults: {{snapshot-period: 1h}}\ndatasets:\n  tank/vm:\n  tank/x: {{}}\n  {tank}\n"
    );
    let (config, faults) = load(&sources(&sound)).expect("a configuration");
    assert_eq!((config.entries.len(), faults.len()), (3, 0), "{faults:?}");
}

#[test]
fn the_dataset_that_a_malformed_key_may_mean_goes_to_no_shorter_entry() {
    for key in [
        "/tank/vm",
        "tank//vm",
        "./tank/vm",
        "tank/vm/",
        "tank/vm@x",
        "tank/vm/*",
        "tank/ vm",
    ] {
        let text = format!("datasets:\n{SHORT}  \"{key}\": {{}}\n");
        let (config, _) = load(&sources(&text)).expect("a configuration");
        assert!(
            config.dropped.contains("tank/vm"),
            "{key}: {:?}",
            config.dropped
        );
    }
}

#[test]
fn a_nul_reaches_no_program() {
    let hook = r#"datasets: {tank: {snapshot-period: 1h, hooks: {before: "a\0b"}}}"#;
    assert!(
        faults(hook)
            .iter()
            .any(|fault| fault.message.contains("NUL")),
        "{:?}",
        faults(hook)
    );
}

#[test]
fn a_host_at_fault_or_almost_named_makes_no_dataset_of_this_machine() {
    let hosts = "hosts:\n  laptop: {ssh: zam@laptop}\n";
    for text in [
        format!(
            "{hosts}  laptop: {{ssh: zam@other}}\ndatasets:\n{SHORT}  laptop:tank/x: {{snapshot-period: 1h}}\n"
        ),
        format!("{hosts}datasets:\n{SHORT}  lapto:tank/x: {{snapshot-period: 1h}}\n"),
    ] {
        let (config, _) = load(&sources(&text)).expect("a configuration");
        assert_eq!(config.entries.len(), 1, "{text}");
        assert!(config.pruning_waits.is_some(), "{text}");
    }
    let (config, faults) = load(&sources(&format!(
        "datasets:\n{SHORT}  a:b/c: {{snapshot-period: 1h}}\n"
    )))
    .expect("legal");
    assert_eq!(
        (config.entries.len(), faults.len()),
        (2, 0),
        "a pool may be called a:b"
    );
}

#[test]
fn a_name_that_stands_twice_is_doubled_in_its_section_alone() {
    let text = format!(
        "defaults: {{exclude: [tank/x]}}\ntemplates:\n  exclude: {{}}\n  exclude: {{}}\n  tank: {{}}\n  tank: {{}}\ndatasets:\n{SHORT}"
    );
    let (config, _) = load(&sources(&text)).expect("a configuration");
    assert_eq!(
        config
            .entries
            .iter()
            .map(|entry| entry.exclude.len())
            .collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn the_last_good_configuration_never_prunes() {
    let (_directory, path) = written(&format!("datasets:\n{SHORT}"));
    last_good::keep(&path, &loaded(&path).sources).expect("kept");
    for text in [
        "datasets:\n  tank: {snapshot-period: 1h\n",
        "",
        "datasets: {}\n",
        "datasets: {tank: {windows: daily}}\n",
    ] {
        fs::write(&path, text).expect("writing");
        let loaded = loaded(&path);
        assert!(
            loaded.is_last_good && loaded.config.entries.len() == 1,
            "{text}"
        );
        assert!(loaded.config.pruning_waits.is_some(), "{text}");
    }
}

#[test]
fn what_is_no_readable_file_is_a_fault_and_the_last_good_configuration_is_in_force() {
    let (directory, path) = written(&format!("datasets:\n{SHORT}"));
    let more = directory.path().join("zam.d/vm.yaml");
    last_good::keep(&path, &loaded(&path).sources).expect("kept");
    // Opening a FIFO that nobody writes to would wait for ever.
    let fifo = || mknodat(CWD, &more, FileType::Fifo, Mode::RUSR, 0).expect("a FIFO");
    let makers: [(&str, &dyn Fn()); 5] = [
        ("a file whose reading fails (EIO)", &|| {
            symlink("/proc/self/mem", &more).expect("a link")
        }),
        ("a link to nothing", &|| {
            symlink("../gone.yaml", &more).expect("a link")
        }),
        ("a directory", &|| {
            fs::create_dir(&more).expect("a directory")
        }),
        ("a device", &|| symlink("/dev/zero", &more).expect("a link")),
        ("a FIFO", &fifo),
    ];
    for (what, make) in makers {
        make();
        let loaded = loaded(&path);
        assert!(
            loaded.is_last_good && loaded.config.pruning_waits.is_some(),
            "{what}: {:?}",
            loaded.faults
        );
        drop(fs::remove_file(&more).or_else(|_| fs::remove_dir(&more)));
    }
}

#[test]
fn a_directory_of_more_files_that_cannot_be_listed_is_a_fault() {
    let (directory, path) = written(&format!("datasets:\n{SHORT}"));
    let more = directory.path().join("zam.d");
    last_good::keep(&path, &loaded(&path).sources).expect("kept");
    fs::remove_dir(&more).expect("removing");
    assert!(loaded(&path).config.pruning_waits.is_none(), "none at all");
    fs::write(&more, "").expect("a file");
    assert!(loaded(&path).config.pruning_waits.is_some(), "a file");
    fs::remove_file(&more).expect("removing");
    symlink("../elsewhere", &more).expect("a link");
    assert!(
        loaded(&path).config.pruning_waits.is_some(),
        "a link to nothing"
    );
}

#[test]
fn zam_yaml_that_is_gone_is_a_fault_while_zam_d_has_entries() {
    let (directory, path) = written("");
    let more = directory.path().join("zam.d/vm.yaml");
    fs::write(more, format!("datasets:\n{SHORT}")).expect("writing");
    fs::remove_file(&path).expect("removing");
    let loaded = loaded(&path);
    assert!(loaded.config.pruning_waits.is_some(), "{:?}", loaded.faults);
}

#[test]
fn a_file_that_is_not_read_or_gone_is_said_and_pruning_waits() {
    let (directory, path) = written(&format!("datasets:\n{SHORT}"));
    let more = directory.path().join("zam.d");
    for name in [
        "vm.yml",
        "vm.YAML",
        "vm.ymal",
        "vmyaml",
        "vm.conf",
        "vm",
        "vm.yaml.txt",
        "vm.yaml (copy)",
    ] {
        fs::write(more.join(name), "").expect("writing");
        let loaded = loaded(&path);
        assert!(
            loaded.faults.len() == 1 && loaded.config.pruning_waits.is_some(),
            "{name}"
        );
        fs::remove_file(more.join(name)).expect("removing");
    }
    symlink("me@here.1", more.join(".#vm.yaml")).expect("a link");
    for name in [
        "vm.yaml~",
        "vm.yaml.dpkg-old",
        ".vm.yaml.swp",
        "README",
        "vm.yaml.disabled",
        "#vm.yaml#",
        "vm.yaml.bak",
    ] {
        fs::write(more.join(name), "").expect("writing");
    }
    assert!(loaded(&path).faults.is_empty() && loaded(&path).config.pruning_waits.is_none());
    fs::write(
        more.join("vm.yaml"),
        "datasets: {tank/vm: {snapshot-period: 1h}}",
    )
    .expect("writing");
    last_good::keep(&path, &loaded(&path).sources).expect("kept");
    fs::remove_file(more.join("vm.yaml")).expect("removing");
    assert!(
        loaded(&path)
            .config
            .pruning_waits
            .is_some_and(|why| why.contains("vm.yaml"))
    );
    last_good::keep(&path, &loaded(&path).sources).expect("accepted");
    assert!(loaded(&path).config.pruning_waits.is_none());
}

/// Who makes a comment of an entry may mean that its dataset is left alone.
#[test]
fn pruning_waits_where_the_windows_above_would_inherit_a_dataset() {
    let archive = "  tank/archive: {snapshot-period: 1d}\n";
    let waits = |before: &str, after: &str| {
        let (_directory, path) = written(&format!("datasets:\n{before}"));
        last_good::keep(&path, &loaded(&path).sources).expect("kept");
        fs::write(&path, format!("datasets:\n{after}")).expect("writing");
        let waits = loaded(&path).config.pruning_waits;
        last_good::keep(&path, &loaded(&path).sources).expect("accepted");
        assert_eq!(loaded(&path).config.pruning_waits, None);
        waits
    };
    let both = format!("{SHORT}{archive}");
    let why = waits(&both, &format!("{SHORT}#{archive}")).expect("it waits");
    assert!(
        why.contains("tank/archive had an entry of its own") && why.contains("zam reload"),
        "{why}"
    );
    let five: String = ('a'..='e')
        .map(|name| format!("  tank/{name}: {{}}\n"))
        .collect();
    let why = waits(&format!("{SHORT}{five}"), SHORT).expect("it waits");
    assert!(
        why.contains("tank/c had") && why.ends_with("; and 2 more; or accept that with zam reload"),
        "{why}"
    );
    let pulled = "hosts: {nas: {ssh: zam@nas}}\n\
                  destinations: {here: {root: backup, prune-period: 1d, windows: [{max-age: 1d, period: 1h}]}}\n";
    let all = "  nas:tank: {recursive: true, destinations: [here]}\n";
    let one = "  nas:tank/archive: {destinations: [{to: here, windows: ~}]}\n";
    let (_directory, path) = written(&format!("{pulled}datasets:\n{all}{one}"));
    last_good::keep(&path, &loaded(&path).sources).expect("kept");
    fs::write(&path, format!("{pulled}datasets:\n{all}#{one}")).expect("writing");
    let why = loaded(&path).config.pruning_waits.expect("it waits");
    assert!(why.starts_with("nas:tank/archive had"), "{why}");

    let excluding = SHORT.replace("recursive", "exclude: [tank/archive], recursive");
    let keeping = SHORT.replace(", windows: [{max-age: 1d, period: 1h}]", "");
    for (before, after) in [
        (SHORT, &both),
        (&both, &excluding),
        (&both, &keeping),
        (&both, &archive.to_owned()),
    ] {
        assert_eq!(waits(before, after), None, "{before} {after}");
    }
}

#[test]
fn a_lone_carriage_return_is_refused_and_values_come_from_their_place() {
    let of = |end: &str| {
        format!(
            "# ä{end}hosts:{end}  a: {{ssh: root@gw, port: 2201}}{end}  b: {{ssh: root@gw, port: 2202}}{end}"
        )
    };
    for text in [
        "# a\r# b\n".to_owned() + &of("\n"),
        of("\r\r\n"),
        of("\n") + "# end\r",
    ] {
        assert!(
            faults(&(text.clone() + "datasets:\n" + SHORT))[0]
                .message
                .contains("carriage return"),
            "{text:?}"
        );
    }
    for text in [of("\n"), of("\r\n"), "\u{feff}".to_owned() + &of("\n")] {
        let (config, _) =
            load(&sources(&(text.clone() + "datasets:\n" + SHORT))).expect("a configuration");
        let ports: Vec<Option<u16>> = config.hosts.values().map(|host| host.port).collect();
        assert_eq!(ports, [Some(2201), Some(2202)], "{text:?}");
    }
}

#[test]
fn a_fault_in_a_users_name_gives_no_job_to_root() {
    for (text, user, prune_user) in [
        ("", "root", "root"),
        ("user: root\n", "root", "root"),
        ("user: backup\n", "backup", "zam-prune"),
        ("user: backup\nprune-user: p\n", "backup", "p"),
        ("prune-user: p\n", "root", "p"),
        ("user: Ba ckup\n", "zam", "zam-prune"),
        ("user: [root]\n", "zam", "zam-prune"),
        ("user:\n", "zam", "zam-prune"),
        ("user: root\nuser: root\n", "zam", "zam-prune"),
        ("user: root\nprune-user: 0\n", "root", "zam-prune"),
    ] {
        let (config, _) =
            load(&sources(&format!("{text}datasets:\n{SHORT}"))).expect("a configuration");
        assert_eq!(
            (config.user(), config.prune_user()),
            (user, prune_user),
            "{text}"
        );
    }
}

#[test]
fn a_wrong_window_is_shown_a_right_one() {
    for (window, right) in [("10min", "period: 10min"), ("daily", "period: 1d")] {
        let said = &faults(&format!("datasets:\n  tank: {{windows: [{window}]}}\n"))[0].message;
        assert!(said.contains(right), "{said}");
    }
}

/// Generous: what was wrong took minutes, or gigabytes.
fn within_limit(what: &str, text: &str) -> usize {
    let begin = Instant::now();
    let found = faults(text);
    let shown: usize = render(&found, &sources(text)).iter().map(String::len).sum();
    assert!(
        begin.elapsed() < Duration::from_secs(60) && shown < 200_000,
        "{what}: {:?}, {shown} bytes",
        begin.elapsed()
    );
    found.len()
}

#[test]
fn reading_is_linear_whatever_is_used_however_often() {
    let repeat =
        |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let aliases = repeat(3000, &|i| format!("  tank/d{i}: {{<<: *t}}\n"));
    assert_eq!(
        within_limit(
            "aliases",
            &format!("templates: {{t: &t {{snapshot-period: 1h}}}}\ndatasets:\n{aliases}")
        ),
        0
    );
    let chain = repeat(3000, &|i| format!("  t{i}: {{use: [t{0}, t{0}]}}\n", i + 1));
    let chain = format!(
        "templates:\n{chain}  t3000: {{snapshot-period: 1h}}\ndatasets: {{tank: {{use: t0}}}}\n"
    );
    assert_eq!(within_limit("chain", &chain), 0);
    let names = (0..40)
        .map(|i| format!("t{i}"))
        .collect::<Vec<_>>()
        .join(", ");
    let knot = repeat(40, &|i| format!("  t{i}: {{use: [{names}]}}\n"));
    assert!(
        within_limit(
            "knot",
            &format!("templates:\n{knot}datasets: {{tank: {{}}}}\n")
        ) < 2000
    );
    let short = repeat(20_000, &|i| format!("  tank/d{i}: {{use: gone}}\n"));
    assert_eq!(
        within_limit("short lines", &format!("datasets:\n{short}")),
        20_000
    );
    let line = repeat(5000, &|i| format!("\"tank/d{i}\": {{\"use\": \"gone\"}}, "));
    assert_eq!(
        within_limit(
            "one line",
            &format!("{{\"datasets\": {{{}}}}}", line.trim_end_matches(", "))
        ),
        5000
    );
}

#[test]
fn where_two_meet_in_one_replica_pruning_waits() {
    let text = "hosts: {laptop: {ssh: zam@laptop}}
destinations:
  local: {root: backup/zam, replication-period: 1h, windows: [{period: 1d}]}
  inner: {root: backup/zam/tank, replication-period: 1h, windows: [{period: 1d}]}
datasets:
  tank: {recursive: true, snapshot-period: 1h, destinations: [local]}
";
    for (entry, dropped) in [
        (
            "  data: {snapshot-period: 1h, destinations: [inner]}\n",
            "data",
        ),
        (
            "  laptop:tank/x/y: {destinations: [local]}\n",
            "laptop:tank/x/y",
        ),
        (
            "  laptop:tank/x: {destinations: [local]}\n  laptop:tank/x/y: {destinations: [local]}\n",
            "laptop:tank/x/y",
        ),
    ] {
        let (config, _) = load(&sources(&format!("{text}{entry}"))).expect("a configuration");
        assert!(
            config.pruning_waits.is_some() && config.dropped.contains(dropped),
            "{entry}"
        );
        assert!(config.entry("tank").is_some(), "{entry}");
    }
}

#[test]
fn an_exclusion_that_can_exclude_nothing_is_a_fault_wherever_it_stands() {
    let tank = "windows: [{max-age: 1d, period: 1h}], recursive: true";
    for text in [
        format!("templates: {{w: {{{tank}, exclude: [archive]}}}}\ndatasets: {{tank: {{use: w}}}}"),
        format!("defaults: {{exclude: [archive]}}\ndatasets: {{tank: {{{tank}}}}}"),
        format!("datasets: {{tank: {{{tank}, exclude: [tank/*/cache tank/archive]}}}}"),
        format!("datasets: {{tank: {{{tank}, exclude: [/^tank.archive$/ /^tank.vm$/]}}}}"),
        format!(
            "templates: {{w: {{exclude: [tank/a]}}}}\ndatasets: {{tank: {{{tank}, use: w, exclude: }}}}"
        ),
        format!("defaults: {{exclude: [tank/a]}}\ndatasets: {{tank: {{{tank}, exclude: }}}}"),
    ] {
        let (config, faults) = load(&sources(&text)).expect("a configuration");
        assert!(
            !faults.is_empty() && (config.pruning_waits.is_some() || config.entries.is_empty()),
            "{text}"
        );
    }
    let sound = "defaults: {exclude: [tank/*/cache, 'tank/my data/x', '/a b/']}\ndatasets: {tank: {recursive: true, windows: ~}}";
    assert_eq!(load(&sources(sound)).expect("a configuration").1, []);
    assert!(load(&sources(&format!("prefix:\ndatasets:\n{SHORT}"))).is_err());
}
