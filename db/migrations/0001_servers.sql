-- Catalogue, keys, servers and the sagas that make and delete them.
-- Business times (…_at) are given by the engine's clock. Leases alone are kept by the database's clock.

-- Business time goes on from here after a restart: one row, written by the first start.
CREATE TABLE engine_clock (
  one             boolean PRIMARY KEY DEFAULT true CHECK (one),
  rate            bigint NOT NULL CHECK (rate >= 1),
  real_origin     timestamptz NOT NULL,
  business_origin timestamptz NOT NULL
);

-- Whether the servers below are in a VirtFusion or in the demo's simulated one: one row, written by the first start.
CREATE TABLE engine_panel (
  one     boolean PRIMARY KEY DEFAULT true CHECK (one),
  is_demo boolean NOT NULL
);

CREATE TABLE users (
  id                 bigint PRIMARY KEY CHECK (id > 0),
  name               text NOT NULL,
  email              text NOT NULL,
  currency           text NOT NULL DEFAULT 'USD',
  tax_basis_points   integer NOT NULL DEFAULT 0 CHECK (tax_basis_points BETWEEN 0 AND 10000),
  locale             text NOT NULL DEFAULT 'en',
  timezone           text NOT NULL DEFAULT 'UTC',
  virtfusion_user_id bigint UNIQUE,
  created_at         timestamptz NOT NULL,
  updated_at         timestamptz NOT NULL
);

CREATE TABLE plans (
  id                    text PRIMARY KEY,
  name                  text NOT NULL,
  currency              text NOT NULL,
  virtfusion_package_id bigint NOT NULL CHECK (virtfusion_package_id > 0),
  os_template_ids       bigint[] NOT NULL DEFAULT '{}',
  ipv6                  boolean NOT NULL DEFAULT false,
  active                boolean NOT NULL DEFAULT true,
  created_at            timestamptz NOT NULL,
  updated_at            timestamptz NOT NULL
);

-- What a plan costs from an hour on. Two changes in one hour: the last one stands.
CREATE TABLE plan_prices (
  plan_id        text NOT NULL REFERENCES plans,
  valid_from     timestamptz NOT NULL,
  price_micros   bigint NOT NULL CHECK (price_micros >= 0),
  hours_per_month integer NOT NULL CHECK (hours_per_month BETWEEN 1 AND 8784),
  basis          text NOT NULL CHECK (basis IN ('allocated', 'uptime')),
  granularity    text NOT NULL CHECK (granularity IN ('second', 'hour')),
  PRIMARY KEY (plan_id, valid_from)
);

CREATE TABLE regions (
  id                             text PRIMARY KEY,
  name                           text NOT NULL,
  virtfusion_hypervisor_group_id bigint NOT NULL CHECK (virtfusion_hypervisor_group_id > 0),
  active                         boolean NOT NULL DEFAULT true,
  created_at                     timestamptz NOT NULL,
  updated_at                     timestamptz NOT NULL
);

CREATE TABLE api_keys (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- SHA-256 of the key's 256 random bits.
  hash       bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
  name       text NOT NULL,
  -- NULL: the operator's.
  user_id    bigint REFERENCES users,
  scopes     text[] NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz
);

-- Caches of checked keys forget what is revoked here.
CREATE FUNCTION notify_api_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('api_key_changed', OLD.id::text);
  RETURN NULL;
END $$;
CREATE TRIGGER api_key_changed AFTER UPDATE OR DELETE ON api_keys
  FOR EACH ROW EXECUTE FUNCTION notify_api_key_change();

CREATE SEQUENCE fencing_tokens;

CREATE TABLE nodes (
  name        text PRIMARY KEY,
  -- Outdates every earlier holder of this name.
  token       bigint NOT NULL UNIQUE,
  lease_until timestamptz NOT NULL,
  started_at  timestamptz NOT NULL
);

CREATE TABLE servers (
  id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id            bigint NOT NULL REFERENCES users,
  plan_id            text NOT NULL REFERENCES plans,
  region_id          text NOT NULL REFERENCES regions,
  -- As asked; NULL means `vps-<id>`.
  hostname           text,
  os_template_id     bigint,
  ssh_keys           text[] NOT NULL DEFAULT '{}',
  wants_ipv6         boolean NOT NULL,
  labels             jsonb NOT NULL DEFAULT '{}',
  external_reference text,
  state              text NOT NULL CHECK (state IN ('requested', 'creating', 'building', 'active', 'failed', 'suspended',
                                                    'deleting', 'deleted')),
  power              text NOT NULL DEFAULT 'unknown' CHECK (power IN ('unknown', 'on', 'off')),
  virtfusion_id      bigint UNIQUE,
  ipv4               text[] NOT NULL DEFAULT '{}',
  ipv6               text[] NOT NULL DEFAULT '{}',
  -- The sagas look at it before each of their steps.
  delete_requested   boolean NOT NULL DEFAULT false,
  created_at         timestamptz NOT NULL,
  active_at          timestamptz,
  deleted_at         timestamptz,
  -- No event of a server is older than the one before.
  last_event_at      timestamptz NOT NULL
);
CREATE INDEX servers_by_user ON servers (user_id, id);
CREATE INDEX servers_by_state ON servers (state, id);

