#!/usr/bin/env python3
"""Imports a CSV or NDJSON file of user verifications and tells what became of its rows, over a connection that may
break at any time.

    pip install -r examples/requirements.txt
    CARRYOVER_SERVER=127.0.0.1:50051 CARRYOVER_API_KEY=KEY examples/import_file.py FILE WORKFLOW

The code of messages and services is made from proto/ as the program starts; a real client makes it once, with
`python -m grpc_tools.protoc`. Exits with 3 when rows failed, with 1 when the import did."""

import hashlib
import os
import sys
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "proto"))
pb, services = grpc.protos_and_services("carryover/v1/import_service.proto")
types = grpc.protos("carryover/v1/import.proto")

# A message may have 4 MiB, offset and field numbers included.
CHUNK_BYTES = 1 << 20
KEY = [("x-api-key", os.environ["CARRYOVER_API_KEY"])]
ENDED = ("IMPORT_STATUS_COMPLETED", "IMPORT_STATUS_FAILED", "IMPORT_STATUS_CANCELLED")
# What passes by itself: a server that restarts or is replaced, a limit on calls, another stream that took over.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED)


def import_of(answer):
    """The field `import`, whose name is a keyword here."""
    return getattr(answer, "import")


def status(job):
    """The name of an import's status."""
    return types.ImportStatus.Name(job.status)


def patiently(work):
    """Does something again for some minutes while what keeps it from being done passes by itself."""
    for attempt in range(10):
        try:
            return work()
        except grpc.RpcError as error:
            if error.code() not in PASSING or attempt == 9:
                raise
            time.sleep(min(2**attempt, 30))


def messages(file, import_id, offset):
    """An upload that goes on at an offset: resume, chunks, finish."""
    yield pb.UploadImportRequest(resume=pb.UploadResume(import_id=import_id, write_offset=offset))
    with file.open("rb") as source:
        source.seek(offset)
        while data := source.read(CHUNK_BYTES):
            yield pb.UploadImportRequest(chunk=pb.UploadChunk(write_offset=offset, data=data))
            offset += len(data)
    digest = hashlib.sha256(file.read_bytes()).digest()
    yield pb.UploadImportRequest(finish=pb.UploadFinish(size=offset, sha256=digest))


def upload(stub, file, workflow):
    """Sends the file, from where the last try came to; gives the import's id."""
    spec = types.ImportSpec(import_type="IMPORT_TYPE_USER_VERIFICATION", workflow_id=workflow, source_filename=file.name)
    # The same file in the same workflow is the same import, should this program be started again.
    request_id = hashlib.sha256(workflow.encode() + file.read_bytes()).hexdigest()
    request = pb.CreateImportRequest(spec=spec, request_id=request_id)
    import_id = import_of(patiently(lambda: stub.CreateImport(request, metadata=KEY))).uuid

    def send():
        job = import_of(stub.GetImport(pb.GetImportRequest(import_id=import_id), metadata=KEY))
        if not job.upload_finished and status(job) not in ENDED:
            stub.UploadImport(messages(file, import_id, job.committed_size), metadata=KEY)

    patiently(send)
    return import_id


def follow(stub, import_id):
    """Waits for the import's end; gives its last state."""

    def watch():
        for message in stub.WatchImport(pb.WatchImportRequest(import_id=import_id), metadata=KEY):
            if message.WhichOneof("event") == "import":
                job = import_of(message)
                print(f"{status(job)}: {job.processed_rows} of {job.total_rows} rows", file=sys.stderr)
        return job

    return patiently(watch)


def main(file, workflow):
    with grpc.insecure_channel(os.environ["CARRYOVER_SERVER"]) as channel:
        stub = services.ImportServiceStub(channel)
        import_id = upload(stub, file, workflow)
        job = follow(stub, import_id)
        counts = (job.created_count, job.updated_count, job.skipped_count, job.failed_count)
        print("{} created, {} updated, {} skipped, {} failed".format(*counts))
        for message in stub.StreamRowErrors(pb.StreamRowErrorsRequest(import_id=import_id), metadata=KEY):
            error = message.row_error
            for issue in error.issues:
                print(f"row {error.row_number}, {issue.field}: {issue.message}")
        if status(job) != "IMPORT_STATUS_COMPLETED":
            print(job.last_error or status(job), file=sys.stderr)
            return 1
        return 3 if job.failed_count else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: import_file.py FILE WORKFLOW")
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
