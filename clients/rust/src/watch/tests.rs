use std::collections::HashMap;

use tonic::Status;

use super::*;
use crate::{
    CallOptions, Code,
    TaskStatus::{Executing, Failed, New, Success},
    scripted::{Act, Scripted, acts, beat, collect, dropped, each, fail, said, tell},
    source::Message,
};

fn numbered(n: usize) -> Vec<String> {
    (1000..1000 + n).map(|id| id.to_string()).collect()
}

fn refs(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

fn seconds(n: u64) -> CallOptions {
    CallOptions::new().timeout(Duration::from_secs(n))
}

#[tokio::test(start_paused = true)]
async fn one_stream_of_many_tasks() {
    let newer = Act::Send(Message::Newer);
    let rows: [(&str, Vec<Act>, &[&str]); _] = [
        (
            "to its end",
            vec![tell("a", New), tell("b", Executing), tell("a", Success), tell("b", Failed)],
            &["a New", "b Executing", "a Success", "b Failed"],
        ),
        (
            "repeated and back",
            vec![
                tell("a", Executing),
                tell("a", Executing),
                tell("b", New),
                tell("a", New),
                tell("a", Success),
                tell("a", Success),
                tell("a", Failed),
                tell("a", Executing),
                dropped("a", None),
                tell("b", Success),
            ],
            &["a Executing", "b New", "a Success", "b Success"],
        ),
        (
            "dropped, and the other",
            vec![
                dropped("a", None),
                dropped("a", None),
                tell("a", Executing),
                tell("b", Executing),
                tell("b", Success),
            ],
            &["a dropped, retry false", "b Executing", "b Success"],
        ),
        (
            "all dropped",
            vec![tell("b", Executing), dropped("b", None), dropped("a", None)],
            &["b Executing", "b dropped, retry false", "a dropped, retry false"],
        ),
        (
            "heartbeats",
            vec![beat(&[]), tell("a", Success), beat(&["b"]), tell("b", Success)],
            &[
                r#"heartbeat of ["a", "b"], failing []"#,
                "a Success",
                r#"heartbeat of ["b"], failing ["b"]"#,
                "b Success",
            ],
        ),
        (
            "newer events",
            vec![newer.clone(), tell("a", Success), newer, tell("b", Success)],
            &["a Success", "b Success"],
        ),
        (
            "a task that is not watched",
            vec![tell("c", Success), dropped("d", Some(0)), tell("a", Success), tell("b", Success)],
            &["a Success", "b Success"],
        ),
    ];
    for (name, mut sent, want) in rows {
        sent.push(Act::Hang); // Only the client knows that it is over.
        let script = Scripted::new([acts(sent)]);
        let (seen, error) = collect(script.watch(&["a", "b", "a"], CallOptions::new())).await;
        assert_eq!((name, seen, error.is_none()), (name, want.iter().map(|s| (*s).to_owned()).collect(), true));
        assert_eq!((script.lists(), script.open()), (vec![vec!["a".to_owned(), "b".to_owned()]], 0));
    }
}

#[tokio::test(start_paused = true)]
async fn many_tasks_have_many_streams() {
    let ids = numbered(250);
    let script = Scripted::new([each(|id| tell(id, Success))]);
    let (mut seen, error) =
        collect(script.watch(&refs(&[ids.clone(), ids.clone()].concat()), CallOptions::new())).await;
    seen.sort();
    let want: Vec<_> = ids.iter().map(|id| format!("{id} Success")).collect();
    assert!(error.is_none() && seen == want, "{error:?} {seen:?}");
    assert_eq!(script.sizes(), [100, 100, 50]);
}

#[tokio::test(start_paused = true)]
async fn dropped_tasks_have_an_error() {
    let script = Scripted::new([acts([dropped("a", None), dropped("b", Some(7))]), acts([tell("b", Success)])]);
    let mut events = script.watch(&["a", "b"], CallOptions::new());
    let Some(Ok(Event::Dropped(error))) = events.next().await else { panic!("no dropped task") };
    assert_eq!((error.task_id(), error.code(), error.reason_name()), ("a", Code::NotFound, "TASK_NOT_FOUND"));
    assert_eq!((error.request_id(), error.localized_message(), error.retry_delay()), ("mine", "不行", None));
    assert_eq!(error.metadata()["upstreamCode"], "13000309");
    assert_eq!(error.to_string(), "task a: No such task. (TASK_NOT_FOUND)");
    let Some(Ok(Event::Dropped(error))) = events.next().await else { panic!("no dropped task") };
    assert_eq!((error.reason_name(), error.retry_delay()), ("UPSTREAM_STALE", Some(Duration::from_secs(7))));
}

/// An error that is true of all tasks ends all streams, in whichever of them it comes.
#[tokio::test(start_paused = true)]
async fn lasting_errors_end_the_watch() {
    let older = Act::Fail(Status::unimplemented("unknown method WatchTasks"));
    for (lasting, code) in [
        (fail(Code::InvalidArgument, "REQUEST_INVALID", None), Code::InvalidArgument),
        (fail(Code::Unauthenticated, "CREDENTIAL_REJECTED", None), Code::Unauthenticated),
        (fail(Code::PermissionDenied, "USER_NOT_ALLOWED", None), Code::PermissionDenied),
        (older, Code::Unimplemented),
    ] {
        for (ids, steps, events) in [
            (numbered(0), vec![acts([lasting.clone()])], 0),
            (numbered(1), vec![acts([tell("1000", Executing), lasting.clone()])], 1),
            (numbered(250), vec![acts([Act::Hang]), acts([Act::Hang]), acts([lasting.clone()])], 0),
        ] {
            let streams = steps.len();
            let script = Scripted::new(steps);
            let (seen, error) = collect(script.watch(&refs(&ids), CallOptions::new())).await;
            let error = error.unwrap();
            assert_eq!((error.code(), error.task_id(), seen.len()), (code, "", events));
            let fault = "127.0.0.1:1 is not kootask's gRPC port, or its kootask is older than this client: ";
            assert_eq!(error.message().starts_with(fault), code == Code::Unimplemented, "{error}");
            assert_eq!((script.open(), script.lists().len()), (0, streams));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn leaving_ends_all_streams() {
    let drain = fail(Code::Unavailable, "SERVER_DRAINING", Some(60));
    let matches: [fn(&Event) -> bool; _] = [
        |event| matches!(event, Event::Task(_)),
        |event| matches!(event, Event::Resume(_)),
        |event| matches!(event, Event::Dropped(_)),
    ];
    for matches in matches {
        let last = drain.clone();
        let script = Scripted::new([
            Box::new(|ids: &[String]| vec![tell(&ids[0], Executing), Act::Hang]) as _,
            acts([Act::Hang]),
            Box::new(move |ids: &[String]| vec![dropped(&ids[0], Some(60)), last.clone()]) as _,
        ]);
        let ids = numbered(250);
        let mut events = script.watch(&refs(&ids), CallOptions::new());
        while !matches(&events.next().await.unwrap().unwrap()) {}
        assert!(script.open() > 0);
        drop(events);
        assert_eq!(script.open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_ends_whatever_the_watch_waits_for() {
    for step in [
        acts([tell("1000", Executing), Act::Hang]),
        acts([fail(Code::Unavailable, "SERVER_DRAINING", Some(3600))]),
        each(|id| dropped(id, Some(3600))),
        each(|id| dropped(id, Some(i64::MAX))),
    ] {
        let script = Scripted::new([step]);
        let (_, error) = collect(script.watch(&refs(&numbered(150)), seconds(5))).await;
        assert_eq!((error.unwrap().code(), script.elapsed(), script.open()), (Code::DeadlineExceeded, 5.0, 0));
    }
}

/// Whatever the next server knows, each task is yielded once and none goes back.
#[tokio::test(start_paused = true)]
async fn it_resumes_with_the_rest() {
    let drain = fail(Code::Unavailable, "SERVER_DRAINING", Some(3));
    let script = Scripted::new([
        acts([tell("a", New), tell("b", Executing), tell("c", Success), dropped("d", None), drain.clone()]),
        acts([tell("b", New), tell("a", New), tell("c", Executing), dropped("d", None)]), // It ends too early.
        acts([tell("b", Executing), tell("a", Executing), tell("a", Success), drain]),
        acts([tell("b", Executing), tell("b", Success)]),
    ]);
    let (seen, error) = collect(script.watch(&["a", "b", "c", "d"], CallOptions::new())).await;
    let want = [
        "a New",
        "b Executing",
        "c Success",
        "d dropped, retry false",
        r#"resume of ["a", "b"]"#,
        r#"resume of ["a", "b"]"#,
        "a Executing",
        "a Success",
        r#"resume of ["b"]"#,
        "b Success",
    ];
    assert_eq!((seen, error.is_none()), (want.map(str::to_owned).to_vec(), true));
    assert_eq!(format!("{:?}", script.lists()), r#"[["a", "b", "c", "d"], ["a", "b"], ["a", "b"], ["b"]]"#);
    assert_eq!(script.times()[1], 3.0);
}

/// A task that is dropped with a delay gets a stream of its own. The others keep theirs.
#[tokio::test(start_paused = true)]
async fn a_dropped_task_is_watched_again() {
    let slow =
        [tell("a", New), tell("b", Executing), dropped("b", Some(5)), Act::Sleep(15), beat(&[]), tell("a", Success)];
    let script = Scripted::new([acts(slow), acts([tell("b", New), tell("b", Executing), tell("b", Success)])]);
    let (seen, error) = collect(script.watch(&["a", "b"], CallOptions::new())).await;
    let want = [
        "a New",
        "b Executing",
        "b dropped, retry true",
        "b Success",
        r#"heartbeat of ["a"], failing []"#,
        "a Success",
    ];
    assert_eq!((seen, error.is_none()), (want.map(str::to_owned).to_vec(), true));
    assert_eq!(format!("{:?} {:?}", script.lists(), script.times()), r#"[["a", "b"], ["b"]] [0.0, 5.0]"#);
}

#[tokio::test(start_paused = true)]
async fn the_last_task_is_watched_again() {
    let stale = fail(Code::Unavailable, "UPSTREAM_STALE", Some(9));
    let script = Scripted::new([acts([tell("a", Success), dropped("b", Some(9)), stale]), acts([dropped("b", None)])]);
    let (seen, error) = collect(script.watch(&["a", "b"], CallOptions::new())).await;
    let want = ["a Success", "b dropped, retry true", "b dropped, retry false"];
    assert_eq!((seen, error.is_none()), (want.map(str::to_owned).to_vec(), true));
    assert_eq!(script.times(), [0.0, 9.0]);
}

/// After an outage of KooDrive, the tasks share as few streams as before.
#[tokio::test(start_paused = true)]
async fn dropped_tasks_share_streams() {
    let outage = || each(|id| dropped(id, Some(5 + id.parse::<i64>().unwrap() % 30)));
    let script = Scripted::new([outage(), outage(), outage(), each(|id| tell(id, Success))]);
    let (seen, error) = collect(script.watch(&refs(&numbered(250)), CallOptions::new())).await;
    assert_eq!((seen.len(), error.is_none()), (500, true));
    assert_eq!((script.sizes(), script.elapsed()), (vec![100, 100, 100, 100, 50, 50], 34.0));

    // A task waits for no more than 30 s: the third one comes later.
    let delays = HashMap::from([("a", 5), ("b", 20), ("c", 36)]);
    let script = Scripted::new([each(move |id| dropped(id, Some(delays[id]))), each(|id| tell(id, Success))]);
    collect(script.watch(&["a", "b", "c"], CallOptions::new())).await;
    let got = format!("{:?} {:?}", script.lists(), script.times());
    assert_eq!(got, r#"[["a", "b", "c"], ["a", "b"], ["c"]] [0.0, 35.0, 36.0]"#);
}

/// A delay of 0 is obeyed once, and not in a loop, unless the task was seen in between.
#[tokio::test(start_paused = true)]
async fn a_dropped_task_does_not_run_hot() {
    let script = Scripted::new([acts([dropped("a", Some(0))])]);
    collect(script.watch(&["a"], seconds(60))).await;
    let times = script.times();
    assert!((5..=12).contains(&times.len()) && times[1] == 0.0, "{times:?}");

    let seen = || acts([tell("a", Executing), dropped("a", Some(0))]);
    let script = Scripted::new([seen(), seen(), seen(), acts([tell("a", Success)])]);
    let (seen, _) = collect(script.watch(&["a"], CallOptions::new())).await;
    assert_eq!(seen[0], "a Executing");
    assert_eq!((seen.len(), script.times()), (5, vec![0.0; 4]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_breaks_no_stream() {
    let step = |ids: &[String]| ids.iter().flat_map(|id| [Act::Sleep(15), tell(id, Success)]).collect();
    let script = Scripted::new([Box::new(step) as _]);
    let ids = numbered(150);
    let mut events = script.watch(&refs(&ids), CallOptions::new());
    let mut seen = 0;
    while let Some(event) = events.next().await {
        assert!(matches!(event, Ok(Event::Task(_))), "{event:?}");
        seen += 1;
        tokio::time::sleep(Duration::from_secs(70)).await;
    }
    assert_eq!((seen, script.lists().len()), (150, 2));
}

#[tokio::test(start_paused = true)]
async fn waiting_returns_the_finished_task() {
    let drain = fail(Code::Unavailable, "SERVER_DRAINING", Some(1));
    let missing = fail(Code::NotFound, "TASK_NOT_FOUND", None);
    let failed = || vec![tell("9", Failed), fail(Code::Aborted, "TASK_FAILED", None)];
    for (name, as_error, steps, want) in [
        ("finished", false, vec![acts([tell("9", New), tell("9", Success)])], Ok("9 Success")),
        ("after a drain", false, vec![acts([tell("9", New), drain]), acts([tell("9", Success)])], Ok("9 Success")),
        ("failed", false, vec![acts(failed())], Ok("9 Failed")),
        ("failed, an error", true, vec![acts(failed())], Err("TASK_FAILED")),
        ("failed, and a broken stream", true, vec![acts([tell("9", Failed)])], Err("TASK_FAILED")),
        ("missing", false, vec![acts([missing.clone()])], Err("TASK_NOT_FOUND")),
        ("disappeared", false, vec![acts([tell("9", Executing), missing])], Err("TASK_NOT_FOUND")),
    ] {
        let options = CallOptions::new().failed_task_as_error(as_error);
        let got = crate::Tasks(Scripted::new(steps).watch(&["9"], options)).last().await;
        let got = got.map(|task| said(&task)).map_err(|error| error.reason_name().to_owned());
        assert_eq!(got.as_deref().map_err(String::as_str), want, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_its_timeout() {
    let script = Scripted::new([acts([tell("9", Executing), fail(Code::Unavailable, "SERVER_DRAINING", Some(3600))])]);
    let error = crate::Tasks(script.watch(&["9"], seconds(60))).last().await.unwrap_err();
    assert_eq!((error.code(), script.elapsed()), (Code::DeadlineExceeded, 60.0));
}
