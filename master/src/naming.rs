//! What a cluster is called.

use model::Random;

use crate::error::Error;
use crate::log::{Command, Ledger};
use crate::options::MasterOptions;

/// The name of the cluster: as told, as remembered, or a new one.
pub(crate) fn cluster_name(
    options: &MasterOptions,
    ledger: &mut Ledger,
    random: &mut Random,
) -> Result<String, Error> {
    let name = match (&ledger.remembered().cluster, &options.cluster) {
        (Some((found, _)), Some(expected)) if found != expected => {
            let (found, expected) = (found.clone(), expected.clone());
            return Err(Error::OtherCluster { file: ledger.path().to_owned(), found, expected });
        }
        (Some((found, _)), _) => return Ok(found.clone()),
        (None, Some(name)) => name.clone(),
        (None, None) => format!("neolith-{:08x}", random.next_u64() >> 32),
    };
    let id = std::array::from_fn(|_| random.next_u64().to_le_bytes()[0]);
    ledger.propose(Command::Cluster { name: name.clone(), id });
    Ok(name)
}
