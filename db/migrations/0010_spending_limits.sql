-- What a month of a user may come to before somebody is told, and what reads of money need.

-- In the user's currency; NULL: no limit.
ALTER TABLE users
  ADD COLUMN alert_at_micros bigint CHECK (alert_at_micros > 0),
  ADD COLUMN suspend_at_micros bigint CHECK (suspend_at_micros > 0);
CREATE INDEX users_with_limits ON users (id) WHERE alert_at_micros IS NOT NULL OR suspend_at_micros IS NOT NULL;

-- The month of the last hour that was posted, and what the charges of its hours have come to.
ALTER TABLE user_balances
  ADD COLUMN month timestamptz,
  ADD COLUMN month_micros bigint NOT NULL DEFAULT 0;
WITH latest AS (
  SELECT user_id, currency, date_trunc('month', max(hour), 'UTC') AS month FROM ledger_transactions
   GROUP BY user_id, currency)
UPDATE user_balances b
   SET month = l.month,
       month_micros = coalesce((
         SELECT sum(p.amount_micros)
           FROM ledger_transactions t
           JOIN ledger_postings p ON p.transaction_id = t.id AND p.account = 'unbilled'
          WHERE t.user_id = l.user_id AND t.currency = l.currency AND t.kind = 'charges' AND t.hour >= l.month), 0)
  FROM latest l
 WHERE l.user_id = b.user_id AND l.currency = b.currency;

-- That a month has come to a limit, told once: the row and its alert in the outbox are written together.
CREATE TABLE passed_limits (
  user_id      bigint NOT NULL REFERENCES users,
  month        timestamptz NOT NULL,
  -- `suspend`: the user's servers are to be suspended.
  kind         text NOT NULL CHECK (kind IN ('alert', 'suspend')),
  currency     text NOT NULL,
  limit_micros bigint NOT NULL,
  -- What the month had come to with which hour.
  month_micros bigint NOT NULL,
  hour         timestamptz NOT NULL,
  PRIMARY KEY (user_id, month, kind)
);

CREATE INDEX corrections_by_user ON charge_corrections (user_id, month);
