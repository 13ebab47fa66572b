use std::{pin::Pin, sync::Arc};

use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Status};

use crate::{
    Error, Task,
    contract::{
        Heartbeat, WatchTaskRequest, WatchTasksRequest, task_service_client::TaskServiceClient, watch_task_response,
        watch_tasks_response,
    },
    peer::Peer,
};

/// The contract's limit on the tasks of a stream.
pub(crate) const PER_STREAM: usize = 100;

/// The header with the id of the request.
const REQUEST_HEADER: &str = "x-request-id";

/// Opens a stream of the tasks with the ids of the request, at most [`PER_STREAM`].
pub(crate) type Source = Arc<dyn Fn(Request<Vec<String>>) -> Opening + Send + Sync>;

pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Receiver, Status>> + Send>>;

pub(crate) type Receiver = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;

/// Message is a message of a stream, in the form that streams of one and of several tasks have in common.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Task { id: String, task: Task },
    Heartbeat(Heartbeat),
    Dropped(Error),
    Newer, // Than the contract.
}

/// Returns the source of a single task. It calls WatchTask, which servers without WatchTasks have too.
pub(crate) fn one(tasks: TaskServiceClient<Peer>, failed_task_as_error: bool) -> Source {
    Arc::new(move |request| {
        let mut tasks = tasks.clone();
        Box::pin(async move {
            let (metadata, extensions, mut ids) = request.into_parts();
            let id = ids.pop().unwrap_or_default();
            let message = WatchTaskRequest { task_id: id.clone(), failed_task_as_error };
            let response = tasks.watch_task(Request::from_parts(metadata, extensions, message)).await?;
            let receiver = response.into_inner().map(move |message| {
                Ok(match message?.event {
                    Some(watch_task_response::Event::Task(task)) => Message::Task { id: id.clone(), task },
                    Some(watch_task_response::Event::Heartbeat(heartbeat)) => Message::Heartbeat(heartbeat),
                    None => Message::Newer,
                })
            });
            Ok(Box::pin(receiver) as Receiver)
        })
    })
}

/// Returns the source of several tasks.
pub(crate) fn several(tasks: TaskServiceClient<Peer>) -> Source {
    Arc::new(move |request| {
        let mut tasks = tasks.clone();
        Box::pin(async move {
            let (metadata, extensions, task_ids) = request.into_parts();
            let message = WatchTasksRequest { task_ids };
            let response = tasks.watch_tasks(Request::from_parts(metadata, extensions, message)).await?;
            let request_id = response.metadata().get(REQUEST_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
            let receiver = response.into_inner().map(move |message| {
                Ok(match message?.event {
                    Some(watch_tasks_response::Event::Task(task)) => Message::Task { id: task.task_id.clone(), task },
                    Some(watch_tasks_response::Event::Heartbeat(heartbeat)) => Message::Heartbeat(heartbeat),
                    Some(watch_tasks_response::Event::Dropped(dropped)) => {
                        Message::Dropped(Error::dropped(dropped, request_id.clone().unwrap_or_default()))
                    }
                    None => Message::Newer,
                })
            });
            Ok(Box::pin(receiver) as Receiver)
        })
    })
}
