//! What a cluster on this host consists of.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use model::PartitionCount;
use net::Address;

use crate::failure::Failure;

/// A node that is to be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NodePlan {
    /// Its section of the configuration: `master`, `admin`, `storage1` and so on.
    pub(super) section: String,
    /// The command that runs it.
    pub(super) command: &'static str,
    pub(super) address: Address,
    /// Of a master the directory of its log, of a storage that of its database.
    pub(super) directory: Option<PathBuf>,
}

/// A cluster that is to be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) directory: PathBuf,
    pub(super) partitions: PartitionCount,
    pub(super) replicas: u32,
    pub(super) nodes: Vec<NodePlan>,
}

impl Plan {
    /// On ports of loopback that are free now.
    pub(super) fn new(
        name: String,
        directory: PathBuf,
        partitions: PartitionCount,
        replicas: u32,
        storages: u32,
    ) -> Result<Self, Failure> {
        let mut ports = Ports::default();
        let data = |name: &str| Some(directory.join(name));
        let mut nodes = vec![
            NodePlan {
                section: String::from("master"),
                command: "master",
                address: ports.take()?,
                directory: data("master"),
            },
            NodePlan {
                section: String::from("admin"),
                command: "admin",
                address: ports.take()?,
                directory: None,
            },
        ];
        for number in 1..=storages {
            let section = storage_name(number);
            let directory = data(&section);
            nodes.push(NodePlan {
                section,
                command: "storaged",
                address: ports.take()?,
                directory,
            });
        }
        Ok(Self { name, directory, partitions, replicas, nodes })
    }

    pub(super) fn master(&self) -> &Address {
        self.address_of("master")
    }

    pub(super) fn admin(&self) -> &Address {
        self.address_of("admin")
    }

    pub(super) fn storages(&self) -> usize {
        self.nodes.iter().filter(|node| node.command == "storaged").count()
    }

    fn address_of(&self, command: &str) -> &Address {
        let found = self.nodes.iter().find(|node| node.command == command);
        &found.expect("a plan has a node of each kind").address
    }
}

/// Name of a storage: of its section and of its directory.
pub(super) fn storage_name(number: u32) -> String {
    format!("storage{number}")
}

/// Ports that nobody listens at. They are held until all are chosen, so that they differ.
#[derive(Default)]
struct Ports(Vec<TcpListener>);

impl Ports {
    fn take(&mut self) -> Result<Address, Failure> {
        let failed = |source| Failure::Io {
            action: "find a free port of",
            path: Ipv4Addr::LOCALHOST.to_string(),
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        self.0.push(listener);
        Ok(Address::from(address))
    }
}
