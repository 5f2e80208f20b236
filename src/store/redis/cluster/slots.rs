//! Which slot a key is in, which node has a slot, and where a node sends those who ask the wrong one.
//!
//! By the [Cluster specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).

use deadpool_redis::redis::{ServerError, Value};

use crate::store::redis::settings::Address;

/// Slots of a Cluster.
pub(super) const SLOTS: u16 = 16384;

/// Ranges in a map that are looked at; more than one a slot can't be meant.
const MAX_RANGES: usize = SLOTS as usize;

/// The slot of the key `name`: of what stands in its first braces, if anything does.
pub(super) fn slot(name: &[u8]) -> u16 {
    crc16(tag(name).unwrap_or(name)) % SLOTS
}

fn tag(name: &[u8]) -> Option<&[u8]> {
    let open = name.iter().position(|byte| *byte == b'{')?;
    let rest = name.get(open + 1..)?;
    let close = rest.iter().position(|byte| *byte == b'}')?;
    rest.get(..close).filter(|tag| !tag.is_empty())
}

/// CRC-16/XMODEM, polynomial 0x1021.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let crc = crc.rotate_left(8) ^ u16::from(*byte);
        let crc = crc ^ (crc & 0xff) >> 4;
        let crc = crc ^ crc << 12;
        crc ^ (crc & 0xff) << 5
    })
}

/// Slots, first and last, and their master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) master: Address,
}

/// The ranges in a reply to `CLUSTER SLOTS`, which `asked` gave. What makes no sense is left out; `None` if nothing does.
pub(super) fn ranges(reply: &Value, asked: &Address) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else { return None };
    let ranges: Vec<_> = ranges.iter().take(MAX_RANGES).filter_map(|value| range(value, asked)).collect();
    (!ranges.is_empty()).then_some(ranges)
}

fn range(value: &Value, asked: &Address) -> Option<Range> {
    let Value::Array(parts) = value else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else {
        return None;
    };
    let slot = |number: i64| u16::try_from(number).ok().filter(|slot| *slot < SLOTS);
    let (first, last) = (slot(*first)?, slot(*last)?);
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        // The node doesn't know by which name it was reached.
        Value::Nil => "",
        _ => return None,
    };
    let master = told(host, u16::try_from(*port).ok()?, asked)?;
    (first <= last).then_some(Range { first, last, master })
}

/// A node by what `asked` says of it: no host means its own.
fn told(host: &str, port: u16, asked: &Address) -> Option<Address> {
    match host {
        // Its word for a host that it doesn't know.
        "?" => None,
        "" => Address::told(&asked.host, port),
        host => Address::told(host, port),
    }
}

/// Where a node sends a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect {
    pub(super) slot: u16,
    pub(super) to: Address,
    /// For this command alone, to be sent behind `ASKING`: the slot is being moved.
    pub(super) asking: bool,
}

impl Redirect {
    /// What a reply of `asked` says, if it is a redirect.
    pub(super) fn of(reply: &Value, asked: &Address) -> Option<Self> {
        let Value::ServerError(error) = reply else { return None };
        Self::of_error(error, asked)
    }

