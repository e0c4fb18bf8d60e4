-- Servers of a user whose month has come to `suspendAt` are suspended.
ALTER TABLE actions
  -- Of a suspension that a spending limit asked for: the month that had come to it.
  ADD COLUMN limit_month timestamptz,
  ADD CHECK (limit_month IS NULL OR kind = 'suspend');
-- Each server once a month: what an operator lifts stays lifted.
CREATE UNIQUE INDEX limit_suspensions ON actions (server_id, limit_month) WHERE limit_month IS NOT NULL;

ALTER TABLE passed_limits
  -- Of kind `suspend`: when the last suspension that it asks for was begun (business time). NULL while some may be
  -- left, and again with each further hour that is closed beyond the limit: a server may be active since.
  ADD COLUMN begun_at timestamptz,
  ADD CHECK (kind = 'suspend' OR begun_at IS NULL);
CREATE INDEX open_limits ON passed_limits (user_id) WHERE kind = 'suspend' AND begun_at IS NULL;

-- Limits that were passed before anything was suspended by them: those of earlier months stay without effect.
UPDATE passed_limits p SET begun_at = p.hour + interval '1 hour'
  FROM billing_accounts a
 WHERE a.user_id = p.user_id AND p.kind = 'suspend'
   AND p.month < date_trunc('month', a.closed_until - interval '1 second', 'UTC');
