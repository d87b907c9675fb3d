#!/usr/bin/env bash
# Imports a CSV or NDJSON file of user verifications with grpcurl alone. The server tells what services and messages
# there are, so no .proto file is needed.
#
#   CARRYOVER_SERVER=127.0.0.1:50051 CARRYOVER_API_KEY=KEY examples/import_file.sh FILE WORKFLOW
#
# Exits with 3 when rows failed, with 1 when the import did.
set -euo pipefail
[[ $# -eq 2 ]] || { echo "usage: ${0##*/} FILE WORKFLOW" >&2; exit 2; }
file=$1 workflow=$2

# call METHOD [FLAGS]: calls a method of the import service.
call() {
    local method=$1
    shift
    grpcurl -plaintext -H "x-api-key: $CARRYOVER_API_KEY" "$@" "$CARRYOVER_SERVER" "carryover.v1.ImportService/$method"
}

# An upload is a stream of messages: start, chunks, finish. Bytes are base64 in JSON.
upload() {
    local size chunk=$((1 << 20)) offset=0
    size=$(stat --format %s "$file")
    echo "{\"start\": {\"spec\": {\"import_type\": \"IMPORT_TYPE_USER_VERIFICATION\", \"workflow_id\": \"$workflow\"}}}"
    while ((offset < size)); do
        data=$(dd if="$file" bs=$chunk skip=$((offset / chunk)) count=1 status=none | base64 --wrap 0)
        echo "{\"chunk\": {\"write_offset\": $offset, \"data\": \"$data\"}}"
        offset=$((offset + chunk))
    done
    echo "{\"finish\": {\"size\": $size}}"
}

# field NAME: a field of the import at hand; whatever is 0 is not there in JSON.
field() { sed --quiet "s/^ *\"$1\": \"\\(.*\\)\",\\?$/\\1/p" <<<"$import" | head --lines 1; }

import=$(upload | call UploadImport -d @)
id=$(field uuid)
call WatchImport -d "{\"import_id\": \"$id\"}" >&2
import=$(call GetImport -d "{\"import_id\": \"$id\"}")
created=$(field createdCount) skipped=$(field skippedCount) failed=$(field failedCount)
echo "${created:-0} created, ${skipped:-0} skipped, ${failed:-0} failed"
call StreamRowErrors -d "{\"import_id\": \"$id\"}"
[[ $(field status) == IMPORT_STATUS_COMPLETED ]] || exit 1
[[ -z $failed ]] || exit 3
