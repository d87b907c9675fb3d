"""Drives a Carryover server as a client that has never seen its .proto files.

Everything about the API comes from server reflection; no stub is generated. So this program fails
when the server cannot be used from another language: when reflection lacks a file, when a message
is not what its descriptor says, when an error carries no readable details, or when an import does
not end in exactly the counters, row errors and sessions that its file asks for.

Usage: client.py ADDRESS ADMIN_KEY

The server may hold other data; a run makes its own applications. Prints "ok" at the end and exits
with 0 when all is well; a traceback and another exit code otherwise.
"""

import csv
import hashlib
import io
import itertools
import sys

import google_crc32c
import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import proto_reflection_descriptor_database

DEADLINE_SECONDS = 60
CHUNK_SIZES = (1, 7, 4096, 65536)

IMPORTS = "carryover.v1.ImportService"
SESSIONS = "carryover.v1.SessionService"
WORKFLOWS = "carryover.v1.WorkflowService"
ADMIN = "carryover.v1.AdminService"
HEALTH = "grpc.health.v1.Health"

ROWS = 2500
ADDRESS = 'Calle "Ñandú" 7,\nPiso 2\n東京 🚀'
ROW = {
    "external_id": "",
    "status": "In Review",
    "created_at": "2024-03-11T09:20:41Z",
    "first_name": "Zoë",
    "date_of_birth": "1988-07-02",
    "address": ADDRESS,
    "front_image_url": "https://media.example.net/front.jpg",
}
# Row number to the external_id that it repeats.
DUPLICATES = {900: "p-1", 1700: "p-899", 2499: "p-2498"}
# Row number to column, value, and the issue that must come back.
INVALID = {
    3: ("status", "unknown_status", "ISSUE_CODE_INVALID_VALUE"),
    777: ("date_of_birth", "31/12/1990", "ISSUE_CODE_INVALID_VALUE"),
    1201: ("external_id", "", "ISSUE_CODE_REQUIRED"),
    1202: ("front_image_url", "http://media.example.net/a.jpg", "ISSUE_CODE_UNSAFE_URL"),
    2500: ("", "a cell too many", "ISSUE_CODE_COLUMN_COUNT"),
}


class Api:
    """A server whose methods and messages are learnt by reflection."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        grpc.channel_ready_future(self.channel).result(timeout=DEADLINE_SECONDS)
        self.reflection = proto_reflection_descriptor_database.ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.reflection)

    def call(self, service, method, request, key=None):
        """Calls a method; `request` is the fields of the message, or of each message of a stream."""
        descriptor = self.pool.FindServiceByName(service).methods_by_name[method]
        request_type = message_factory.GetMessageClass(descriptor.input_type)
        kind = {
            (False, False): self.channel.unary_unary,
            (True, False): self.channel.stream_unary,
            (False, True): self.channel.unary_stream,
        }[descriptor.client_streaming, descriptor.server_streaming]
        call = kind(
            f"/{service}/{method}",
            request_serializer=lambda fields: request_type(**fields).SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(descriptor.output_type).FromString,
        )
        request = iter(request) if descriptor.client_streaming else request
        return call(request, timeout=DEADLINE_SECONDS, metadata=[("x-api-key", key)] if key else [])

    def refused(self, code, service, method, request, key=None):
        """Calls a method that must answer `code`; gives its google.rpc.ErrorInfo."""
        try:
            answer = self.call(service, method, request, key)
        except grpc.RpcError as error:
            assert error.code() == code, f"{method} answered {error.code()} ({error.details()}), not {code}"
            packed = dict(error.trailing_metadata()).get("grpc-status-details-bin")
            assert packed, f"{method}: {code} without details"
            status = status_pb2.Status.FromString(packed)
            told = (status.code, status.message)
            assert told == (code.value[0], error.details()), f"{method}: the details tell {told}, not {error}"
            info = error_details_pb2.ErrorInfo()
            assert any(detail.Unpack(info) for detail in status.details), f"{method}: no ErrorInfo in {status}"
            assert info.domain == "carryover.v1", f"{method}: domain {info.domain!r}"
            return info
        raise AssertionError(f"{method} answered {answer}, not {code}")


def enum_name(message, field):
    """The name of an enum field's value."""
    return message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number[getattr(message, field)].name


