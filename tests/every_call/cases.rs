//! The cases of a scene: which calls a run makes, one run for each fault at each of them, and what is wrong afterwards.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::common::{self, path_with};
use super::fake::{DIRECTORY, Planned};
use super::faults::{Cut, Fault, Swap};
use super::model::{Store, World};
use super::scenes::{Goal, Scene};

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where runs take place: a world, a PATH, and a configuration.
struct Stage {
    directory: TempDir,
    store: Store,
}

/// What is left of a run.
struct Run {
    status: ExitStatus,
    stderr: String,
    world: World,
}

/// Which of a scene's cases to try.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Share {
    Third,
    Rest,
}

/// Tries this share of the cases; says what went wrong in the first of those that failed.
pub(super) fn try_share(scene: &Scene, share: Share) -> Result<(), String> {
    let stage = Stage::new(scene);
    let run = stage.run(scene);
    let ended = if scene.goal == Goal::Refused {
        Some(1)
    } else {
        Some(0)
    };
    let wrong = [run.world.crimes.clone(), scene.goal.lacks(&run.world)].concat();
    if run.status.code() != ended || !wrong.is_empty() {
        return Err(format!(
            "undisturbed, it ends with {}: {}\n{}",
            run.status,
            wrong.join("; "),
            run.stderr
        ));
    }
    let mut cases = cases(scene, &run.world.calls);
    let mut numbers = 0..;
    cases.retain(|_| {
        numbers
            .next()
            .is_some_and(|number| (number % 3 == 0) == (share == Share::Third))
    });
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| stage.try_case(scene, case).err())
        .collect();
    println!(
        "{}: {} cases at {} calls",
        scene.name,
        cases.len(),
        run.world.calls.len()
    );
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} of {} cases failed, the first so:\n{first}",
            failed.len(),
            cases.len()
        )),
    }
}

fn cases(scene: &Scene, calls: &[String]) -> Vec<Planned> {
    let mut cases = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let nth = calls[..at].iter().filter(|other| *other == call).count();
        // The third bookmark or stream of a run is like the second.
        let alike = calls[..at]
            .iter()
            .filter(|other| program(other) == program(call))
            .count();
        if alike > 1 {
            continue;
        }
        let planned = |fault, victim: &str| Planned {
            call: call.clone(),
            nth,
            fault,
            victim: victim.into(),
        };
        cases.extend(faults(call).into_iter().map(|fault| planned(fault, "")));
        for victim in &scene.victims {
            cases.extend(
                swaps(scene, &calls[..at], call, victim)
                    .into_iter()
                    .map(|swap| planned(Fault::Swap(swap), victim)),
            );
        }
    }
    cases
}

/// The program and its verb.
fn program(call: &str) -> Vec<&str> {
    call.split(' ').take(2).collect()
}

/// What may happen to a call with these words.
fn faults(call: &str) -> Vec<Fault> {
    use Fault::{
        CutAndFails, Fails, FailsAfter, Killed, KilledAfter, KilledMidway, Lost, LostAfter, Noise,
        ZamKilled, ZamKilledAfter, ZamKilledMidway,
    };
    if call.starts_with("ssh ") {
        return vec![Lost, LostAfter, Noise, ZamKilled];
    }
    let mut faults = vec![
        Fails,
        FailsAfter,
        Killed,
        KilledAfter,
        Noise,
        ZamKilled,
        ZamKilledAfter,
    ];
    match call.split(' ').nth(1) {
        Some("list" | "get") => faults.extend(Cut::ALL.map(Fault::Cut)),
        Some("send") => {
            faults.extend([Cut::Everything, Cut::Row, Cut::MidRow, Cut::LastByte].map(Fault::Cut));
            faults.push(CutAndFails(Cut::MidRow));
        }
        Some("receive") => faults.extend([KilledMidway, ZamKilledMidway]),
        _ => {}
    }
    faults
}

/// Once a plan is made, only the look at the victim that comes right before its destroying can see who has acted: what
/// is done after that look, or while zam is busy with another dataset, nobody sees.
fn swaps(scene: &Scene, earlier: &[String], call: &str, victim: &str) -> Vec<Swap> {
    if call.starts_with("ssh ") {
        return vec![];
    }
    let listings = earlier
        .iter()
        .filter(|call| call.starts_with("zfs list"))
        .count();
    let is_planned = scene.argv[0] == "prune" && listings >= scene.victims.len();
    let is_look = call.starts_with("zfs list") && call.split(' ').next_back() == Some(victim);
    Swap::ALL
        .into_iter()
        .filter(|swap| !is_planned || is_look || !swap.can_hide())
        .collect()
}

