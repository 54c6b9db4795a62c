//! Stories of leaders and followers, told by whole [`ReplicaManager`](super::ReplicaManager)s that talk to each other.

mod cluster;
mod delete_stories;
mod directory_stories;
mod fetch_stories;
mod isr_stories;
mod metadata_stories;
mod network;
mod produce_stories;
mod toggle_stories;
mod truncation_stories;
