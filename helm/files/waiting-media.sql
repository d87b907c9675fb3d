-- How many media wait for workers, or are in their hands. KEDA asks this (values: worker.keda).
SELECT coalesce(sum(media_pending_count), 0)::bigint FROM imports WHERE status = 'PROCESSING'