def import_of(answer):
    """The field "import", which is a keyword of Python and no attribute can be written so."""
    return getattr(answer, "import")


def outcomes(snapshot):
    """Rows created, updated, skipped and failed."""
    return tuple(getattr(snapshot, f"{word}_count") for word in ("created", "updated", "skipped", "failed"))


def build_csv():
    """Gives the file, and for each invalid row the line on which it begins."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(ROW)
    lines = {}
    for number in range(1, ROWS + 1):
        row = ROW | {"external_id": DUPLICATES.get(number, f"p-{number}")}
        if number % 5:
            row |= {"status": "Approved", "address": f"Łąkowa, {number}"}
        if number in INVALID:
            lines[number] = text.getvalue().count("\n") + 1
            column, value, _ = INVALID[number]
            row[column] = value
        writer.writerow(row.values())
    return text.getvalue().encode(), lines


def upload_messages(file, spec):
    """The messages of an upload, cut at sizes that respect nothing."""
    yield {"start": {"spec": spec, "request_id": "foreign-client"}}
    sizes = itertools.cycle(CHUNK_SIZES)
    offset = 0
    while offset < len(file):
        data = file[offset : offset + next(sizes)]
        yield {"chunk": {"write_offset": offset, "data": data, "crc32c": google_crc32c.value(data)}}
        offset += len(data)
    yield {"finish": {"size": len(file), "sha256": hashlib.sha256(file).digest()}}


def follow(api, import_id, key):
    """Watches an import until the server ends the stream; gives the last snapshot."""
    stream = api.call(IMPORTS, "WatchImport", {"import_id": import_id}, key)
    snapshots = [import_of(message) for message in stream if message.WhichOneof("event") == "import"]
    assert stream.code() == grpc.StatusCode.OK, f"the watch ended with {stream.code()}"
    assert snapshots, "the watch ended without a snapshot"
    for snapshot in snapshots:
        assert snapshot.processed_rows == sum(outcomes(snapshot)), f"a snapshot does not add up: {snapshot}"
    sequences = [snapshot.sequence for snapshot in snapshots]
    assert sequences == sorted(set(sequences)), f"the snapshots came in the order {sequences}"
    return snapshots[-1]


def check_row_errors(api, import_id, key, lines):
    """Reads the row errors as a stream and in pages, and compares both with the file."""
    request = {"import_id": import_id}
    errors = [message.row_error for message in api.call(IMPORTS, "StreamRowErrors", request, key)]
    paged, token = [], ""
    while not paged or token:
        page = api.call(IMPORTS, "ListRowErrors", request | {"page_size": 2, "page_token": token}, key)
        assert 1 <= len(page.row_errors) <= 2, f"a page of {len(page.row_errors)} where 2 were asked for"
        paged += page.row_errors
        token = page.next_page_token
    assert errors == paged, f"StreamRowErrors and ListRowErrors disagree: {errors}, {paged}"
    found = {error.row_number: error.line_number for error in errors}
    assert found == lines, f"rows and lines of the errors are {found}, not {lines}"
    for error in errors:
        column, value, code = INVALID[error.row_number]
        issues = [(issue.field, enum_name(issue, "code")) for issue in error.issues]
        assert issues == [(column, code)], f"row {error.row_number} has the issues {issues}"
        assert not column or error.raw_row[column] == value, f"the raw row is {error.raw_row}"


def check_decision(api, import_id, key):
    """Reads one session of the import and compares it with its row."""
    request = {"external_id": "p-5", "import_id": import_id}
    sessions = api.call(SESSIONS, "ListSessions", request, key).sessions
    assert [session.row_number for session in sessions] == [5], f"sessions of p-5: {sessions}"
    session = {"session_id": sessions[0].session_id}
    decision = api.call(SESSIONS, "GetSessionDecision", session, key).decision
    assert enum_name(decision, "status") == "SESSION_STATUS_IN_REVIEW", f"the decision is {decision}"
    assert decision.created_at.ToJsonString() == ROW["created_at"], f"the decision is {decision}"
    identity = decision.id_verifications[0]
    for field in ("first_name", "date_of_birth", "address"):
        assert getattr(identity, field) == ROW[field], f"{field} is {getattr(identity, field)!r}"


def application(api, admin_key, name):
    """Makes an application that may import; gives its id and an importer's key."""
    request = {"name": name, "enable_imports": True}
    made = api.call(ADMIN, "CreateApplication", request, admin_key).application
    assert made.imports_enabled, "the application was made with imports off"
    request = {"application_id": made.id, "role": "ROLE_IMPORTER", "name": name}
    return made.id, api.call(ADMIN, "CreateApiKey", request, admin_key).key


