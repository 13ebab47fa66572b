//! Makes the call that a line of JSON on stdin describes, and prints its results as JSON lines.

use std::{
    error::Error as StdError,
    fs,
    io::Write,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kootask::{
    CallOptions, Certificate, Client, ClientTlsConfig, Code, Error, Event, Events, Heartbeat, ResultCode, StreamExt,
    Task, TaskStatus, TaskType, Timestamp,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Command {
    call: Kind,
    addr: String,
    #[serde(default)]
    task_id: String,
    #[serde(default)]
    task_ids: Vec<String>,
    ca_file: Option<PathBuf>,
    token: Option<String>,
    user_id: Option<String>,
    language: Option<String>,
    max_age: Option<f64>,
    #[serde(default)]
    failed_task_as_error: bool,
    deadline: Option<f64>,
    cancel_after_tasks: Option<usize>,
    #[serde(default)]
    caller_tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Get,
    Wait,
    Watch,
    WatchAll,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut stdin = BufReader::new(tokio::io::stdin());
    let mut line = String::new();
    let result = match stdin.read_line(&mut line).await {
        Ok(_) => run(&line).await,
        Err(err) => Err(err.into()),
    };
    if let Err(err) = result {
        eprintln!("{err}");
        return ExitCode::from(2);
    }
    let _ = stdin.read_to_end(&mut Vec::new()).await;
    ExitCode::SUCCESS
}

/// Fails if the command is invalid. The error of a call is printed.
async fn run(line: &str) -> Result<(), Box<dyn StdError>> {
    let command: Command = serde_json::from_str(line)?;
    let options = options(&command)?;
    let client = client(command.addr, command.caller_tokens, command.ca_file)?;
    let (id, cancel_after) = (&command.task_id, command.cancel_after_tasks);
    print(match command.call {
        Kind::Get => one(client.get_with(id, options).await),
        Kind::Wait => one(client.wait_with(id, options).await),
        Kind::Watch => watch(client.events_with(id, options), false, cancel_after).await,
        Kind::WatchAll => watch(client.watch_all_with(command.task_ids, options), true, cancel_after).await,
    });
    Ok(())
}

/// Prints the task of a call and returns the line that comes last.
fn one(result: Result<Task, Error>) -> Value {
    match result {
        Ok(task) => {
            print(json!({"task": task_json(&task)}));
            json!({"end": {}})
        }
        Err(error) => json!({"failure": error_json(&error)}),
    }
}

fn options(command: &Command) -> Result<CallOptions, Box<dyn StdError>> {
    let mut options = CallOptions::new().failed_task_as_error(command.failed_task_as_error);
    if let Some(token) = &command.token {
        options = options.token(token);
    }
    if let Some(id) = &command.user_id {
        options = options.user_id(id);
    }
    if let Some(language) = &command.language {
        options = options.language(language);
    }
    if let Some(seconds) = command.max_age {
        options = options.max_age(Duration::try_from_secs_f64(seconds)?);
    }
    if let Some(seconds) = command.deadline {
        options = options.timeout(Duration::try_from_secs_f64(seconds)?);
    }
    Ok(options)
}

/// Returns a client whose provider returns the caller's tokens one after the other, and then the last one for ever.
fn client(addr: String, tokens: Vec<String>, ca: Option<PathBuf>) -> Result<Client, Box<dyn StdError>> {
    let builder = Client::builder(addr);
    let mut builder = match ca {
        None => builder.plaintext(),
        Some(file) => builder.tls(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(file)?))),
    };
    if !tokens.is_empty() {
        let (tokens, asked) = (Arc::new(tokens), Arc::new(AtomicUsize::new(0)));
        builder = builder.caller_token(move || {
            let n = asked.fetch_add(1, Ordering::Relaxed);
            let token = tokens[n.min(tokens.len() - 1)].clone();
            async { Ok::<_, Error>(token) }
        });
    }
    Ok(builder.build()?)
}

/// Prints the events of a watch and returns the line that comes last.
async fn watch(mut events: Events, many: bool, cancel_after: Option<usize>) -> Value {
    let mut tasks = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Task(task)) => {
                print(json!({"task": task_json(&task)}));
                tasks += 1;
                if cancel_after == Some(tasks) {
                    drop(events);
                    return json!({"cancelled": {}});
                }
            }
            Ok(Event::Heartbeat(heartbeat)) => print(json!({"heartbeat": heartbeat_json(&heartbeat)})),
            Ok(Event::Resume(resume)) => {
                let mut json = json!({"cause": error_json(&resume.cause), "afterSeconds": resume.after.as_secs_f64()});
                insert(&mut json, "taskIds", many.then(|| resume.task_ids.into()));
                print(json!({"resume": json}));
            }
            Ok(Event::Dropped(error)) => {
                let mut json = error_json(&error);
                json["taskId"] = error.task_id().into();
                print(json!({"dropped": json}));
            }
            Ok(event) => eprintln!("an event that this program does not know: {event:?}"),
            Err(error) => return json!({"failure": error_json(&error)}),
        }
    }
    json!({"end": {}})
}

fn print(line: Value) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).expect("stdout is open");
}

fn task_json(task: &Task) -> Value {
    let mut json = json!({
        "taskId": task.task_id, "taskName": task.task_name,
        "taskType": enum_json(task.task_type, |n| TaskType::try_from(n).ok().map(|v| v.as_str_name())),
        "tenantId": task.tenant_id, "userId": task.user_id,
        "status": enum_json(task.status, |n| TaskStatus::try_from(n).ok().map(|v| v.as_str_name())),
        "resultCode": enum_json(task.result_code, |n| ResultCode::try_from(n).ok().map(|v| v.as_str_name())),
        "koodriveResultCode": task.koodrive_result_code, "done": task.done,
    });
    insert(&mut json, "observeTime", task.observe_time.map(time_json));
    insert(&mut json, "koodriveStatus", task.koodrive_status.map(Value::from));
    insert(&mut json, "koodriveTaskType", task.koodrive_task_type.map(Value::from));
    json
}

fn heartbeat_json(heartbeat: &Heartbeat) -> Value {
    let mut json = json!({
        "failureCount": heartbeat.failure_count,
        "failureReason": heartbeat.failure_reason,
        "failingTaskIds": heartbeat.failing_task_ids,
    });
    insert(&mut json, "observeTime", heartbeat.observe_time.map(time_json));
    json
}

fn insert(json: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        json[key] = value;
    }
}

fn enum_json(number: i32, name: impl Fn(i32) -> Option<&'static str>) -> Value {
    name(number).map_or(number.into(), Value::from)
}

fn time_json(time: Timestamp) -> Value {
    time.to_string().into()
}

fn error_json(error: &Error) -> Value {
    let violations = error.violations().iter();
    json!({
        "code": code_name(error.code()),
        "reason": error.reason_name(),
        "known": error.reason().map_or("", |reason| reason.as_str_name()),
        "message": error.message(),
        "retryAfterSeconds": error.retry_delay().map(|delay| delay.as_secs_f64()),
        "requestId": error.request_id(),
        "metadata": error.metadata(),
        "violations": violations.map(|v| json!({
            "field": v.field, "reason": v.reason, "description": v.description,
        })).collect::<Vec<_>>(),
        "localizedMessage": error.localized_message(),
    })
}

/// Returns gRPC's name of a code: `NotFound` is `NOT_FOUND`.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}
