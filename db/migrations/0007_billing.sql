-- What servers cost: charges by the hour, corrections of months that are over, and the ledger they are posted to.
-- Charges and the ledger have no foreign keys: users and servers are never deleted, and a key would cost as much as its
-- row.

-- A change of plan: which one until then, and which one from then on.
ALTER TABLE server_events
  ADD COLUMN from_plan text REFERENCES plans,
  ADD COLUMN to_plan text REFERENCES plans,
  ADD CHECK (num_nulls(from_plan, to_plan) IN (0, 2));

-- The events that begin or end what is paid for.
CREATE INDEX billable_events ON server_events (server_id, id)
  WHERE (from_state IS NOT DISTINCT FROM 'active') <> (to_state IS NOT DISTINCT FROM 'active') OR to_plan IS NOT NULL;

-- Until when the hours of a user are closed. Who closes one, or writes a fact about what is paid for, locks the row: so
-- a fact is either seen when its hour is closed, or knows that it comes late.
CREATE TABLE billing_accounts (
  user_id      bigint PRIMARY KEY REFERENCES users,
  closed_until timestamptz NOT NULL,
  -- Raised by each fact: what was read of a user stays true while this stays the same.
  facts        bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Months of servers that a fact which came late has changed; they are looked at when the user's next hour is closed.
CREATE TABLE billing_rechecks (
  server_id bigint NOT NULL REFERENCES servers,
  month     timestamptz NOT NULL,
  PRIMARY KEY (server_id, month)
);

-- A clock that was ahead must not leave the hours from now until then unclosed: an account goes back as long as nothing
-- was charged.
CREATE FUNCTION open_billing_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO billing_accounts AS a (user_id, closed_until)
  VALUES (NEW.user_id, date_trunc('hour', NEW.created_at, 'UTC'))
  ON CONFLICT (user_id) DO UPDATE SET closed_until = excluded.closed_until, facts = a.facts + 1
   WHERE excluded.closed_until < a.closed_until
     AND NOT EXISTS (SELECT FROM charges c JOIN servers s ON s.id = c.server_id WHERE s.user_id = a.user_id);
  RETURN NULL;
END $$;
CREATE TRIGGER server_has_billing_account AFTER INSERT ON servers
  FOR EACH ROW EXECUTE FUNCTION open_billing_account();
INSERT INTO billing_accounts (user_id, closed_until)
SELECT user_id, date_trunc('hour', min(created_at), 'UTC') FROM servers GROUP BY user_id;

CREATE FUNCTION note_billing_fact(of_user bigint, of_server bigint, fact_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  closed timestamptz;
BEGIN
  UPDATE billing_accounts SET facts = facts + 1 WHERE user_id = of_user RETURNING closed_until INTO closed;
  IF fact_at < closed THEN
    INSERT INTO billing_rechecks (server_id, month)
    SELECT s.id, m AT TIME ZONE 'UTC'
      FROM servers s,
           generate_series(date_trunc('month', fact_at AT TIME ZONE 'UTC'),
                           closed AT TIME ZONE 'UTC' - interval '1 second', interval '1 month') AS m
     WHERE s.user_id = of_user AND (of_server IS NULL OR s.id = of_server)
    ON CONFLICT DO NOTHING;
  END IF;
END $$;

CREATE FUNCTION note_event_for_billing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_billing_fact(s.user_id, s.id, NEW.at) FROM servers s WHERE s.id = NEW.server_id;
  RETURN NULL;
END $$;
CREATE TRIGGER billable_event AFTER INSERT ON server_events
  FOR EACH ROW
  WHEN ((NEW.from_state IS NOT DISTINCT FROM 'active') <> (NEW.to_state IS NOT DISTINCT FROM 'active')
        OR NEW.to_plan IS NOT NULL)
  EXECUTE FUNCTION note_event_for_billing();

-- What is not charged for now: of one server, or of all of a user. Released, it is charged after all; written off,
-- never.
CREATE TABLE holds (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  server_id  bigint REFERENCES servers,
  user_id    bigint NOT NULL REFERENCES users,
  kind       text NOT NULL CHECK (kind IN ('operator', 'drift')),
  reason     text NOT NULL,
  from_at    timestamptz NOT NULL CHECK (from_at = date_trunc('second', from_at)),
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  -- Once it has ended: until when it held, and what became of that time.
  until_at   timestamptz CHECK (until_at >= from_at AND until_at = date_trunc('second', until_at)),
  outcome    text CHECK (outcome IN ('released', 'written_off')),
  ended_by   text,
  -- When somebody was last told that it is there.
  alerted_at timestamptz NOT NULL,
  CHECK (num_nulls(until_at, outcome, ended_by) IN (0, 3))
);
CREATE INDEX holds_by_user ON holds (user_id);
CREATE INDEX open_holds ON holds (id) WHERE outcome IS NULL;

CREATE FUNCTION note_hold_for_billing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_billing_fact(NEW.user_id, NEW.server_id,
                            CASE WHEN TG_OP = 'UPDATE' THEN least(OLD.from_at, NEW.from_at) ELSE NEW.from_at END);
  RETURN NULL;
END $$;
CREATE TRIGGER hold_changed AFTER INSERT OR UPDATE OF from_at, until_at, outcome ON holds
  FOR EACH ROW EXECUTE FUNCTION note_hold_for_billing();

-- What was seen of the power of servers that are charged by uptime. A row grows while the same is seen in each clock
-- hour; a change, or an hour without a look, begins another.
CREATE TABLE power_spans (
  server_id  bigint NOT NULL REFERENCES servers,
  first_seen timestamptz NOT NULL CHECK (first_seen = date_trunc('second', first_seen)),
  last_seen  timestamptz NOT NULL CHECK (last_seen >= first_seen AND last_seen = date_trunc('second', last_seen)),
  is_on      boolean NOT NULL,
  PRIMARY KEY (server_id, first_seen)
);

CREATE FUNCTION note_power_for_billing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_billing_fact(s.user_id, s.id,
                            date_trunc('hour', CASE WHEN TG_OP = 'INSERT' THEN NEW.first_seen ELSE NEW.last_seen END,
                                       'UTC'))
     FROM servers s WHERE s.id = NEW.server_id;
  RETURN NULL;
END $$;
CREATE TRIGGER power_seen AFTER INSERT OR UPDATE ON power_spans
  FOR EACH ROW EXECUTE FUNCTION note_power_for_billing();

-- Terms that begin in hours which are closed, as after a clock that was set back. Elsewhere terms are read anew with each
-- hour.
CREATE FUNCTION note_price_for_billing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM note_billing_fact(s.user_id, s.id, NEW.valid_from)
     FROM servers s JOIN billing_accounts a ON a.user_id = s.user_id
    WHERE a.closed_until > NEW.valid_from
      AND (s.plan_id = NEW.plan_id
           OR EXISTS (SELECT FROM server_events e
                       WHERE e.server_id = s.id AND NEW.plan_id IN (e.from_plan, e.to_plan)));
  RETURN NULL;
END $$;
CREATE TRIGGER price_stored AFTER INSERT OR UPDATE ON plan_prices
  FOR EACH ROW EXECUTE FUNCTION note_price_for_billing();

CREATE FUNCTION forbid_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a row of % is never changed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

-- What an hour has added to what its server's month had come to. An hour that adds no second and no micro has no row.
CREATE TABLE charges (
  server_id     bigint NOT NULL,
  hour          timestamptz NOT NULL,
  user_id       bigint NOT NULL,
  currency      text NOT NULL,
  plan_id       text NOT NULL,
  basis         text NOT NULL,
  -- Charged as allocated since nobody could see whether it was powered on.
  estimated     boolean NOT NULL,
  seconds       integer NOT NULL,
  amount_micros bigint NOT NULL,
  -- What the month has come to with it.
  month_seconds integer NOT NULL,
  month_micros  bigint NOT NULL,
  PRIMARY KEY (server_id, hour)
) PARTITION BY RANGE (hour);
CREATE TRIGGER charges_stay BEFORE UPDATE OR DELETE ON charges FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER no_charges_truncated BEFORE TRUNCATE ON charges FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- What facts that came after the end of a server's month have added to it.
CREATE TABLE charge_corrections (
  server_id     bigint NOT NULL,
  month         timestamptz NOT NULL,
  sequence      integer NOT NULL CHECK (sequence >= 1),
  user_id       bigint NOT NULL,
  currency      text NOT NULL,
  plan_id       text NOT NULL,
  -- With which hour it was posted.
  posted_hour   timestamptz NOT NULL,
  seconds       integer NOT NULL,
  amount_micros bigint NOT NULL,
  month_seconds integer NOT NULL,
  month_micros  bigint NOT NULL,
  PRIMARY KEY (server_id, month, sequence)
);
CREATE TRIGGER corrections_stay BEFORE UPDATE OR DELETE ON charge_corrections
  FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER no_corrections_truncated BEFORE TRUNCATE ON charge_corrections
  FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- Double entry: what is owed to us stands with plus, what we owe or have earned with minus.
CREATE TABLE ledger_transactions (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id  bigint NOT NULL,
  currency text NOT NULL,
  hour     timestamptz NOT NULL,
  -- Within the hour, from 1 on.
  sequence integer NOT NULL CHECK (sequence >= 1),
  kind     text NOT NULL CHECK (kind IN ('charges', 'corrections')),
  UNIQUE (user_id, currency, hour, sequence)
);
CREATE TRIGGER transactions_stay BEFORE UPDATE OR DELETE ON ledger_transactions
  FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER no_transactions_truncated BEFORE TRUNCATE ON ledger_transactions
  FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

CREATE TABLE ledger_postings (
  transaction_id bigint NOT NULL,
  account        text NOT NULL CHECK (account IN ('receivable', 'unbilled', 'credit', 'revenue', 'tax', 'rounding')),
  amount_micros  bigint NOT NULL CHECK (amount_micros <> 0),
  PRIMARY KEY (transaction_id, account)
);
CREATE TRIGGER postings_stay BEFORE UPDATE OR DELETE ON ledger_postings
  FOR EACH ROW EXECUTE FUNCTION forbid_change();
CREATE TRIGGER no_postings_truncated BEFORE TRUNCATE ON ledger_postings
  FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- Each statement leaves every transaction balanced, so all of them always are. A deferred trigger would look at each row
-- of its own, and cost more than the rows.
CREATE FUNCTION check_ledger_sums() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wrong bigint;
BEGIN
  SELECT transaction_id INTO wrong FROM added GROUP BY transaction_id HAVING sum(amount_micros) <> 0 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'the postings of ledger transaction % do not sum to zero', wrong
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_sums_to_zero';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_sums_to_zero AFTER INSERT ON ledger_postings
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_ledger_sums();

-- The user's accounts of the ledger, summed. A sum over all users would be one row that everybody waits for.
CREATE TABLE user_balances (
  user_id           bigint NOT NULL REFERENCES users,
  currency          text NOT NULL,
  unbilled_micros   bigint NOT NULL DEFAULT 0,
  receivable_micros bigint NOT NULL DEFAULT 0,
  credit_micros     bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, currency)
) WITH (fillfactor = 50);

-- Tables by month are named `<parent>_YYYYMM`; who writes into a month has seen to its table.
CREATE FUNCTION ensure_month_partition(parent text, month timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  first timestamptz := date_trunc('month', month, 'UTC');
  name  text := parent || '_' || to_char(first AT TIME ZONE 'UTC', 'YYYYMM');
BEGIN
  IF to_regclass(name) IS NULL THEN
    PERFORM pg_advisory_xact_lock(hashtext('skyengine partitions'));
    IF to_regclass(name) IS NULL THEN
      -- To attach it waits for no reader of the parent, as to create it in its place would.
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, parent);
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name, first,
                     date_trunc('month', first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
    END IF;
  END IF;
END $$;

UPDATE schedules SET paused = false, note = NULL WHERE name = 'hourly-sync-and-billing' AND note = 'not built yet';