impl Stage {
    fn new(scene: &Scene) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let bin = directory.path().join("bin");
        let us = std::env::current_exe().expect("this binary");
        fs::create_dir(&bin).expect("a directory for programs");
        for program in ["zfs", "ssh"] {
            symlink(&us, bin.join(program)).expect("a program");
        }
        fs::write(directory.path().join("zam.yaml"), &scene.config).expect("a configuration");
        let store = Store::at(directory.path());
        store.save(&scene.world);
        Stage { directory, store }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, scene: &Scene) -> Command {
        let mut command = common::zam();
        command
            .arg("--config")
            .arg(self.file("zam.yaml"))
            .args(&scene.argv)
            .env("PATH", path_with(&self.file("bin")));
        command
            .env("ZAM_RUN", self.file("run"))
            .env("ZAM_STATE", self.file("state"))
            .env(DIRECTORY, self.directory.path());
        command
    }

    /// One run of zam, until it and all that it started have ended.
    fn run(&self, scene: &Scene) -> Run {
        self.store.with(|world| world.calls.clear());
        let out = File::create(self.file("out"));
        let err = File::create(self.file("err"));
        let mut command = self.command(scene);
        command
            .stdin(std::process::Stdio::null())
            .stdout(out.expect("a file"))
            .stderr(err.expect("a file"));
        let mut zam = command.spawn().expect("zam");
        let begun = Instant::now();
        let status = loop {
            match zam.try_wait().expect("zam's end") {
                Some(status) => break status,
                None if begun.elapsed() > PATIENCE => drop(zam.kill()),
                None => sleep(Duration::from_millis(2)),
            }
        };
        while status.code().is_none() && self.is_somebody_at_work() {
            sleep(Duration::from_millis(2));
        }
        let stderr = fs::read_to_string(self.file("err")).unwrap_or_default();
        Run {
            status,
            stderr,
            world: self.store.load(),
        }
    }

    /// Whether a process is left that was started with this directory in its environment.
    fn is_somebody_at_work(&self) -> bool {
        let needle = self.directory.path().to_string_lossy().into_owned();
        let is_ours = |environment: &[u8]| String::from_utf8_lossy(environment).contains(&needle);
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .filter_map(|process| fs::read(process.path().join("environ")).ok())
            .any(|environment| is_ours(&environment))
    }

    fn try_case(&self, scene: &Scene, case: &Planned) -> Result<(), String> {
        self.store.save(&scene.world);
        let plan = serde_json::to_vec(case).expect("a plan");
        fs::write(self.file("fault.json"), plan).expect("a plan");
        let disturbed = self.run(scene);
        fs::remove_file(self.file("fault.json")).expect("the plan");
        let wrong = |why: String, run: &Run| {
            eprintln!(
                "{}: {:?} {} at call {} of {}: {why}",
                scene.name, case.fault, case.victim, case.nth, case.call
            );
            let calls = run
                .world
                .calls
                .iter()
                .map(|call| format!("    {call}\n"))
                .collect::<String>();
            let victim = &case.victim;
            Err(format!(
                "- {:?} {victim} at call {} of {}\n  {why}\n  zam: {}, {}\n{calls}",
                case.fault,
                case.nth,
                case.call,
                run.status,
                run.stderr.trim()
            ))
        };
        if let Err(why) = judge(scene, case, &disturbed) {
            return wrong(why, &disturbed);
        }
        let is_to_end = !matches!(case.fault, Fault::Swap(swap) if !scene.is_reached_after(swap));
        let mut later = self.run(scene);
        if is_to_end && scene.goal != Goal::Refused && later.status.code() != Some(0) {
            later = self.run(scene);
        }
        match finish(scene, is_to_end, &later) {
            Err(why) => wrong(format!("afterwards: {why}"), &later),
            Ok(()) => Ok(()),
        }
    }
}

/// The findings of the disturbed run itself.
fn judge(scene: &Scene, case: &Planned, run: &Run) -> Result<(), String> {
    if run.world.met != 1 {
        return Err(format!("the fault was met {} times", run.world.met));
    }
    if !run.world.crimes.is_empty() {
        return Err(run.world.crimes.join("; "));
    }
    let zam_was_killed = matches!(
        case.fault,
        Fault::ZamKilled | Fault::ZamKilledAfter | Fault::ZamKilledMidway
    );
    if !matches!(run.status.code(), Some(0 | 1 | 75)) && !zam_was_killed {
        return Err("it ended strangely".into());
    }
    let claims_success = run.status.code() == Some(0)
        && !matches!(case.fault, Fault::Swap(_) | Fault::Cut(Cut::Row));
    let lacks = scene.goal.lacks(&run.world);
    if claims_success && (!lacks.is_empty() || scene.goal == Goal::Refused) {
        return Err(format!("it says that all is done: {}", lacks.join("; ")));
    }
    Ok(())
}

/// The findings of the undisturbed runs after it.
fn finish(scene: &Scene, is_to_end: bool, run: &Run) -> Result<(), String> {
    if !run.world.crimes.is_empty() {
        return Err(run.world.crimes.join("; "));
    }
    let lacks = scene.goal.lacks(&run.world);
    match (run.status.code(), &scene.goal) {
        (Some(0), Goal::Refused) if is_to_end => Err("it says that all is done".into()),
        (Some(1), Goal::Refused) => Ok(()),
        (Some(0), _) if lacks.is_empty() => Ok(()),
        (Some(0 | 1 | 75), _) if !is_to_end => Ok(()),
        _ => Err(format!("it does not finish: {}", lacks.join("; "))),
    }
}
