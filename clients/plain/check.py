"""Uses kootask with gRPC's own library for Python and with requests: see plain.go.

KOOTASK_GRPC and KOOTASK_HTTP are the addresses. Prints each check, and fails if one does.
"""

import json
import os
import sys
import threading
import time

import grpc
import requests
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from kootask._gen import task_pb2, task_pb2_grpc

GRPC, HTTP = os.environ["KOOTASK_GRPC"], "http://" + os.environ["KOOTASK_HTTP"]
TOKEN = [("authorization", "Bearer plain")]
HEADERS = {"Authorization": "Bearer plain"}
NAME = "财务部\u2028移交\u2029任务\u0085完"
failed = False


def check(name, good, seen=""):
    global failed
    failed = failed or not good
    print("ok  " if good else "FAIL", "Python:", name, "" if good else repr(seen))


def channel(policy=None):
    options = [("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]}))] if policy else []
    return grpc.insecure_channel(GRPC, options=options)


def stub(policy=None):
    return task_pb2_grpc.TaskServiceStub(channel(policy))


def error(call):
    """Returns the error of a call, and how many seconds it took."""
    start = time.monotonic()
    try:
        call()
    except grpc.RpcError as e:
        return e, time.monotonic() - start
    return None, 0


def retry_delay(e):
    for detail in rpc_status.from_call(e).details:
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return info.retry_delay.ToTimedelta().total_seconds()
    return None


def compressed():
    gzip = grpc.Compression.Gzip
    task = stub().GetTask(task_pb2.GetTaskRequest(task_id="named"), metadata=TOKEN, compression=gzip).task
    check("GetTask, compressed", task.task_name == NAME, task)
    events = list(stub().WatchTask(task_pb2.WatchTaskRequest(task_id="named"), metadata=TOKEN, compression=gzip))
    check("WatchTask, compressed", events[-1].task.done, events)
    large = task_pb2.GetTaskRequest(task_id="a" * (1 << 20))
    e, _ = error(lambda: stub().GetTask(large, metadata=TOKEN, compression=gzip))
    check("a compressed request that holds too much", e and e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e)


def retried():
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.01s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "NOT_FOUND"],
    }
    tasks = stub(policy)
    e, took = error(lambda: tasks.GetTask(task_pb2.GetTaskRequest(task_id="busy"), metadata=TOKEN))
    check("a retry policy waits as long as RetryInfo says, twice", e and took >= 2, took)
    other = [("authorization", "Bearer limited")]  # All requests of this caller are held then.
    e, took = error(lambda: tasks.GetTask(task_pb2.GetTaskRequest(task_id="limited"), metadata=other))
    check("a retry policy leaves a long RetryInfo to its caller", e and took < 10 and retry_delay(e) >= 60, (e, took))
    e, _ = error(lambda: tasks.GetTask(task_pb2.GetTaskRequest(task_id="unknown"), metadata=TOKEN))
    check("a retry policy does not repeat what has no RetryInfo", e and retry_delay(e) is None, e)


def long_metadata():
    tasks = stub()
    ends = []
    watch = threading.Thread(
        target=lambda: ends.append(list(tasks.WatchTask(task_pb2.WatchTaskRequest(task_id="long"), metadata=TOKEN))[-1])
    )
    watch.start()
    time.sleep(1)
    for size in (20_000, 55_000):
        e, _ = error(lambda: tasks.GetTask(task_pb2.GetTaskRequest(task_id="named"), metadata=[*TOKEN, ("x-long", "x" * size)]))
        check(f"{size} bytes of metadata", e and e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e)
    watch.join()
    check("the watch beside it", ends and ends[0].task.done, ends)


def texts():
    lines = requests.get(HTTP + "/v1/tasks/named:watch", headers=HEADERS, timeout=30)
    named = [json.loads(line) for line in lines.text.splitlines()]
    check("lines, split as Python does", named[-1] == {"end": {}} and named[0]["task"]["taskName"] == NAME, lines.text)
    with requests.get(HTTP + "/v1/tasks/named:watch", headers=HEADERS, timeout=30, stream=True) as answer:
        named = [json.loads(line) for line in answer.iter_lines(decode_unicode=True)]
    check("lines, one by one", named[0]["task"]["taskName"] == NAME, named)
    events = requests.get(HTTP + "/v1/tasks/named:watch", headers={**HEADERS, "Accept": "text/event-stream"}, timeout=30)
    data = [json.loads(line[6:]) for line in events.text.splitlines() if line.startswith("data: ")]
    check("events, split as Python does", data[0]["taskName"] == NAME, events.text)
    task = requests.get(HTTP + "/v1/tasks/named", headers=HEADERS, timeout=30)
    check("a task", task.json()["taskName"] == NAME and len(task.text.splitlines()) == 1, task.text)


def requests_of_all_kinds():
    empty = requests.get(HTTP + "/v1/tasks/named", headers=HEADERS, data=iter([]), timeout=30)
    check("a GET with a body of no chunks", empty.request.headers.get("Transfer-Encoding") == "chunked" and empty.ok, empty.text)
    body = requests.get(HTTP + "/v1/tasks/named", headers=HEADERS, data=iter([b"a"]), timeout=30)
    check("a GET with a body", body.status_code == 400, body.text)
    for path in ("/", "/docs", "/openapi.json"):
        head = requests.head(HTTP + path, timeout=30)
        check("HEAD " + path, head.status_code == 200 and int(head.headers["Content-Length"]) > 0, head.headers)
    head = requests.head(HTTP + "/v1/tasks/named", headers=HEADERS, timeout=30)
    check("HEAD of a task", head.status_code == 405 and head.headers["Allow"] == "GET", head.headers)
    bad = requests.get(HTTP + "/v1/tasks/list?max_age=1s", headers=HEADERS, timeout=30).json()
    fields = [v["field"] for d in bad["details"] for v in d.get("fieldViolations", [])]
    check("a wrong parameter", fields == ["query"] and "maxAge" in json.dumps(bad), bad)
    bad = requests.get(HTTP + "/v1/tasks/list", headers=HEADERS, timeout=30).json()
    fields = [v["field"] for d in bad["details"] for v in d.get("fieldViolations", [])]
    check("a wrong field", fields == ["taskId"], bad)
    end = requests.get(HTTP + "/v1/tasks/named:watch?lastEventId=end", timeout=30)
    check("an event source that comes back after the end", end.status_code == 204, end)


for step in (compressed, retried, long_metadata, texts, requests_of_all_kinds):
    step()
sys.exit(failed)
