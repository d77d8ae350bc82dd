//! Does to a cluster what clients do, and checks what comes of it.
//!
//! `RUST_LOG=debug cargo run -p neolith-client --example exercise CLUSTER MASTER.. [-- SCENARIO..]`

mod scenarios;
mod shared;

use std::process::ExitCode;

use client::{ClientOptions, Session};

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    let wanted = match arguments.iter().position(|argument| argument == "--") {
        Some(place) => arguments.split_off(place).split_off(1),
        None => Vec::new(),
    };
    let Some((cluster, masters)) = arguments.split_first() else {
        eprintln!("usage: exercise CLUSTER MASTER.. [-- SCENARIO..]");
        return ExitCode::FAILURE;
    };
    let masters = masters.iter().map(|master| master.parse().expect("HOST:PORT")).collect();
    let options = ClientOptions::new(cluster, masters);
    for (name, scenario) in scenarios::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let session = Session::open_with(options.clone()).expect("the cluster is there");
        println!("{name} ..");
        scenario(&session, &options);
        session.close();
        println!("{name} ok");
    }
    ExitCode::SUCCESS
}
