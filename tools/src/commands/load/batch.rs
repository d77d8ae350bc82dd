//! `neolith load --batch`: many questions, a line each.

use std::io::{self, BufRead, BufReader, Read};
use std::process::ExitCode;

use engine::When;
use model::{Oid, Tid};

use super::{Answer, Found};
use crate::database::Database;
use crate::failure::Failure;
use crate::output::Output;

/// Longer lines cannot be questions.
const LINE_LENGTH_MAX: u64 = 4096;

/// Answers each line of standard input as soon as no more lines are waiting.
pub(super) fn run(database: &Database, output: &mut Output) -> Result<ExitCode, Failure> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut code = ExitCode::SUCCESS;
    let mut line = Vec::new();
    for number in 1_u64.. {
        if input.buffer().is_empty() {
            output.flush()?;
        }
        if !read_line(&mut input, &mut line)? {
            break;
        }
        match parse(&line) {
            Ok((oid, tid)) => {
                let found = Found::load(database, oid, When::Before(tid))?;
                output.json(&found.answer(oid))?;
            }
            Err(reason) => {
                code = ExitCode::from(2);
                let error = format!("line {number}: {reason}");
                output.json(&Answer::Misunderstood { error })?;
            }
        }
    }
    Ok(code)
}

/// Reads a line, of one that is too long only the beginning. Returns whether there was one.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, Failure> {
    let failed =
        |source| Failure::Io { action: "read", path: String::from("standard input"), source };
    line.clear();
    input.take(LINE_LENGTH_MAX).read_until(b'\n', line).map_err(failed)?;
    if line.len() as u64 == LINE_LENGTH_MAX && line.last() != Some(&b'\n') {
        input.skip_until(b'\n').map_err(failed)?;
    }
    Ok(!line.is_empty())
}

fn parse(line: &[u8]) -> Result<(Oid, Tid), String> {
    let line = String::from_utf8_lossy(line);
    let (oid, tid) = line
        .trim()
        .split_once(char::is_whitespace)
        .ok_or_else(|| String::from("expected OID TID, with a space between them"))?;
    let oid = oid.parse().map_err(|error| format!("{error}"))?;
    let tid = tid.trim_start().parse().map_err(|error| format!("{error}"))?;
    Ok((oid, tid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let question = Ok((Oid::new(16), Tid::new(17)));
        for line in ["16 17", "0x10\t0x11\n", " 0000000000000010   0000000000000011 \r\n"] {
            assert_eq!(parse(line.as_bytes()), question, "{line:?}");
        }
        let time = parse(b"1 2026-01-05 12:33");
        assert_eq!(time, Ok((Oid::new(1), Tid::new(0x0406_0071_0000_0000))));
        for line in ["", "1", "1 2 3", "a 1", "1 a", "\u{fffd} 1"] {
            assert!(parse(line.as_bytes()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn long_lines_do_not_fill_the_memory() {
        let length = usize::try_from(LINE_LENGTH_MAX).expect("small");
        let long = [&vec![b'1'; 3 * length][..], b"\n1 2\n"].concat();
        let mut input = &long[..];
        let mut line = Vec::new();
        assert!(read_line(&mut input, &mut line).expect("memory"));
        assert_eq!(line.len(), length);
        assert!(read_line(&mut input, &mut line).expect("memory"));
        assert_eq!(line, b"1 2\n");
        assert!(!read_line(&mut input, &mut line).expect("memory"));
    }
}
