//! A real Redis Cluster on loopback: three masters with a replica each.

use std::path::Path;

use super::RedisServer;
use super::redis::wait;

/// Slots of a Cluster.
const SLOTS: u16 = 16384;

/// Six servers. Dropped, all are stopped.
pub struct RedisCluster {
    /// The first three were made masters, each of the others a replica of the one three before it.
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// A Cluster whose nodes all say that it is well, and whose replicas have their masters' data.
    pub fn start() -> Self {
        Self::with_args(&[])
    }

    /// The same with further arguments for each server.
    pub fn with_args(args: &[&str]) -> Self {
        Self::among(None, args)
    }

    /// A Cluster that speaks TLS, also between its nodes, with these files: certificate, key and authority.
    pub fn with_tls(files: [&Path; 3]) -> Self {
        Self::among(Some(files), &[])
    }

    fn among(files: Option<[&Path; 3]>, args: &[&str]) -> Self {
        let own = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let quick = ["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"];
        let args = [&own[..], &quick, args].concat();
        let cluster = Self { nodes: (0..6).map(|_| RedisServer::among(files, &args)).collect() };
        for (epoch, node) in (1..).zip(&cluster.nodes) {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &format!("{epoch}")]);
        }
        for node in &cluster.nodes[1..] {
            let port = node.peers_port().to_string();
            assert_eq!(cluster.nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &port]), "OK");
        }
        for (index, master) in cluster.nodes[..3].iter().enumerate() {
            let share = |index: usize| u16::try_from(index * usize::from(SLOTS) / 3).unwrap();
            let slots: Vec<_> = (share(index)..share(index + 1)).map(|slot| slot.to_string()).collect();
            let command = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
            assert_eq!(master.cli(&command.collect::<Vec<_>>()), "OK");
        }
        wait("every node knows every other", || {
            cluster.nodes.iter().all(|node| {
                let list = node.cli(&["CLUSTER", "NODES"]);
                list.lines().filter(|line| !line.contains("handshake")).count() == 6
            })
        });
        for index in 0..3 {
            let master = cluster.id(index);
            assert_eq!(cluster.nodes[index + 3].cli(&["CLUSTER", "REPLICATE", &master]), "OK");
        }
        cluster.settle();
        cluster
    }

    /// Waits until all nodes that run say that the Cluster is well, and each replica is up to date.
    pub fn settle(&self) {
        wait("the Cluster is well", || self.is_well());
        wait("the replicas are up to date", || {
            let replication: Vec<_> = self.running().map(|node| node.cli(&["INFO", "replication"])).collect();
            replication.iter().all(|info| info.contains("role:master") || info.contains("link_status:up"))
                && replication.iter().filter(|info| info.contains("role:master")).count() == 3
        });
    }

    /// Whether every node that runs says that the Cluster is well.
    pub fn is_well(&self) -> bool {
        self.running().all(|node| {
            let info = node.cli(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384")
        })
    }

    /// The URL that names the first three nodes.
    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// The same with credentials, such as `user:password@`.
    pub fn url_with(&self, credentials: &str) -> String {
        let hosts: Vec<_> = self.nodes[..3].iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis-cluster://{credentials}{}", hosts.join(","))
    }

    /// The URL for TLS.
    pub fn tls_url(&self) -> String {
        let hosts: Vec<_> =
            self.nodes[..3].iter().map(|node| format!("127.0.0.1:{}", node.tls_port())).collect();
        format!("rediss-cluster://{}", hosts.join(","))
    }

    /// All servers: the first three were made masters.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// All servers.
    pub fn nodes_mut(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// The servers that run.
    pub fn running(&self) -> impl Iterator<Item = &RedisServer> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// The slot of a key.
    pub fn slot(&self, name: &str) -> u16 {
        let node = self.running().next().expect("a node that runs");
        node.cli(&["CLUSTER", "KEYSLOT", name]).parse().unwrap()
    }

    /// The place of the master that has a slot, as another node sees it.
    pub fn owner(&self, slot: u16) -> usize {
        let node = self.running().next().expect("a node that runs");
        let list = node.cli(&["CLUSTER", "NODES"]);
        let owns = |line: &&str| {
            line.contains("master")
                && !line.contains("fail")
                && line.split(' ').skip(8).any(|range| {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    let number = |text: &str| text.parse::<u16>().ok();
                    number(first)
                        .zip(number(last))
                        .is_some_and(|(first, last)| (first..=last).contains(&slot))
                })
        };
        let line = list.lines().find(owns).unwrap_or_else(|| panic!("nobody has slot {slot}: {list}"));
        let address = line.split(' ').nth(1).unwrap();
        let port: u16 = address.split([':', '@']).nth(1).unwrap().parse().unwrap();
        self.nodes.iter().position(|node| node.port() == port).unwrap()
    }

    /// Begins to move a slot: what isn't on its old node any more is asked of the new one.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let (source, target) = (self.id(from), self.id(to));
        let ok = |node: usize, state, id: &str| {
            assert_eq!(self.nodes[node].cli(&["CLUSTER", "SETSLOT", &slot, state, id]), "OK");
        };
        ok(to, "IMPORTING", &source);
        ok(from, "MIGRATING", &target);
    }

    /// Moves the slot's keys.
    pub fn move_keys(&self, slot: u16, from: usize, to: usize) {
        let (slot, port) = (slot.to_string(), self.nodes[to].port().to_string());
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.is_empty() {
                return;
            }
            let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "REPLACE", "KEYS"];
            let command: Vec<_> = migrate.into_iter().chain(keys.lines()).collect();
            let reply = self.nodes[from].cli(&command);
            // Between the two commands a key may have run out.
            assert!(matches!(reply.as_str(), "OK" | "NOKEY"), "{reply}");
        }
    }

    /// Gives the slot to its new node.
    pub fn end_move(&self, slot: u16, to: usize) {
        let (slot, id) = (slot.to_string(), self.id(to));
        let told = |node: &RedisServer| node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        assert_eq!(told(&self.nodes[to]), "OK");
        for node in self.running().filter(|node| node.cli(&["ROLE"]).starts_with("master")) {
            told(node);
        }
    }

    /// Moves a slot with its keys.
    pub fn move_slot(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        self.begin_move(slot, from, to);
        self.move_keys(slot, from, to);
        self.end_move(slot, to);
    }

    fn id(&self, node: usize) -> String {
        self.nodes[node].cli(&["CLUSTER", "MYID"])
    }
}
