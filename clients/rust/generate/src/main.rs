//! Generates the client's `src/gen` from the contract in `proto`. `make build` runs it; users of the client need not.

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let contract = protox::compile(
        ["koodrive/task/v1/task.proto", "koodrive/task/v1/error_reason.proto"],
        [client.join("../../proto")],
    )?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .disable_comments(["koodrive.task.v1.TaskService"]) // rustdoc would take its indented table for a test.
        .message_attribute(".", "#[non_exhaustive]") // The contract may grow.
        .enum_attribute(".", "#[non_exhaustive]")
        .out_dir(client.join("src/gen"))
        .compile_fds(contract)?;
    Ok(())
}
