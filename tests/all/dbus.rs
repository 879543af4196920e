//! A bus of D-Bus that answers as a test says, or not at all. By hand, because zbus's own takes a feature more, and because
//! a bus that is silent in the middle of the handshake is one of the cases.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::{TempDir, tempdir};

pub(crate) enum Answer {
    Nothing,
    /// An object path, as that of a job.
    Path,
    /// No job is left.
    NoJobs,
    /// Name, load state and active state of each.
    Units(&'static [[&'static str; 3]]),
    /// When a timer fires next.
    Time(u64),
    Error(&'static str),
    Silence,
}

pub(crate) struct Bus {
    directory: TempDir,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Bus {
    /// `answer` is given each call (its name, and its first word if that is text) and how many like it came before.
    pub(crate) fn new(answer: fn(&str, usize) -> Answer) -> Self {
        let bus = Bus {
            directory: tempdir().expect("a directory"),
            calls: Arc::default(),
        };
        let listener = UnixListener::bind(bus.directory.path().join("bus")).expect("a socket");
        let calls = bus.calls.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let calls = calls.clone();
                thread::spawn(move || serve(stream, answer, &calls));
            }
        });
        bus
    }

    /// One that takes the connection and says nothing at all.
    pub(crate) fn mute() -> Self {
        let bus = Bus {
            directory: tempdir().expect("a directory"),
            calls: Arc::default(),
        };
        let listener = UnixListener::bind(bus.directory.path().join("bus")).expect("a socket");
        thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok(connection) = listener.accept() {
                held.push(connection);
            }
        });
        bus
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:path={}/bus", self.directory.path().display())
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no panic").clone()
    }
}

/// Until the client hangs up.
fn serve(
    stream: UnixStream,
    answer: fn(&str, usize) -> Answer,
    calls: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|length| *length > 0)?;
        let said = match line.trim_matches(['\0', '\r', '\n']) {
            "BEGIN" => break,
            "AUTH EXTERNAL" => "DATA",
            "NEGOTIATE_UNIX_FD" => "AGREE_UNIX_FD",
            _ => "OK 0123456789abcdef0123456789abcdef",
        };
        out.write_all(format!("{said}\r\n").as_bytes()).ok()?;
    }
    loop {
        let (serial, call) = read(&mut reader)?;
        let reply = if call == "Hello" {
            message(serial, None, "s", &text(":1.1"))
        } else {
            let before = {
                let mut calls = calls.lock().ok()?;
                calls.push(call.clone());
                calls.iter().filter(|other| **other == call).count() - 1
            };
            match answer(&call, before) {
                Answer::Nothing => message(serial, None, "", &[]),
                Answer::Path => message(serial, None, "o", &text("/job/1")),
                Answer::NoJobs => message(serial, None, "a(usssoo)", &[0; 8]),
                Answer::Units(units) => message(serial, None, "a(ssssssouso)", &array(units)),
                Answer::Time(time) => message(
                    serial,
                    None,
                    "v",
                    &[&[1, b't', 0, 0, 0, 0, 0, 0][..], &time.to_le_bytes()].concat(),
                ),
                Answer::Error(name) => message(serial, Some(name), "s", &text("so says the test")),
                Answer::Silence => continue,
            }
        };
        out.write_all(&reply).ok()?;
    }
}

/// A call's serial, and what it asks for (D-Bus Specification, Message Format; little endian).
fn read(reader: &mut impl Read) -> Option<(u32, String)> {
    let mut head = [0; 16];
    reader.read_exact(&mut head).ok()?;
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let mut rest = vec![0; (number(12) as usize).next_multiple_of(8) + number(4) as usize];
    reader.read_exact(&mut rest).ok()?;
    let (fields, body) = rest.split_at((number(12) as usize).next_multiple_of(8));
    let member = string(fields, &[3, 1, b's', 0])?;
    let argument = string(fields, &[8, 1, b'g', 0])
        .is_none()
        .then(|| string(body, &[]))
        .flatten();
    let is_text = fields
        .windows(7)
        .any(|bytes| bytes[..4] == [8, 1, b'g', 0] && bytes[5] == b's');
    Some((
        number(8),
        argument
            .filter(|_| is_text)
            .map_or(member.clone(), |argument| format!("{member} {argument}")),
    ))
}

/// The text behind `mark`.
fn string(bytes: &[u8], mark: &[u8]) -> Option<String> {
    let at = (0..bytes.len()).find(|at| bytes[*at..].starts_with(mark))? + mark.len();
    let length = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
    String::from_utf8(bytes.get(at + 4..at + 4 + length)?.to_vec()).ok()
}

fn text(text: &str) -> Vec<u8> {
    [
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
        &[0],
    ]
    .concat()
}

fn align(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn array(units: &[[&str; 3]]) -> Vec<u8> {
    // The length comes first; what is behind it begins at the same multiple of 8.
    let mut body = Vec::new();
    for [name, load, active] in units {
        align(&mut body, 8);
        for word in [name, "", load, active, "", "", "/unit"] {
            align(&mut body, 4);
            body.extend(text(word));
        }
        align(&mut body, 4);
        body.extend([0; 4]);
        for word in ["", "/"] {
            align(&mut body, 4);
            body.extend(text(word));
        }
    }
    [&(body.len() as u32).to_le_bytes()[..], &[0; 4], &body].concat()
}

fn message(to: u32, error: Option<&str>, signature: &str, body: &[u8]) -> Vec<u8> {
    let mut fields = [&[5, 1, b'u', 0][..], &to.to_le_bytes()].concat();
    let mut field = |code: u8, kind: u8, value: &[u8]| {
        align(&mut fields, 8);
        fields.extend([code, 1, kind, 0]);
        fields.extend(value);
    };
    field(7, b's', &text("org.freedesktop.DBus"));
    if let Some(name) = error {
        field(4, b's', &text(name));
    }
    field(
        8,
        b'g',
        &[&[signature.len() as u8], signature.as_bytes(), &[0]].concat(),
    );
    let kind = if error.is_some() { 3 } else { 2 };
    let mut message = vec![b'l', kind, 1, 1];
    message.extend((body.len() as u32).to_le_bytes());
    message.extend(1u32.to_le_bytes());
    message.extend((fields.len() as u32).to_le_bytes());
    message.extend(fields);
    align(&mut message, 8);
    message.extend(body);
    message
}
