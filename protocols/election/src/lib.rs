//! Which node is the Master Orchestrator (MO), decided without a socket, a clock or a disk.
//!
//! A [`Machine`] takes [`Input`]s with the time and answers with ordered [`Output`]s; the driver
//! around it signs, gossips, stores and wakes it up. The protocol in short:
//!
//! 1. **Standing.** A node that has listened for `settle_ms` and hears of no MO picks the next
//!    term and its electorate: the top [`MAX_ELECTORATE`] of its live view by rank
//!    ([`View::electorate`]). It stands after a back-off that grows with its own rank.
//! 2. **Voting.** A member gives one signed vote per term, and has stored it before it is sent.
//!    Repeats of the same vote are free, so that loss on the way needs no new term.
//! 3. **Certificate.** Votes of a strict majority of the electorate make a [`Certificate`]. Anyone
//!    can check it with nothing but the public keys inside the DIDs.
//! 4. **Lease.** The MO's heartbeats carry the certificate, so one of them is enough for a
//!    newcomer, and each renews the lease that every follower keeps on its own clock. A lone node
//!    is its own electorate of one and so its own MO.
//! 5. **Merging.** Where two MOs meet, every node picks the better claim: see below. Where the
//!    surviving certificate no longer speaks for most of the nodes now alive, the surviving MO
//!    stands again at a higher term and keeps its office while it does.
//!
//! # Which claim is better
//! First a *strong* claim over a *weak* one, then the higher term, then the larger electorate,
//! then the lower certificate hash. A certificate is strong in a node's view when
//!
//! - it *covers* the view: its electorate has more than half of `min(electorate_max, live)`
//!   members; and
//! - it is *known*: more than half of its voters are in the live view. This counts only for an
//!   *established* view: one that is a lease old and has other members.
//!
//! Strength comes first because anyone can certify itself with an electorate of one, or of keys
//! it made up, at any term: term order alone would hand the office to any single node that wants
//! it. In an established view, a certificate of unknown voters is refused outright. A weak but
//! known one is followed for want of a better, for one lease; then members stand and vote as if
//! the office were vacant. The terms a node follows never fall ([`Durable::certified`]): when the strong
//! claim has the lower term, those of the weak one give it up and say so
//! ([`ElectionMessage::Ahead`]), and the strong MO stands again above it.
//!
//! The driver decides who is in the view ([`Input::MemberSeen`], [`Input::MemberLost`]), so
//! admission against made-up identities belongs there.
//!
//! # Terms and hostile nodes
//! Seeing a term never raises one's own: only voting, standing or a followed certificate does. A
//! candidate more than `max_term_jump` ahead gets no vote, and neither a hint nor a weak
//! certificate is taken from more than half as far ahead; so honest voters stay within reach of
//! each other. A strong certificate in an established view may be any distance ahead. No term is
//! above [`TERM_MAX`] (2^53 - 1, exact in JSON); at that term a node stands no more and says so in
//! its [`Status`].
//!
//! # Known limits of this form
//! - A newcomer cut off from all honest members follows whatever certificate it is shown until its
//!   view fills.
//! - Replays are refused by (term, timestamp, sequence) per MO and by age; an attacker who holds
//!   back heartbeats can stretch a dead MO's lease for a node that has never heard that MO by at
//!   most `max_skew_ms`.
//! - An eligible member may win votes and then withhold its certificate: that costs one
//!   `vote_timeout_ms` for each time.
//! - Nothing stops an MO from acting outside its term but its followers' refusal: what an MO signs
//!   must carry its term and certificate.

mod certificate;
mod clock;
mod config;
mod io;
mod machine;
mod message;
mod view;

pub use certificate::{Certificate, CertificateError, MAX_ELECTORATE, TERM_MAX};
pub use config::Config;
pub use io::{Durable, Input, Leader, Output, Refusal, Role, Status, VacantReason};
pub use machine::Machine;
pub use message::{ElectionMessage, electorate_digest};
pub use view::View;
