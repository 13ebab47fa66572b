"""Facts about kootask that schemathesis lacks: the tasks, the form of a stream, and the answers that must have been seen."""

import atexit
import collections
import functools
import json
import os
import random
import re

import jsonschema_rs
import requests
import schemathesis

SEED = os.environ["FUZZ_SEED"]
SEEN = os.environ["FUZZ_SEEN"]
BASE = os.environ["FUZZ_BASE"]
LIMITED = "limited"  # KooDrive sends Retry-After for it, so it has a credential of its own.

with open(os.path.join(os.path.dirname(__file__), "koodrive.json"), encoding="utf-8") as script:
    TASKS = [task["id"] for task in json.load(script)["tasks"]]

# Good tasks are requested more often, because the circuit breaker opens if half of the answers are bad.
OFTEN = ["success", "failed", "executing", "unlisted"]

TIMEOUT = re.compile("(?!0+[^0-9])[0-9]{1,8}[HMSmun]")

rng = random.Random(SEED)
seen = collections.Counter()


TASK_OPERATIONS = ("GetTask", "WaitTask", "WatchTask", "TicketForTask")
LIST_OPERATIONS = ("WatchTasks", "TicketForTasks")


def tasks_of(case):
    """The ids in a request's query. In an invalid request they may be of any type."""
    listed = (case.query or {}).get("taskIds") or []
    return [task for task in (listed if isinstance(listed, list) else [listed]) if isinstance(task, str)]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Has a credential, asks for a task that there is, in each form of a watch, and with a ticket now and then."""
    name = case.operation.definition.raw["operationId"]
    if name not in TASK_OPERATIONS + LIST_OPERATIONS:
        return
    good = case.meta is not None and case.meta.generation.mode.is_positive
    if not good and (case.query or {}).get("lastEventId") == "end":  # After the end, the server checks nothing else.
        del case.query["lastEventId"]
    if name in LIST_OPERATIONS:
        if good and rng.random() < 0.8:
            case.query["taskIds"] = rng.sample([t for t in TASKS if t != LIMITED] if rng.random() < 0.4 else OFTEN, rng.randint(1, 3))
        tasks = tasks_of(case)
    else:
        if good and rng.random() < 0.8:
            case.path_parameters["task_id"] = rng.choice(TASKS if rng.random() < 0.4 else OFTEN)
        tasks = [case.path_parameters.get("task_id")]
    task = tasks[0] if len(tasks) == 1 else None
    if rng.random() < 0.95:
        case.headers["Authorization"] = "Bearer " + ("fuzz-limited" if task == LIMITED else "fuzz-token")
    if good and case.headers.get("X-Date"):  # A pattern cannot check the length of months.
        case.headers["X-Date"] = case.headers["X-Date"][:6] + "15" + case.headers["X-Date"][8:]
    if name.startswith("TicketFor"):
        return
    # Every stream has to end before schemathesis stops reading it, unless the request's fault is its timeout. Unknown tasks end soon,
    # but not while KooDrive's answers to others are held against it.
    if good or TIMEOUT.fullmatch(case.headers.get("Grpc-Timeout", "1S")):
        unfinished = set(tasks) & set(TASKS) - {"success", "failed"}
        case.headers["Grpc-Timeout"] = rng.choice(["300m", "700m"]) if unfinished else "5S"
    if not name.startswith("WatchTask"):
        return
    if rng.random() < 0.5:
        case.headers["Accept"] = "text/event-stream"
        if good and rng.random() < 0.2:
            case.headers["Last-Event-ID"] = "end"
    if good and set(tasks) <= set(TASKS) and rng.random() < 0.2 and "Authorization" in case.headers:
        path, query = (f"/v1/tasks/{task}:ticket", {}) if name == "WatchTask" else ("/v1/tasks:ticket", {"taskIds": tasks})
        answer = requests.post(BASE + path, params=query, headers={"Authorization": case.headers.pop("Authorization")}, timeout=10)
        for header in ("X-User-Id", "X-Date"):  # The ticket contains them.
            case.headers.pop(header, None)
        case.query["ticket"] = answer.json()["ticket"]


@schemathesis.hook
def after_call(context, case, response):
    name = case.operation.definition.raw.get("operationId")
    seen[f"{name} {response.status_code} {response.headers.get('content-type', [''])[0]}"] += 1


@schemathesis.check
def stream_is_whole(context, response, case):
    """Each line of a stream is as described, and so is the data of each event, which to schemathesis are any texts. The last one is
    end or failure, and no other."""
    kind = response.headers.get("content-type", [""])[0].removesuffix("; charset=utf-8")
    if kind not in ("application/x-ndjson", "text/event-stream"):
        return
    text = response.content.decode()
    if kind == "application/x-ndjson":
        assert text.endswith("\n"), "the last line does not end"
        items = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    else:
        assert text.endswith("\n\n"), "the last event does not end"
        fields = [dict(field.split(": ", 1) for field in event.split("\n")) for event in text.removesuffix("\n\n").split("\n\n")]
        items = [{event["event"]: json.loads(event["data"])} for event in fields]
    schema = {"WatchTask": "Line", "WatchTasks": "LineOfTasks"}[case.operation.definition.raw["operationId"]]
    for item in items:
        line(schema).validate(item)
    names = [next(iter(item)) for item in items]
    assert names[-1] in ("end", "failure") and not {"end", "failure"} & set(names[:-1]), names


# Reasons for which the operator has to act. KooDrive answers one task as if its address were wrong; no other reason is allowed.
FAULTS = {"SERVER_ERROR": (), "SERVER_MISCONFIGURED": ("route",)}


@schemathesis.check
def fault_is_koodrives(context, response, case):
    """Faults of KooDrive and of clients are not reported as kootask's."""
    for reason in re.findall('"reason": ?"([A-Z_]+)"', response.text):
        tasks = {(case.path_parameters or {}).get("task_id"), *tasks_of(case)}
        assert reason not in FAULTS or tasks & set(FAULTS[reason]), response.text


@functools.cache
def line(schema):
    components = requests.get(BASE + "/openapi.json", timeout=10).json()["components"]
    return jsonschema_rs.Draft202012Validator({"$ref": "#/components/schemas/" + schema, "components": components})


@atexit.register
def save():
    with open(SEEN, "w", encoding="utf-8") as file:
        for what, count in sorted(seen.items()):
            file.write(f"{count:6} {what}\n")
