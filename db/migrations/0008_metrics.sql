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

-- The same by the hour and by the day, which stays when the detail goes. Of traffic: the last that was seen.
CREATE TABLE server_metrics_hours (
  server_id         bigint NOT NULL,
  at                timestamptz NOT NULL,
  -- Live looks, and those that saw it on.
  looks             integer NOT NULL,
  looks_on          integer NOT NULL,
  is_on             boolean,
  cpu               real,
  cpu_min           real,
  cpu_max           real,
  memory_total      bigint,
  memory_used       bigint,
  memory_used_min   bigint,
  memory_used_max   bigint,
  disk_total        bigint,
  disk_used         bigint,
  disk_used_min     bigint,
  disk_used_max     bigint,
  traffic_in        bigint,
  traffic_out       bigint,
  traffic_period_at timestamptz,
  PRIMARY KEY (server_id, at)
) PARTITION BY RANGE (at);
CREATE TABLE server_metrics_days (LIKE server_metrics_hours INCLUDING ALL) PARTITION BY RANGE (at);

-- How far they are made: for all days before this one, and of this one for servers up to this id. One row.
CREATE TABLE metrics_rollup (
  one       boolean PRIMARY KEY DEFAULT true CHECK (one),
  day       timestamptz NOT NULL CHECK (day = date_trunc('day', day, 'UTC')),
  server_id bigint NOT NULL
);

-- Drops the tables by month whose month ended before that; answers how many.
CREATE FUNCTION drop_month_partitions(parent text, before timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  name    text;
  dropped integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('skyengine partitions'));
  FOR name IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass(parent) AND c.relname ~ ('^' || parent || '_[0-9]{6}$')
       AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' <= before
     ORDER BY c.relname
  LOOP
    EXECUTE format('DROP TABLE %I', name);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;