def main(address, admin_key):
    """Runs every step."""
    api = Api(address)
    services = set(api.reflection.get_services())
    assert {IMPORTS, HEALTH} <= services, f"reflection lists {services}"
    print(f"reflection: {len(services)} services")

    health = api.call(HEALTH, "Check", {})
    assert enum_name(health, "status") == "SERVING", f"the health is {health}"
    print("health: SERVING")

    application_id, key = application(api, admin_key, "Foreign client")
    request = {"application_id": application_id, "name": "KYC", "kind": "WORKFLOW_KIND_USER"}
    workflow = api.call(WORKFLOWS, "CreateWorkflow", request, admin_key).workflow
    print("application, key and workflow: made")

    file, lines = build_csv()
    spec = {"import_type": "IMPORT_TYPE_USER_VERIFICATION", "workflow_id": workflow.id}
    answer = import_of(api.call(IMPORTS, "UploadImport", upload_messages(file, spec), key))
    assert answer.upload_finished and answer.committed_size == len(file), f"the upload answered {answer}"
    print(f"upload: {len(file)} bytes")

    last = follow(api, answer.uuid, key)
    assert enum_name(last, "status") == "IMPORT_STATUS_COMPLETED", f"the import ended as {last}"
    expected = (ROWS - len(DUPLICATES) - len(INVALID), 0, len(DUPLICATES), len(INVALID))
    assert outcomes(last) == expected, f"the outcomes are {outcomes(last)}, not {expected}"
    assert last.total_rows == last.processed_rows == last.checkpoint_row == ROWS, f"the rows are {last}"
    assert last.duplicate_count == len(DUPLICATES), f"the duplicates are {last.duplicate_count}"
    print("watch: COMPLETED, {} created, {} updated, {} skipped, {} failed".format(*expected))

    check_row_errors(api, answer.uuid, key, lines)
    print(f"row errors: {len(lines)} with their lines and codes")

    check_decision(api, answer.uuid, key)
    print("decision: as in the file")

    begun = import_of(api.call(IMPORTS, "CreateImport", {"spec": spec}, key))
    messages = [
        {"resume": {"import_id": begun.uuid, "write_offset": 0}},
        {"chunk": {"write_offset": 0, "data": file[:1000]}},
        {"chunk": {"write_offset": 1007, "data": file[1007:2000]}},
    ]
    info = api.refused(grpc.StatusCode.OUT_OF_RANGE, IMPORTS, "UploadImport", messages, key)
    told = (info.reason, dict(info.metadata))
    assert told == ("WRONG_OFFSET", {"expected_offset": "1000"}), f"the error told {told}"
    ended = import_of(api.call(IMPORTS, "CancelImport", {"import_id": begun.uuid}, key))
    assert enum_name(ended, "status") == "IMPORT_STATUS_CANCELLED", f"the cancel answered {ended}"
    print("wrong offset: OUT_OF_RANGE; the import cancelled")

    request = {"import_id": answer.uuid}
    info = api.refused(grpc.StatusCode.UNAUTHENTICATED, IMPORTS, "GetImport", request)
    assert info.reason == "INVALID_API_KEY", f"the reason is {info.reason}"
    print("no key: UNAUTHENTICATED")

    _, stranger = application(api, admin_key, "Stranger")
    info = api.refused(grpc.StatusCode.NOT_FOUND, IMPORTS, "GetImport", request, stranger)
    assert info.reason == "NOT_FOUND", f"the reason is {info.reason}"
    print("another application: NOT_FOUND")
    print("ok")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: client.py ADDRESS ADMIN_KEY")
    main(sys.argv[1], sys.argv[2])
