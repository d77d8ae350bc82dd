//! What operators type: nodes, tids, partitions to check, addresses.

use std::time::Duration;

use model::{Nid, NodeType, PartitionId, Tid, UtcTime};
use net::Address;

/// Takes `S1`, `M1`, `A1`, `C1`.
pub(crate) fn parse_nid(text: &str) -> Result<Nid, String> {
    let refuse =
        || format!("{text:?} is no node: expected a letter and a number, such as S1 or M2");
    let letter = text.chars().next().ok_or_else(refuse)?;
    let node_type = match letter.to_ascii_uppercase() {
        'M' => NodeType::Master,
        'S' => NodeType::Storage,
        'C' => NodeType::Client,
        'A' => NodeType::Admin,
        _ => return Err(refuse()),
    };
    let digits = &text[1..];
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let number: u32 = digits.parse().ok().filter(|_| is_number).ok_or_else(refuse)?;
    match (1..=Nid::NUMBER_MAX).contains(&number) {
        true => Ok(Nid::of(node_type, number)),
        false => Err(refuse()),
    }
}

/// Takes `tid:` and an integer, decimal or with `0x`, or seconds since 1970, with a fraction or
/// not. A time is the greatest tid that is not later.
pub(crate) fn parse_tid(text: &str) -> Result<Tid, String> {
    let refuse = || {
        format!(
            "{text:?} is no tid: expected tid:NUMBER, where the number may be 0x and hexadecimal \
             digits, or a time in seconds since 1970 that is before the year 9917"
        )
    };
    let prefix = text.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("tid:"));
    if prefix.is_some() {
        return parse_integer(&text[4..]).map(Tid::new).ok_or_else(refuse);
    }
    let seconds: f64 = text.parse().map_err(|_| refuse())?;
    let since_epoch = Duration::try_from_secs_f64(seconds).map_err(|_| refuse())?;
    UtcTime::from_unix(since_epoch).map(Tid::at).ok_or_else(refuse)
}

fn parse_integer(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
    u64::from_str_radix(digits, radix).ok().filter(|_| all_digits)
}

/// What is to be checked.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Checks {
    /// Partitions, each with the node that is taken for right; no partition: all.
    pub(crate) partitions: Vec<(Option<PartitionId>, Option<Nid>)>,
    pub(crate) tid_min: Tid,
    pub(crate) tid_max: Option<Tid>,
}

/// Takes `[PARTITION]:[NODE]` any number of times, then at most two tids.
pub(crate) fn parse_checks(words: &[String]) -> Result<Checks, String> {
    let mut checks = Checks { partitions: Vec::new(), tid_min: Tid::ZERO, tid_max: None };
    let mut words = words.iter();
    let mut tids = Vec::new();
    for word in words.by_ref() {
        let is_tid = word.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("tid:"));
        match word.split_once(':') {
            Some((partition, node)) if !is_tid => {
                if !tids.is_empty() {
                    return Err(format!("{word:?}: partitions come before tids"));
                }
                checks.partitions.push(parse_check(word, partition, node)?);
            }
            _ => tids.push(parse_tid(word)?),
        }
    }
    if checks.partitions.is_empty() {
        return Err(String::from(
            "nothing to check: give partitions, such as 0: 1:S1, or : for all",
        ));
    }
    let all = checks.partitions.iter().any(|(partition, _)| partition.is_none());
    if all && checks.partitions.len() > 1 {
        return Err(String::from(": stands for all partitions, and is given alone"));
    }
    match tids[..] {
        [] => {}
        [tid_min] => checks.tid_min = tid_min,
        [tid_min, tid_max] => (checks.tid_min, checks.tid_max) = (tid_min, Some(tid_max)),
        _ => return Err(String::from("expected at most two tids")),
    }
    Ok(checks)
}

fn parse_check(
    word: &str,
    partition: &str,
    node: &str,
) -> Result<(Option<PartitionId>, Option<Nid>), String> {
    let refuse = |_| format!("{word:?}: expected [PARTITION]:[NODE]");
    let partition = match partition {
        "" => None,
        text => Some(PartitionId::new(text.parse().map_err(refuse)?)),
    };
    let node = match node {
        "" => None,
        text => Some(parse_nid(text)?),
    };
    Ok((partition, node))
}

/// Takes `HOST:PORT`, `[IPv6]:PORT`, or a host alone, with the port of admins.
pub(crate) fn parse_address(text: &str) -> Result<Address, String> {
    const PORT_DEFAULT: u16 = 9999;
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let host = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(host) => host,
        None => text,
    };
    let is_host =
        !host.is_empty() && (!host.contains(':') || host.parse::<std::net::Ipv6Addr>().is_ok());
    match is_host {
        true => Ok(Address { host: host.to_owned(), port: PORT_DEFAULT }),
        false => Err(format!("{text:?} is no address: expected HOST:PORT or [IPv6]:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_as_typed() {
        for text in ["S1", "M2", "C16777215", "A3"] {
            assert_eq!(parse_nid(text).unwrap().to_string(), text);
        }
        assert_eq!(parse_nid("s1"), parse_nid("S1"));
        for text in ["", "S", "1", "S0", "S-1", "S+1", "X1", "S16777216", "S1 ", "\u{e9}1"] {
            assert!(parse_nid(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn tids_as_typed() {
        let cases = [
            ("tid:257684787499560686", Some(257_684_787_499_560_686)),
            ("TID:0x3937af2eeeeeeee", Some(0x0393_7af2_eeee_eeee)),
            ("1325421296", Some(0x0393_7af2_eeee_eeee)),
            ("1325421296.5", Some(0x0393_7af2_f111_1111)),
            ("0", Some(0x023c_2b00_0000_0000)),
            ("tid:", None),
            ("tid:-1", None),
            ("tid:+1", None),
            ("tid:1.5", None),
            ("tid:0x", None),
            ("tid:18446744073709551616", None),
            ("-1", None),
            ("nan", None),
            ("inf", None),
            ("soon", None),
            ("", None),
            // A tid whose prefix was forgotten is no moment.
            ("257684787499560686", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_tid(text).ok(), expected.map(Tid::new), "{text:?}");
        }
    }

    #[test]
    fn checks_as_typed() {
        let parse = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            parse_checks(&words)
        };
        let checks = parse("0: 3:S2 tid:5 tid:0x10").unwrap();
        let partition = |number| Some(PartitionId::new(number));
        let node = Some(Nid::of(NodeType::Storage, 2));
        assert_eq!(checks.partitions, [(partition(0), None), (partition(3), node)]);
        assert_eq!((checks.tid_min, checks.tid_max), (Tid::new(5), Some(Tid::new(16))));
        assert_eq!(parse(":S2").unwrap().partitions, [(None, node)]);
        for line in ["", "tid:1", "0: :", "x:", "0:1", "0: tid:1 tid:2 tid:3", "tid:1 0:", "0:S1:"]
        {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn addresses_as_typed() {
        let cases = [
            ("127.0.0.1:1", Some("127.0.0.1:1")),
            ("localhost", Some("localhost:9999")),
            ("[::1]:1", Some("[::1]:1")),
            ("[::1]", Some("[::1]:9999")),
            ("::1", Some("[::1]:9999")),
            ("", None),
            (":1", None),
            ("host:port", None),
            ("host:65536", None),
        ];
        for (text, expected) in cases {
            let parsed = parse_address(text).ok().map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        }
    }
}
