//! The control API of a node: REST and server-sent events over HTTP/1.1.
//!
//! [`serve`] binds the listeners and answers every route of [`openapi`] by calling a
//! [`pagi_api::Node`]. A request passes through these rooms, outermost first:
//!
//! - `shield`: a panic, and any error that is not a problem document yet, become one (RFC 9457);
//! - [`guard`]: `Host`, `Origin` and the bearer token, so that neither another machine nor a web
//!   page in the user's browser gets in;
//! - `work`: a request that may change something runs to its end even if its client goes away;
//! - `routes`: one table of routes, from which the router and the OpenAPI document are both built;
//! - `extract`: the path, the query and the body as typed values, or the problem that says which
//!   part is wrong.
//!
//! TCP wants a token. The unix socket does not: its file mode and the directory it lives in are
//! what keeps others out.

mod config;
mod extract;
mod failure;
pub mod guard;
mod openapi;
mod routes;
mod server;
mod shield;
mod socket;
mod token;
mod work;

pub use config::{ControlConfig, ControlError, Limits};
pub use guard::Guard;
pub use openapi::openapi;
pub use routes::router;
pub use server::{Control, serve};
pub use token::{Token, TokenError};
