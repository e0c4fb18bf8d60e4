-- Where VirtFusion and our record of a server say different things.

CREATE TABLE drift (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind          text NOT NULL CHECK (kind IN ('gone', 'owner', 'package', 'suspended', 'running', 'unknown')),
  -- NULL while nobody here knows it.
  server_id     bigint REFERENCES servers,
  virtfusion_id bigint NOT NULL,
  first_seen    timestamptz NOT NULL,
  last_seen     timestamptz NOT NULL CHECK (last_seen >= first_seen),
  -- What is wrong, in words that stay the same as long as it is wrong in the same way.
  seen          text NOT NULL,
  detail        jsonb NOT NULL DEFAULT '{}',
  state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved', 'vanished')),
  -- It is still so, as far as was seen: also where an operator has said to let it be.
  standing      boolean NOT NULL DEFAULT true,
  resolution    text CHECK (resolution IN ('adopt', 'ignore', 'delete', 'take_over')),
  ended_at      timestamptz,
  ended_by      text,
  hold_id       bigint REFERENCES holds,
  CHECK ((state = 'resolved') = (resolution IS NOT NULL)),
  CHECK ((state = 'open') = (ended_at IS NULL)),
  CHECK ((state = 'open') = (ended_by IS NULL)),
  CHECK (standing OR state <> 'open'),
  CHECK (server_id IS NOT NULL OR kind = 'unknown')
);
CREATE UNIQUE INDEX one_standing_drift ON drift (virtfusion_id, kind) WHERE standing;
CREATE INDEX standing_drift_by_server ON drift (server_id) WHERE standing;
CREATE INDEX drift_by_state ON drift (state, id);

-- When VirtFusion last showed a server, and in how many full lists it has been missing since. One row a server, beside
-- `servers`, whose rows sagas lock; no index but the key, so that new times are written in place (HOT).
CREATE TABLE server_sightings (
  server_id   bigint PRIMARY KEY,
  seen_at     timestamptz,
  absences    integer NOT NULL DEFAULT 0,
  -- When the last list that it was missing in began.
  absent_from timestamptz,
  -- What it had when that was last right; NULL where nobody has looked yet.
  memory_mb   bigint,
  storage_gb  bigint,
  traffic_gb  bigint,
  cpu_cores   bigint,
  CHECK (num_nulls(memory_mb, storage_gb, traffic_gb, cpu_cores) IN (0, 4))
) WITH (fillfactor = 50);
