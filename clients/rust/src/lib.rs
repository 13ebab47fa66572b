//! The Rust client of kootask: it tells how a KooDrive task stands, and watches one until it is finished.
//!
//! ```no_run
//! use kootask::{Client, StreamExt};
//!
//! # async fn example() -> Result<(), kootask::Error> {
//! let client = Client::builder("kootask.example:9090").token("Bearer …").build()?;
//! let mut tasks = client.watch("1534087020903704704");
//! while let Some(task) = tasks.try_next().await? {
//!     println!("{}", task.status().as_str_name());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A watch goes on when the server is redeployed or the connection breaks: it begins anew after the delay that the
//! server asked for, and hands out no task twice. What it cannot go on after it says as an [`Error`].
//!
//! A task that failed is a value: its status says so. [`CallOptions::failed_task_as_error`] makes it an error.
//!
//! The client runs on Tokio. Dropping a stream or a future cancels the call.

mod builder;
mod call;
mod caller;
mod client;
mod error;
mod event;
mod options;
mod secret;
mod stream;
mod watch;

/// What is generated from the contract.
#[rustfmt::skip]
#[allow(dead_code, missing_docs, clippy::all)]
#[path = "gen/koodrive.task.v1.rs"]
mod contract;

pub use builder::Builder;
pub use client::Client;
pub use contract::{ErrorReason, Heartbeat, ResultCode, Task, TaskStatus, TaskType};
pub use error::{Error, Violation};
pub use event::{Event, Resume};
pub use options::CallOptions;
pub use prost_types::Timestamp;
pub use stream::{Events, Tasks};
pub use tokio_stream::{Stream, StreamExt};
pub use tonic::Code;
#[cfg(feature = "tls")]
pub use tonic::transport::{Certificate, ClientTlsConfig, Identity};
