//! Stands in for QEMU in the harness's own tests: connects to its channels, then does as it is told.
//!
//! What it is told are the arguments behind `-fake`, in order:
//! `host:TEXT`, `el2:FILE` and `stderr:TEXT` write, `pid` writes the process id on the host's console, `echo` gives back
//! each line of the host's console until one says `quit`, `flood` writes without end, `hang` sleeps, `sleep:MS` does so for a while,
//! `exit:N` ends.
//! `deaf` as the first word: it does not connect.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

type Channels = BTreeMap<String, UnixStream>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let orders = args
        .iter()
        .position(|arg| arg == "-fake")
        .map_or(&[][..], |at| &args[at + 1..]);
    let mut channels = Channels::new();
    if orders.first().is_none_or(|order| order != "deaf") {
        for pair in args.windows(2).filter(|pair| pair[0] == "-chardev") {
            let (id, path) = socket(&pair[1]).ok_or("a -chardev that is no socket")?;
            channels.insert(id.to_owned(), UnixStream::connect(path)?);
        }
    }
    for order in orders {
        let (verb, value) = order.split_once(':').unwrap_or((order, ""));
        obey(verb, value, &channels)?;
    }
    Ok(())
}

/// The id and the path of `socket,id=ID,path=PATH`.
fn socket(option: &str) -> Option<(&str, &str)> {
    option.strip_prefix("socket,id=")?.split_once(",path=")
}

fn obey(verb: &str, value: &str, channels: &Channels) -> Result<(), Box<dyn std::error::Error>> {
    let channel = |id: &str| channels.get(id).ok_or(format!("no channel {id}"));
    match verb {
        "deaf" => {}
        "host" => channel("host")?.write_all(value.as_bytes())?,
        "el2" => channel("el2")?.write_all(&std::fs::read(value)?)?,
        "pid" => writeln!(channel("host")?, "pid {}", std::process::id())?,
        "stderr" => eprintln!("{value}"),
        "echo" => echo(channel("host")?)?,
        "flood" => loop {
            channel("host")?.write_all(&[b'x'; 4096])?;
        },
        "hang" => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        "sleep" => std::thread::sleep(Duration::from_millis(value.parse()?)),
        "exit" => std::process::exit(value.parse()?),
        _ => return Err(format!("unknown order {verb}").into()),
    }
    Ok(())
}

fn echo(mut host: &UnixStream) -> std::io::Result<()> {
    for line in BufReader::new(host).lines() {
        let line = line?;
        if line == "quit" {
            break;
        }
        writeln!(host, "echo {line}")?;
    }
    Ok(())
}
