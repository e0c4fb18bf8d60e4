-- Runs asked for by hand, and schedules changed.

-- Each firing moves its schedule on: room in the page for the new row spares the indexes.
ALTER TABLE schedules SET (fillfactor = 75);

ALTER TABLE runs
  -- How often it was begun since it was last asked for, but for the times when its node was gone.
  ADD COLUMN tries integer NOT NULL DEFAULT 0,
  -- While it runs: when it is to be over (real time).
  ADD COLUMN deadline timestamptz,
  -- Its node has shut down in order while it ran.
  ADD COLUMN let_go boolean NOT NULL DEFAULT false;

-- A key may also stand for a run, or for what a line of the audit log says was done.
ALTER TABLE idempotency_keys
  ADD COLUMN run_id bigint REFERENCES runs,
  ADD COLUMN audit_id bigint REFERENCES audit_log,
  DROP CONSTRAINT idempotency_keys_check,
  ADD CHECK (num_nonnulls(action_id, api_key_id, run_id, audit_id) = 1);
CREATE INDEX idempotency_keys_by_run ON idempotency_keys (run_id) WHERE run_id IS NOT NULL;
