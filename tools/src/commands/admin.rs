//! `neolith admin`.

use std::process::ExitCode;

use model::Nid;

use crate::admin::{Admin, AdminOptions};
use crate::failure::Failure;
use crate::node::{AdminArgs, Daemon, Named, configured, ignored, run_logged, typed_words};

/// The port of admins in NEO.
const PORT: u16 = 9999;

pub(crate) fn run() -> Result<ExitCode, Failure> {
    let args: AdminArgs = configured(&typed_words())?;
    run_logged("admin", &args.common, |log| {
        let Some(cluster) = args.common.cluster.clone() else {
            return Err(Failure::Refused(String::from(
                "the name of the cluster is missing: give --cluster",
            )));
        };
        warn(&args);
        let mut daemon = Daemon::start(&args.common, PORT)?;
        let options = AdminOptions {
            cluster,
            address: daemon.address.clone(),
            masters: daemon.masters_or_default(),
            nid: args.nid,
            reconnect_delay: daemon.reconnect_delay,
        };
        let (_, ended) = daemon.run(Admin::new(options, net::now()), log);
        tracing::info!(?ended, "ends");
        Ok(ExitCode::SUCCESS)
    })
}

fn warn(args: &AdminArgs) {
    let given = [
        ("--monitor-maxlag", args.monitor_maxlag.is_some()),
        ("--monitor-email", !args.monitor_email.is_empty()),
        ("--monitor-backup", !args.monitor_backup.is_empty()),
        ("--smtp", args.smtp.is_some()),
        ("--smtp-tls", args.smtp_tls),
        ("--smtp-auth", args.smtp_auth.is_some()),
    ];
    for (option, _) in given.into_iter().filter(|(_, given)| *given) {
        ignored(option, "backup clusters are not monitored, and no mail is sent");
    }
}

impl Named for Admin {
    fn nid(&self) -> Option<Nid> {
        self.nid()
    }

    fn cluster(&self) -> Option<&str> {
        Some(self.cluster_name())
    }
}
