//! The Rust client of kootask. It reports the status of KooDrive tasks, once or live until they are finished.
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
//! [`Client::wait`] returns the finished task alone, and [`Client::watch_all`] watches any number of tasks.
//!
//! A watch continues when the server is redeployed or the connection breaks: it resumes after the delay that the server
//! asks for, and yields no state twice. If it cannot resume, it ends with an [`Error`].
//!
//! A failed task is a value with the status `Failed`. [`CallOptions::failed_task_as_error`] turns it into an error.
//!
//! The client runs on Tokio. Dropping a stream or a future cancels the call.

mod address;
mod builder;
mod call;
mod caller;
mod client;
mod error;
mod event;
mod options;
mod peer;
mod resume;
mod secret;
mod source;
mod stream;
mod watch;
mod watched;
mod watcher;

#[cfg(test)]
mod scripted;

/// The types that are generated from the contract.
#[rustfmt::skip]
#[allow(dead_code, missing_docs, clippy::all)]
#[path = "gen/koodrive.task.v1.rs"]
mod contract;

pub use builder::Builder;
pub use client::Client;
pub use contract::{ErrorReason, ResultCode, Task, TaskStatus, TaskType};
pub use error::{Error, Violation};
pub use event::{Event, Heartbeat, Resume};
pub use options::CallOptions;
pub use prost_types::Timestamp;
pub use stream::{Events, Tasks};
pub use tokio_stream::{Stream, StreamExt};
pub use tonic::Code;
#[cfg(feature = "tls")]
pub use tonic::transport::{Certificate, ClientTlsConfig, Identity};
