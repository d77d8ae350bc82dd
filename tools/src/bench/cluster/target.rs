//! Which cluster is measured.

use std::fmt;
use std::str::FromStr;

use net::Address;

/// A cluster, as a client finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(super) masters: Vec<Address>,
    pub(super) cluster: String,
}

impl Target {
    /// # Errors
    /// A text for a person, if these are no addresses.
    pub(super) fn new(masters: &str, cluster: &str) -> Result<Self, String> {
        let masters = masters
            .split_whitespace()
            .map(|master| master.parse().map_err(|error: net::ParseAddressError| error.to_string()))
            .collect::<Result<Vec<_>, _>>()?;
        if masters.is_empty() {
            return Err(String::from("expected the addresses of masters, with spaces between"));
        }
        if cluster.is_empty() {
            return Err(String::from("expected the name of the cluster"));
        }
        Ok(Self { masters, cluster: cluster.to_owned() })
    }
}

impl FromStr for Target {
    type Err = String;

    /// Takes `MASTERS/CLUSTER`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (masters, cluster) =
            text.split_once('/').ok_or_else(|| String::from("expected MASTERS/CLUSTER"))?;
        Self::new(masters, cluster)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, master) in self.masters.iter().enumerate() {
            write!(f, "{}{master}", if index > 0 { " " } else { "" })?;
        }
        write!(f, "/{}", self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_masters_and_a_name() {
        let text = "127.0.0.1:1 [::1]:2/some/name";
        let target: Target = text.parse().unwrap();
        assert_eq!((target.masters.len(), target.cluster.as_str()), (2, "some/name"));
        assert_eq!(target.to_string(), text);
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in ["", "127.0.0.1:1", "/name", " /name", "127.0.0.1:1/", "127.0.0.1/name"] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }
}
