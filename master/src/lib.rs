//! Cluster coordination.