    fn of_error(error: &ServerError, asked: &Address) -> Option<Self> {
        let asking = match error.code() {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let mut words = error.details()?.split_ascii_whitespace();
        let slot = words.next()?.parse().ok().filter(|slot| *slot < SLOTS)?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        Some(Self { slot, to: told(host, port.parse().ok()?, asked)?, asking })
    }
}

#[cfg(test)]
mod tests {
    use deadpool_redis::redis::parse_redis_value;
    use proptest::prelude::*;

    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` says.
        for (name, expected) in [
            ("", 0),
            ("foo", 12182),
            ("bar", 5061),
            ("somekey", 11058),
            ("{foo}bar", 12182),
            ("a{foo}{b}", 12182),
        ] {
            assert_eq!(slot(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(slot(b"foo{hash_tag}"), 2515);
        // Nothing in braces, or no end of them: the whole name.
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{bar"), crc16(b"foo{bar") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), crc16(b"{bar") % SLOTS);
    }

    #[test]
    fn a_map_is_read_with_all_that_servers_write_for_a_host() {
        let reply = parse_redis_value(
            b"*5\r\n\
            *4\r\n:0\r\n:5460\r\n*3\r\n$8\r\n10.0.0.1\r\n:7000\r\n$2\r\nid\r\n*2\r\n$8\r\n10.0.0.9\r\n:7009\r\n\
            *3\r\n:5461\r\n:5461\r\n*4\r\n$-1\r\n:7001\r\n$2\r\nid\r\n*0\r\n\
            *3\r\n:5462\r\n:9000\r\n*2\r\n$0\r\n\r\n:7002\r\n\
            *3\r\n:9001\r\n:9002\r\n*2\r\n$1\r\n?\r\n:7003\r\n\
            *3\r\n:9003\r\n:16383\r\n*2\r\n$3\r\n::1\r\n:7004\r\n",
        )
        .unwrap();
        let read = ranges(&reply, &address("asked", 6379)).unwrap();
        let seen: Vec<_> = read.iter().map(|range| (range.first, range.last, range.master.clone())).collect();
        assert_eq!(
            seen,
            [
                (0, 5460, address("10.0.0.1", 7000)),
                (5461, 5461, address("asked", 7001)),
                (5462, 9000, address("asked", 7002)),
                (9003, 16383, address("::1", 7004)),
            ]
        );
    }

    #[test]
    fn a_map_that_makes_no_sense_is_none() {
        for reply in [
            &b"*0\r\n"[..],
            b"+OK\r\n",
            b"$-1\r\n",
            b"*1\r\n*0\r\n",
            b"*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\nh\r\n:1\r\n",
            b"*1\r\n*3\r\n:-1\r\n:4\r\n*2\r\n$1\r\nh\r\n:1\r\n",
            b"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:1\r\n",
            b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n:0\r\n",
            b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n:65536\r\n",
            b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$2\r\nh \r\n:1\r\n",
            b"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n:1\r\n:1\r\n",
            b"*1\r\n*2\r\n:0\r\n:1\r\n",
        ] {
            let reply = parse_redis_value(reply).unwrap();
            assert_eq!(ranges(&reply, &address("asked", 1)), None, "{reply:?}");
        }
    }

    fn redirect(reply: &str) -> Option<Redirect> {
        Redirect::of(&parse_redis_value(reply.as_bytes()).unwrap(), &address("asked", 6379))
    }

    #[test]
    fn a_redirect_says_where_and_for_how_long() {
        let to = |slot, host, port, asking| Some(Redirect { slot, to: address(host, port), asking });
        assert_eq!(redirect("-MOVED 3999 127.0.0.1:6381\r\n"), to(3999, "127.0.0.1", 6381, false));
        assert_eq!(redirect("-ASK 0 node-2.cache:6381\r\n"), to(0, "node-2.cache", 6381, true));
        assert_eq!(redirect("-MOVED 1 ::1:6381\r\n"), to(1, "::1", 6381, false));
        assert_eq!(redirect("-MOVED 1 :6381\r\n"), to(1, "asked", 6381, false), "the asked node's own host");
        for other in [
            "+MOVED 1 h:1\r\n",
            "-MOVED\r\n",
            "-MOVED 1\r\n",
            "-MOVED x h:1\r\n",
            "-MOVED 16384 h:1\r\n",
            "-MOVED 1 h\r\n",
            "-MOVED 1 h:0\r\n",
            "-MOVED 1 h:65536\r\n",
            "-MOVED 1 ?:1\r\n",
            "-MOVED 1 u@h:1\r\n",
            "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
            "-CLUSTERDOWN The cluster is down\r\n",
        ] {
            assert_eq!(redirect(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn no_redirect_panics(text in "\\PC{0,40}") {
            redirect(&format!("-MOVED {text}\r\n"));
            redirect(&format!("-ASK {text}\r\n"));
        }
    }
}
