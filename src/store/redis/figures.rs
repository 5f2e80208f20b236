//! What servers tell of themselves, for the stats.

use deadpool_redis::redis::{FromRedisValue as _, Value};

use crate::store::StoreStatus;

/// The figures in each server's replies to `DBSIZE`, `INFO memory` and `INFO server`: of several the keys and the memory
/// of all, and how long the one has been up that started last. A refused command has none.
pub(super) fn of_all(servers: Vec<Vec<Value>>) -> StoreStatus {
    let mut servers: Vec<Figures> = servers.into_iter().map(Figures::of).collect();
    if let [_] = servers.as_slice() {
        return servers.pop().map(|figures| figures.status).unwrap_or_default();
    }
    // `None` where no server has it: a sum of nothing isn't 0.
    let sum = |figure: fn(&Figures) -> Option<u64>| {
        servers
            .iter()
            .filter_map(figure)
            .fold(None, |sum, part| Some(sum.unwrap_or(0_u64).saturating_add(part)))
    };
    StoreStatus {
        keys: sum(|figures| figures.status.keys),
        memory_used: sum(|figures| figures.bytes).map(human),
        uptime_seconds: servers.iter().filter_map(|figures| figures.status.uptime_seconds).min(),
    }
}

/// The figures of one server.
struct Figures {
    status: StoreStatus,
    /// Memory in use.
    bytes: Option<u64>,
}

impl Figures {
    fn of(answers: Vec<Value>) -> Self {
        let mut answers = answers.into_iter();
        let keys = answers.next().and_then(|reply| u64::from_redis_value(reply).ok());
        let mut info =
            || answers.next().and_then(|reply| String::from_redis_value(reply).ok()).unwrap_or_default();
        let (memory, server) = (info(), info());
        Self {
            status: StoreStatus {
                keys,
                memory_used: field(&memory, "used_memory_human").map(str::to_owned),
                uptime_seconds: field(&server, "uptime_in_seconds").and_then(|seconds| seconds.parse().ok()),
            },
            bytes: field(&memory, "used_memory").and_then(|bytes| bytes.parse().ok()),
        }
    }
}

/// The value of a line `name:value` of `INFO`.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Bytes as servers write them: `1.50M`.
fn human(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    // In hundredths, so that no digit is lost to a fraction.
    let mut hundredths = u128::from(bytes) * 100;
    let mut unit = 'B';
    for larger in UNITS {
        if hundredths < 100 << 10 {
            break;
        }
        hundredths >>= 10;
        unit = larger;
    }
    if unit == 'B' {
        return format!("{bytes}B");
    }
    format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(keys: i64, memory: &str, server: &str) -> Vec<Value> {
        let info = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        vec![Value::Int(keys), info(memory), info(server)]
    }

    #[test]
    fn figures_are_none_where_the_server_gives_none() {
        let memory = "# Memory\r\nused_memory:1\r\nused_memory_human:1.50M\r\n";
        let all = of_all(vec![server(42, memory, "uptime_in_seconds:7\r\n")]);
        assert_eq!(
            (all.keys, all.memory_used.as_deref(), all.uptime_seconds),
            (Some(42), Some("1.50M"), Some(7))
        );
        let junk = vec![Value::Nil, Value::BulkString(b"junk".to_vec()), Value::Int(1)];
        assert_eq!(of_all(vec![junk.clone()]), StoreStatus::default());
        assert_eq!(of_all(vec![Vec::new()]), StoreStatus::default());
        assert_eq!(of_all(vec![junk, Vec::new()]), StoreStatus::default());
    }

    #[test]
    fn several_servers_are_summed_up() {
        let all = of_all(vec![
            server(1, "used_memory:1048576\r\n", "uptime_in_seconds:70\r\n"),
            server(2, "used_memory:524288\r\n", "uptime_in_seconds:7\r\n"),
            vec![Value::Nil],
        ]);
        assert_eq!(
            (all.keys, all.memory_used.as_deref(), all.uptime_seconds),
            (Some(3), Some("1.50M"), Some(7))
        );
    }

    #[test]
    fn bytes_are_written_as_servers_do() {
        let told = [0, 1023, 1024, 1_572_864, 5 << 30, u64::MAX].map(human);
        assert_eq!(told, ["0B", "1023B", "1.00K", "1.50M", "5.00G", "16383.99P"]);
    }
}
