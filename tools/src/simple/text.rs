//! What a client needs to know of a cluster.

use net::Address;

use super::plan::Plan;

/// How to reach the cluster, in the ways in which clients want to be told.
pub(super) fn how_to_reach(plan: &Plan) -> String {
    let (name, master, admin) = (&plan.name, plan.master(), plan.admin());
    format!(
        "URI      {uri}\n\
         ZConfig  %import neo.client\n         \
                  <NEOStorage>\n           \
                    master_nodes {master}\n           \
                    name {name}\n         \
                  </NEOStorage>\n\
         Python   from neo.client.Storage import Storage\n         \
                  storage = Storage(master_nodes={master:?}, name={name:?})\n\
         Control  neolith ctl -a {admin} print summary\n\
         Files    {directory}",
        uri = uri(name, master),
        master = master.to_string(),
        directory = plan.directory.display(),
    )
}

/// `neo://name@masters`
pub(super) fn uri(name: &str, master: &Address) -> String {
    format!("neo://{}@{master}", quoted(name))
}

/// Letters that mean something else in URIs are written as numbers.
fn quoted(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let quote = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    name.bytes().map(quote).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_in_uris() {
        let master = "127.0.0.1:10000".parse().unwrap();
        assert_eq!(uri("site", &master), "neo://site@127.0.0.1:10000");
        assert_eq!(uri("my@site/\u{e9}", &master), "neo://my%40site%2F%C3%A9@127.0.0.1:10000");
    }
}
