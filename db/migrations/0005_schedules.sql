-- Managed cron: schedules, and each of their firings as a row.

-- Who runs what one node alone may run; by the node's lease.
CREATE TABLE singletons (
  name  text PRIMARY KEY,
  node  text NOT NULL,
  token bigint NOT NULL
);

-- Numbers changes that the timer has to hear of.
CREATE SEQUENCE schedule_changes;

CREATE TABLE schedules (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name            text NOT NULL UNIQUE,
  -- What its ticks are for.
  handler         text NOT NULL,
  expression      text NOT NULL,
  timezone        text NOT NULL DEFAULT 'UTC',
  paused          boolean NOT NULL DEFAULT false,
  note            text,
  catch_up        text NOT NULL CHECK (catch_up IN ('all', 'latest', 'none')),
  catch_up_window bigint NOT NULL CHECK (catch_up_window >= 0),
  overlap         text NOT NULL CHECK (overlap IN ('skip', 'queue', 'allow')),
  -- Seconds, of real time.
  timeout         bigint NOT NULL CHECK (timeout > 0),
  jitter          bigint NOT NULL DEFAULT 0 CHECK (jitter >= 0),
  retries         integer NOT NULL DEFAULT 0 CHECK (retries >= 0),
  -- After so many failed runs in a row: an alert, and a pause.
  alert_after     integer NOT NULL DEFAULT 3 CHECK (alert_after > 0),
  pause_after     integer CHECK (pause_after > 0),
  failures        integer NOT NULL DEFAULT 0,
  -- When it is due next; NULL until the timer has seen it, and while it is paused.
  next_at         timestamptz,
  -- Raised by every change but the timer's own.
  version         bigint NOT NULL DEFAULT 1,
  change          bigint NOT NULL DEFAULT nextval('schedule_changes'),
  CHECK (NOT paused OR next_at IS NULL)
);
CREATE INDEX schedules_by_change ON schedules (change);

CREATE TABLE runs (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schedule_id      bigint NOT NULL REFERENCES schedules,
  scheduled_at     timestamptz NOT NULL,
  state            text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled',
                                                  'skipped')),
  manual           boolean NOT NULL DEFAULT false,
  attempts         integer NOT NULL DEFAULT 0,
  -- How often the node that ran it was gone before its end.
  interruptions    integer NOT NULL DEFAULT 0,
  -- While queued: not before this (real time).
  not_before       timestamptz,
  cancel_requested boolean NOT NULL DEFAULT false,
  node             text,
  -- Fencing token of the node that runs it.
  token            bigint,
  started_at       timestamptz,
  ended_at         timestamptz,
  figures          jsonb NOT NULL DEFAULT '{}',
  error_code       text,
  error_detail     text,
  UNIQUE (schedule_id, scheduled_at),
  CHECK (state <> 'running' OR (token IS NOT NULL AND started_at IS NOT NULL)),
  CHECK ((state IN ('queued', 'running')) = (ended_at IS NULL))
);
CREATE INDEX open_runs ON runs (id) WHERE state IN ('queued', 'running');
CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- What is to be told to people outside; sent later, and kept until it was.
CREATE TABLE outbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('alert')),
  -- Alerts of one subject are told together.
  subject    text NOT NULL,
  body       jsonb NOT NULL,
  created_at timestamptz NOT NULL
);

INSERT INTO schedules (name, handler, expression, paused, note, catch_up, catch_up_window, overlap, timeout, retries)
VALUES ('hourly-sync-and-billing', 'hourly-sync-and-billing', '0 * * * *', true, 'not built yet', 'latest', 604800, 'queue', 7200, 3),
       ('monthly-invoices', 'monthly-invoices', '0 0 1 * *', true, 'not built yet', 'all', 31622400, 'queue', 21600, 5),
       ('daily-dunning', 'daily-dunning', '15 0 * * *', true, 'not built yet', 'latest', 604800, 'queue', 7200, 3),
       ('daily-clean-up', 'daily-clean-up', '45 3 * * *', false, NULL, 'latest', 604800, 'skip', 3600, 3);
