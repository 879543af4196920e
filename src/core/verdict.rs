//! Why a stream failed. Several processes and the pump between them end almost at once, and all but one only suffer from
//! the first: who that was decides whose words are worth telling.

use crate::core::said::{is_255_of_zfs, reason, refuses_options};

/// A process that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// How it ended, as the system words it.
    pub status: String,
    /// Its stderr.
    pub said: String,
}

impl Ended {
    fn has_failed(&self) -> bool {
        self.code != Some(0)
    }
}

/// The sender or the receiver of a stream.
#[derive(Clone, Debug)]
pub struct End {
    /// Its zfs first, and then what packs or unpacks the stream, which only suffers from it; over ssh, ssh alone. Never
    /// empty.
    pub processes: Vec<Ended>,
    /// The name that errors give it.
    pub name: String,
    /// Over ssh, whose own exit code is 255.
    pub is_remote: bool,
}

/// Why zam itself ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// SIGTERM or SIGINT asked for it.
    Stopped,
    /// The receiver failed, and the sender did not notice.
    Deserted,
    /// Nothing moved for so many seconds.
    Stalled(u64),
}

/// How a stream went, once all of its processes have ended.
#[derive(Clone, Debug)]
pub struct Course {
    pub sender: End,
    pub receiver: End,
    /// What the pump between the two met, if not the end of the stream.
    pub pumped: Result<(), String>,
    pub cut: Option<Cut>,
}

/// Who knows why a stream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Arrived,
    Cut(Cut),
    Sender,
    Receiver,
    /// The sender's words come first.
    Both,
    Pump,
}

/// Why a stream did not arrive.
#[derive(Debug, PartialEq, Eq)]
pub struct Failed {
    pub why: String,
    /// The next run may simply go on: nothing has to be mended.
    pub is_passing: bool,
}

impl Course {
    pub fn verdict(&self) -> Verdict {
        let sender_failed = self.sender.failed();
        let receiver_failed = self.receiver.failed();
        // A receiver may be done and gone before the pump looks for more: its broken pipe means nothing then.
        if !sender_failed && !receiver_failed {
            return Verdict::Arrived;
        }
        if let Some(cut) = self.cut {
            return Verdict::Cut(cut);
        }
        match &self.pumped {
            // The receiver went first. What the sender says of that is only a broken pipe.
            Err(_) if receiver_failed => Verdict::Receiver,
            Err(_) => Verdict::Pump,
            Ok(()) if sender_failed => Verdict::Sender,
            // Over ssh the exit code of `zfs send | zstd` is that of zstd: a failure of zfs shows in its words alone.
            Ok(()) if self.sender.has_said_something() => Verdict::Both,
            Ok(()) => Verdict::Receiver,
        }
    }

    /// # Errors
    /// The stream did not arrive whole.
    pub fn result(&self) -> Result<(), Failed> {
        let name = &self.sender.name;
        let (why, is_passing) = match self.verdict() {
            Verdict::Arrived => return Ok(()),
            Verdict::Sender => return Err(self.sender.failure()),
            Verdict::Receiver | Verdict::Cut(Cut::Deserted) => {
                return Err(self.receiver.failure());
            }
            Verdict::Both => {
                let failed = self.receiver.failure();
                let why = format!("{}: {}", self.sender.words(), failed.why);
                (why, failed.is_passing)
            }
            Verdict::Cut(Cut::Stopped) => {
                let why = "the transfer was stopped; the next run resumes it";
                (why.into(), true)
            }
            Verdict::Cut(Cut::Stalled(seconds)) => {
                let stalled = format!("no byte moved for {seconds} s (stall-timeout)");
                // A network that went silent is one that was lost.
                let has_lost_network = self.sender.is_remote || self.receiver.is_remote;
                (
                    format!("{stalled}; {name}; the next run resumes"),
                    has_lost_network,
                )
            }
            Verdict::Pump => {
                let e = self.pumped.as_ref().err().map_or("", String::as_str);
                (format!("the stream of {name} broke: {e}"), false)
            }
        };
        Err(Failed { why, is_passing })
    }
}

impl End {
    fn failed(&self) -> bool {
        self.processes.iter().any(Ended::has_failed)
    }

    fn has_said_something(&self) -> bool {
        let mut processes = self.processes.iter();
        processes.any(|process| !process.said.trim().is_empty())
    }