CREATE TABLE actions (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         text NOT NULL CHECK (kind IN ('create', 'delete')),
  server_id    bigint NOT NULL REFERENCES servers,
  state        text NOT NULL CHECK (state IN ('pending', 'running', 'succeeded', 'failed')),
  step         text NOT NULL,
  -- Every committed step raises it; a step is written only over the version it was decided on.
  version      bigint NOT NULL DEFAULT 1,
  -- How many builds were asked for, and for which one the call is under way.
  builds       integer NOT NULL DEFAULT 0,
  -- Fencing token of the node that runs it; NULL while pending.
  token        bigint,
  error_code   text,
  error_detail text,
  requested_by text NOT NULL,
  request_id   text NOT NULL,
  created_at   timestamptz NOT NULL,
  finished_at  timestamptz,
  CHECK ((state IN ('succeeded', 'failed')) = (finished_at IS NOT NULL)),
  CHECK (state <> 'running' OR token IS NOT NULL)
);
CREATE UNIQUE INDEX one_running_action ON actions (server_id) WHERE state = 'running';
CREATE UNIQUE INDEX one_pending_action ON actions (server_id) WHERE state = 'pending';
CREATE INDEX actions_by_server ON actions (server_id, id);
CREATE INDEX running_actions ON actions (token) WHERE state IN ('pending', 'running');

CREATE TABLE server_events (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  server_id  bigint NOT NULL REFERENCES servers,
  at         timestamptz NOT NULL,
  type       text NOT NULL,
  from_state text,
  to_state   text,
  action_id  bigint REFERENCES actions,
  detail     jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX server_events_by_server ON server_events (server_id, id);

-- One POST /servers, committed before its bytes leave.
CREATE TABLE create_attempts (
  action_id     bigint NOT NULL REFERENCES actions,
  number        integer NOT NULL CHECK (number >= 1),
  user_id       bigint NOT NULL REFERENCES users,
  -- open: under way or unresolved. made, adopted, refused, lost: over. looking: a second look is under way.
  state         text NOT NULL CHECK (state IN ('open', 'made', 'adopted', 'refused', 'lost', 'looking')),
  sent_at       timestamptz NOT NULL,
  -- Highest VirtFusion server id that was seen before the first attempt of this action; ids only grow.
  mark          bigint NOT NULL,
  virtfusion_id bigint,
  -- What was asked for: extras are recognised by it, also when the catalogue has changed since.
  package_id    bigint NOT NULL,
  group_id      bigint NOT NULL,
  -- When to look for extras that a repeat may have left (real time); NULL when there is nothing to look for.
  second_look_at timestamptz,
  -- Who looks, and how many extras that look has deleted.
  token          bigint,
  extras_deleted integer NOT NULL DEFAULT 0,
  -- VirtFusion's id of the extra whose deletion has begun and is not seen to have ended.
  extra_id       bigint,
  PRIMARY KEY (action_id, number),
  CHECK (extra_id IS NULL OR second_look_at IS NOT NULL)
);
-- What makes a lost answer decidable: of one user, at most one create is unresolved, for all engines together.
CREATE UNIQUE INDEX one_unresolved_attempt ON create_attempts (user_id) WHERE state IN ('open', 'looking');
CREATE INDEX due_second_looks ON create_attempts (second_look_at) WHERE second_look_at IS NOT NULL;

-- A key of a caller (`operator`, or `user:<id>`) and what was made with it. No answer is stored.
CREATE TABLE idempotency_keys (
  caller       text NOT NULL,
  key          text NOT NULL,
  method       text NOT NULL,
  path         text NOT NULL,
  body_hash    bytea NOT NULL,
  action_id    bigint REFERENCES actions,
  api_key_id   bigint REFERENCES api_keys,
  -- Of the first answer that a caller was given; NULL until then.
  first_status integer,
  created_at   timestamptz NOT NULL,
  PRIMARY KEY (caller, key),
  CHECK (num_nonnulls(action_id, api_key_id) = 1)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE audit_log (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at     timestamptz NOT NULL,
  actor  text NOT NULL,
  action text NOT NULL,
  target text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'
);
