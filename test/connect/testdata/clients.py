"""Calls every method of two third-party clients of Kafka Connect's REST interface.

Standard input: {"url": ..., "class": ..., "config": {...}, "bad": {...}}. For each
call a line of JSON comes out: its name, and what it returned or raised. Both clients
know nothing of kudu2kafka.
"""

import json
import logging
import sys
import time

from kafka_connect.kafka_connect import KafkaConnect
from kafkaconnect.connect import Connect
from requests.exceptions import HTTPError

given = json.load(sys.stdin)
url, plugin, config, bad = given["url"], given["class"], given["config"], given["bad"]
logging.disable(logging.CRITICAL)


def rebalancing(error):
    response = error.response
    text = response.text if response is not None else str(error)
    return "rebalance" in text or "no known leader" in text or "stale configuration" in text


def say(name, call, *args, text=False, **kwargs):
    """Makes a call, again while the worker rebalances, and tells what came of it."""
    line = {"call": name}
    for _ in range(2400):
        line.pop("error", None)
        try:
            result = call(*args, **kwargs)
        except HTTPError as error:
            if rebalancing(error):
                time.sleep(0.05)
                continue
            status = error.response.status_code if error.response is not None else str(error)
            line["error"] = str(status)
            break
        except Exception as error:  # what a client can't read
            line["error"] = type(error).__name__
            break
        if text:
            # This client gives JSON as text, and some errors as sentences.
            if "rebalance" in str(result):
                time.sleep(0.05)
                continue
            try:
                result = json.loads(result)
            except ValueError:
                result = result.replace(url, "URL")
                line["text"] = result
        line["result"] = result
        break
    print(json.dumps(line), flush=True)


def wait(client, name, state, task):
    """Waits for the state of a connector and of its task, None: no task."""
    for _ in range(2400):
        try:
            status = client.get_connector_status(name)
            tasks = [t["state"] for t in status["tasks"]]
            if status["connector"]["state"] == state and tasks == ([task] if task else []):
                return
        except HTTPError:
            pass
        time.sleep(0.05)
    sys.exit(f"{name} is not {state}")


def published(client, name):
    """Waits until the connector has written to a topic."""
    for _ in range(2400):
        if client.list_connector_topics(name)[name]["topics"]:
            return
        time.sleep(0.05)
    sys.exit(f"{name} has written nothing")


one = KafkaConnect(url=url)


def running(name="one"):
    wait(one, name, "RUNNING", "RUNNING")


say("get_cluster_info", one.get_cluster_info)
say("list_connectors none", one.list_connectors)
say("create_connector", one.create_connector, {"name": "one", "config": config})
running()
say("create_connector again", one.create_connector, {"name": "one", "config": config})
say("create_connector wrong", one.create_connector, {"name": "two", "config": {"connector.class": plugin}})
say("list_connectors", one.list_connectors)
say("list_connectors status", one.list_connectors, expand="status")
say("list_connectors info", one.list_connectors, expand="info")
say("list_connectors pattern", one.list_connectors, pattern="x.*")
say("list_connectors state", one.list_connectors, state="running")
say("get_connector", one.get_connector, "one")
say("get_connector nope", one.get_connector, "nope")
say("get_connector_config", one.get_connector_config, "one")
say("get_connector_config nope", one.get_connector_config, "nope")
say("get_connector_status", one.get_connector_status, "one")
say("get_connector_status nope", one.get_connector_status, "nope")
say("update_connector", one.update_connector, "one", config)
running()
say("update_connector wrong", one.update_connector, "one", dict(config, **{"tasks.max": "many"}))
say("restart_connector", one.restart_connector, "one")
running()
say("restart_connector tasks", one.restart_connector, "one", include_tasks=True)
running()
say("restart_connector failed", one.restart_connector, "one", include_tasks=True, only_failed=True)
running()
say("restart_connector nope", one.restart_connector, "nope")
say("restart_all_connectors", one.restart_all_connectors, include_tasks=True)
running()
say("pause_connector", one.pause_connector, "one")
wait(one, "one", "PAUSED", "PAUSED")
say("list_connectors paused", one.list_connectors, expand="status", state="PAUSED")
say("resume_connector", one.resume_connector, "one")
running()
say("pause_connector nope", one.pause_connector, "nope")
say("resume_connector nope", one.resume_connector, "nope")
say("pause_all_connectors", one.pause_all_connectors)
wait(one, "one", "PAUSED", "PAUSED")
say("resume_all_connectors", one.resume_all_connectors)
running()
say("list_connector_tasks", one.list_connector_tasks, "one")
say("list_connector_tasks nope", one.list_connector_tasks, "nope")
say("get_connector_task_status", one.get_connector_task_status, "one", 0)
say("get_connector_task_status nope", one.get_connector_task_status, "one", 7)
say("restart_connector_task", one.restart_connector_task, "one", 0)
running()
say("restart_connector_task nope", one.restart_connector_task, "one", 7)
published(one, "one")
say("list_connector_topics", one.list_connector_topics, "one")
say("reset_connector_topics", one.reset_connector_topics, "one")
say("list_connector_plugins", one.list_connector_plugins)
say("validate_connector_config", one.validate_connector_config, plugin, dict(config, name="x"))
say("validate_connector_config wrong", one.validate_connector_config, plugin, {"connector.class": plugin})
say("stop_connector", one.stop_connector, "one")
wait(one, "one", "STOPPED", None)
say("get_connector_status stopped", one.get_connector_status, "one")
say("stop_connector nope", one.stop_connector, "nope")
say("stop_all_connectors", one.stop_all_connectors)
say("resume_connector stopped", one.resume_connector, "one")
running()
say("create_connector failing", one.create_connector, {"name": "bad", "config": bad})
wait(one, "bad", "RUNNING", "FAILED")
say("get_connector_status failed", one.get_connector_status, "bad")
say("delete_connector", one.delete_connector, "bad")
say("delete_connector nope", one.delete_connector, "bad")
say("delete_all_connectors", one.delete_all_connectors)
say("list_connectors deleted", one.list_connectors)

two = Connect(url)
say("list none", two.list, text=True)
say("create_or_update", two.create_or_update, "two", json.dumps(config), text=True)
running("two")
say("create_or_update again", two.create_or_update, "two", json.dumps(config), text=True)
running("two")
say("list", two.list, text=True)
say("info", two.info, "two", text=True)
say("info nope", two.info, "nope", text=True)
say("status", two.status, "two", text=True)
say("config", two.config, "two", text=True)
say("tasks", two.tasks, "two", text=True)
published(one, "two")
say("topics", two.topics, "two", text=True)
say("plugins", two.plugins, text=True)
say("restart", two.restart, "two", text=True)
running("two")
say("pause", two.pause, "two", text=True)
wait(one, "two", "PAUSED", "PAUSED")
say("resume", two.resume, "two", text=True)
running("two")
say("validate", two.validate, plugin, json.dumps(config), text=True)
say("validate_and_create wrong", two.validate_and_create, "three", json.dumps({"connector.class": plugin}), text=True)
say("validate_and_create", two.validate_and_create, "two", json.dumps(dict(config, name="two")), text=True)
running("two")
say("remove", two.remove, "two", text=True)
say("remove nope", two.remove, "two", text=True)
say("list removed", two.list, text=True)
