-- What the sync sees of servers: when each was last looked at, and what was measured.

-- One row a server, beside `servers`, whose rows sagas lock. No index but the key, so that new times are written in
-- place (HOT); what is due is found by a scan, which is cheap beside the calls that follow.
CREATE TABLE server_observations (
  server_id        bigint PRIMARY KEY,
  -- As the list said last.
  hypervisor_id    bigint,
  listed_at        timestamptz,
  traffic_at       timestamptz,
  live_at          timestamptz,
  -- When asking last brought nothing, so that what never answers does not stand before all others.
  traffic_tried_at timestamptz,
  live_tried_at    timestamptz,
  is_on            boolean
) WITH (fillfactor = 50);

-- The last full list: for which tick, and when it was read. One row.
CREATE TABLE server_lists (
  one      boolean PRIMARY KEY DEFAULT true CHECK (one),
  tick     timestamptz NOT NULL,
  begun_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL
);

-- A row is one observation: of the traffic, or live.
CREATE TABLE server_metrics (
  server_id         bigint NOT NULL,
  observed_at       timestamptz NOT NULL,
  is_on             boolean,
  cpu_percent       real,
  memory_total      bigint,
  memory_used       bigint,
  disk_total        bigint,
  disk_used         bigint,
  -- Bytes since the period began.
  traffic_in        bigint,
  traffic_out       bigint,
  traffic_period_at timestamptz,
  PRIMARY KEY (server_id, observed_at)
) PARTITION BY RANGE (observed_at);
