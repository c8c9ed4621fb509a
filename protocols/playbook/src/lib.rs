//! The swarm's playbook: what twins have learnt, as pure data and decisions.
//!
//! A playbook starts from a [`Genesis`] document and grows by signed [`Revision`]s, each of which
//! names its parents by CID and carries the [`Delta`]s of the refinement [`Artifact`]s it merged.
//! A [`Dag`] checks and holds revisions; a [`State`] is their fold, a function of the *set* of
//! revisions alone, so nodes that hold the same revisions agree whatever order they arrived in.
//!
//! Nothing here opens a file, reads a clock or draws a random number. The rooms are:
//!
//! - [`delta`]: cases, bullets, counts and settings, and when each is well formed;
//! - [`artifact`]: what a twin offers to the swarm;
//! - [`revision`]: genesis and revisions;
//! - [`block`]: sealing into, and opening from, content-addressed blocks;
//! - [`dag`]: the Merkle DAG; [`state`]: its fold;
//! - [`validate`]: the gates an artifact passes before it may be merged; [`scan`]: its text gates;
//! - [`evaluation`]: task suites, and what a candidate must show on them;
//! - [`canary`]: trying artifacts on a part of the swarm before they are merged;
//! - [`document`]: the settings tree, its known keys, and differences between two trees;
//! - [`toml_form`]: TOML in and out; [`view`]: the typed view of a document.

pub mod artifact;
pub mod block;
pub mod canary;
pub mod dag;
pub mod delta;
pub mod document;
pub mod evaluation;
mod link;
pub mod revision;
pub mod scan;
pub mod state;
pub mod toml_form;
pub mod validate;
pub mod view;

pub use artifact::{Artifact, Evidence};
pub use block::{BlockError, open, seal};
pub use dag::{BadLink, Dag, Insert, LinkError, RevisionError, Verification};
pub use delta::{Bullet, Case, CaseStep, Count, Delta, Fill, Malformed, Setting};
pub use document::{DocumentError, diff};
pub use revision::{Genesis, GenesisError, Merged, Revision};
pub use state::{State, Tally};
pub use toml_form::{parse_toml, to_toml};
pub use validate::{Limits, Refusal, validate_artifact};
pub use view::Playbook;
