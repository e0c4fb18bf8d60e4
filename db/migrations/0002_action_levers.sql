-- What operators ask of an open action. The node that runs it is told by NOTIFY action_called, and reads `calls` with
-- each sweep, should that be lost.
ALTER TABLE actions
  ADD COLUMN abandon_requested boolean NOT NULL DEFAULT false,
  ADD COLUMN calls integer NOT NULL DEFAULT 0;
