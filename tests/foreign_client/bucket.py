"""An S3-compatible server with one bucket. Prints its port, and at each line it reads the keys that are stored."""

import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = boto3.client(
    "s3",
    endpoint_url=f"http://{host}:{port}",
    region_name="us-east-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
)
s3.create_bucket(Bucket="carryover")
print(port, flush=True)
for _ in sys.stdin:
    stored = s3.list_objects_v2(Bucket="carryover").get("Contents", [])
    print(" ".join(entry["Key"] for entry in stored), flush=True)
