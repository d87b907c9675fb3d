-- How much work waits for workers, or is in their hands. KEDA asks this (values: worker.keda).
SELECT
    (SELECT count(*) FROM segments s JOIN imports i ON i.application_id = s.application_id AND i.id = s.import_id
        WHERE s.state <> 'DONE' AND i.status IN ('PENDING', 'PROCESSING') AND NOT i.held AND NOT i.pause_requested)
    + (SELECT count(*) FROM source_fetches)
    + (SELECT count(*) FROM imports WHERE revert_state = 'REVERTING')