    /// The words of the first process that failed or said something.
    fn words(&self) -> String {
        let mut processes = self.processes.iter();
        match processes.find(|process| process.has_failed() || !process.said.is_empty()) {
            Some(process) => format!("{}: {}", self.name, reason(&process.said, &process.status)),
            None => String::new(),
        }
    }

    fn failure(&self) -> Failed {
        let words = self.words();
        let cause = self.processes.first().and_then(|first| self.passing(first));
        Failed {
            is_passing: cause.is_some(),
            why: match cause {
                Some(cause) => format!("{cause}: {words}"),
                None => words,
            },
        }
    }

    /// Why another machine's end failed, if that passes by itself.
    fn passing(&self, process: &Ended) -> Option<&'static str> {
        if !self.is_remote {
            return None;
        }
        if is_still_received(&process.said) {
            return Some("an earlier `zfs receive` still runs there; a later run resumes");
        }
        // 255 is ssh's own exit code.
        let is_of_ssh = process.code == Some(255)
            && !refuses_options(&process.said)
            && !is_255_of_zfs(&process.said);
        is_of_ssh.then_some("the connection was lost; the next run resumes")
    }
}

/// ZFS refuses the rest of a stream while another `zfs receive` holds what has arrived (libzfs: EBUSY in
/// zfs_receive_one).
fn is_still_received(said: &str) -> bool {
    said.contains("cannot receive resume stream: ") && said.contains(" partially-complete state ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(code: i32, said: &str) -> Ended {
        Ended {
            code: Some(code),
            status: format!("exit status: {code}"),
            said: said.into(),
        }
    }

    fn end(name: &str, processes: &[Ended]) -> End {
        End {
            processes: processes.to_vec(),
            name: name.into(),
            is_remote: false,
        }
    }

    fn remote(name: &str, process: Ended) -> End {
        End {
            is_remote: true,
            ..end(name, &[process])
        }
    }

    fn course(sender: End, receiver: End) -> Course {
        Course {
            sender,
            receiver,
            pumped: Ok(()),
            cut: None,
        }
    }

    fn broken(course: Course) -> Course {
        Course {
            pumped: Err("Broken pipe".into()),
            ..course
        }
    }

    fn cut(cut: Cut, course: Course) -> Course {
        Course {
            cut: Some(cut),
            ..course
        }
    }

    fn passing(why: &str) -> Result<(), Failed> {
        Err(Failed {
            why: why.into(),
            is_passing: true,
        })
    }

    fn failed(why: &str) -> Result<(), Failed> {
        Err(Failed {
            why: why.into(),
            is_passing: false,
        })
    }

    fn well(name: &str) -> End {
        end(name, &[process(0, "")])
    }

    fn badly(name: &str, said: &str) -> End {
        end(name, &[process(1, said)])
    }

    #[test]
    fn who_failed_first_row_by_row() {
        let send = || well("send");
        let receive = || well("receive");
        let no_send = || badly("send", "why");
        let no_receive = || badly("receive", "why");
        let loud = || end("send", &[process(0, "cannot send")]);
        let rows = [
            (course(send(), receive()), Verdict::Arrived),
            (course(loud(), receive()), Verdict::Arrived),
            (broken(course(send(), receive())), Verdict::Arrived),
            (course(no_send(), receive()), Verdict::Sender),
            (course(no_send(), no_receive()), Verdict::Sender),
            (course(send(), no_receive()), Verdict::Receiver),
            (course(loud(), no_receive()), Verdict::Both),
            (broken(course(send(), no_receive())), Verdict::Receiver),
            (broken(course(loud(), no_receive())), Verdict::Receiver),
            (broken(course(no_send(), no_receive())), Verdict::Receiver),
            (broken(course(no_send(), receive())), Verdict::Pump),
        ];
        for (course, expected) in rows {
            assert_eq!(course.verdict(), expected, "{course:?}");
        }
    }

    #[test]
    fn a_cut_stream_that_arrived_whole_has_arrived_and_any_other_was_cut() {
        for why in [Cut::Stopped, Cut::Stalled(10)] {
            let arrived = cut(why, course(well("send"), well("receive")));
            assert_eq!(arrived.verdict(), Verdict::Arrived);
            for failed in [
                course(badly("send", ""), well("receive")),
                course(well("send"), badly("receive", "")),
                broken(course(badly("send", ""), badly("receive", ""))),
            ] {
                assert_eq!(cut(why, failed).verdict(), Verdict::Cut(why));
            }
        }
    }

    #[test]
    fn the_next_run_goes_on_after_a_stop_and_after_a_network_that_went_silent() {
        let local = || course(badly("zfs send", "x"), well("zfs receive"));
        let text = "the transfer was stopped; the next run resumes it";
        assert_eq!(cut(Cut::Stopped, local()).result(), passing(text));
        let text = "no byte moved for 10 s (stall-timeout); zfs send; the next run resumes";
        assert_eq!(cut(Cut::Stalled(10), local()).result(), failed(text));
        let pulled = course(remote("zfs send", process(1, "")), well("zfs receive"));
        assert_eq!(cut(Cut::Stalled(10), pulled).result(), passing(text));
        let pushed = course(badly("zfs send", ""), remote("zfs receive", process(1, "")));
        assert_eq!(cut(Cut::Stalled(10), pushed).result(), passing(text));
    }

    #[test]
    fn a_receiver_that_failed_is_told_and_not_the_sender_that_did_not_notice() {
        let course = course(badly("zfs send", "killed"), badly("zfs receive", "no room"));
        let text = "zfs receive: no room";
        assert_eq!(cut(Cut::Deserted, course).result(), failed(text));
    }

    #[test]
    fn the_words_of_zfs_come_before_those_of_the_compressor() {
        let zfs = process(1, "cannot send: it is gone\n");
        let zstd = process(1, "zstd: no input");
        let sender = end("zfs send", &[zfs.clone(), zstd.clone()]);
        let text = "zfs send: cannot send: it is gone";
        assert_eq!(course(sender, well("zfs receive")).result(), failed(text));
        let receiver = end("zfs receive", &[zfs, zstd.clone()]);
        let text = "zfs receive: cannot send: it is gone";
        assert_eq!(course(well("zfs send"), receiver).result(), failed(text));
        let receiver = end("zfs receive", &[process(0, ""), zstd]);
        let text = "zfs receive: zstd: no input";
        assert_eq!(course(well("zfs send"), receiver).result(), failed(text));
    }

    #[test]
    fn one_that_says_nothing_is_told_by_its_status() {
        let killed = Ended {
            code: None,
            status: "signal: 9 (SIGKILL)".into(),
            said: String::new(),
        };
        let course = course(end("zfs send", &[killed]), well("zfs receive"));
        assert_eq!(course.result(), failed("zfs send: signal: 9 (SIGKILL)"));
    }

    #[test]
    fn what_the_sender_said_precedes_the_receivers_failure() {
        let sender = end(
            "zfs send | zstd",
            &[process(0, "warning: cannot send 'a@x': it is busy")],
        );
        let text =
            "zfs send | zstd: warning: cannot send 'a@x': it is busy: zfs receive: no stream";
        let receiver = badly("zfs receive", "no stream");
        assert_eq!(course(sender, receiver).result(), failed(text));
    }

    #[test]
    fn a_stream_that_broke_by_itself_is_told_by_the_pump() {
        let course = broken(course(badly("zfs send", "x"), well("zfs receive")));
        let text = "the stream of zfs send broke: Broken pipe";
        assert_eq!(course.result(), failed(text));
    }

    #[test]
    fn ssh_says_255_when_the_connection_was_lost_but_so_does_zfs_of_a_stale_token() {
        let lost = |sender| course(sender, well("zfs receive")).result();
        let text = "the connection was lost; the next run resumes: zfs send: timeout";
        assert_eq!(
            lost(remote("zfs send", process(255, "timeout"))),
            passing(text)
        );
        let text = "zfs send: cannot resume send: 'a@x' used in the initial send no longer exists";
        let said = text.split_once(": ").map_or("", |(_, said)| said);
        assert_eq!(lost(remote("zfs send", process(255, said))), failed(text));
        let text = "zfs send: command-line: line 0: Bad configuration option: x";
        let said = text.split_once(": ").map_or("", |(_, said)| said);
        assert_eq!(lost(remote("zfs send", process(255, said))), failed(text));
        assert_eq!(
            lost(end("zfs send", &[process(255, "x")])),
            failed("zfs send: x")
        );
        assert_eq!(
            lost(remote("zfs send", process(1, "x"))),
            failed("zfs send: x")
        );
    }
}
