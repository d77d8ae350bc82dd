//! What other storages ask, which replicate from this one or compare themselves with it.

mod check;
mod fetch;
mod request;
