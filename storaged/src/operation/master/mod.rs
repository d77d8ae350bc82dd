//! What the primary master asks while the cluster operates.

mod commit;
mod pack;
mod request;
